"""From text to PCM: the one assembly."""
