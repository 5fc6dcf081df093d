"""From a stream of speech to sound: the pump, the ring buffer, the sinks, and the account of it all."""
