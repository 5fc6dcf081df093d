"""Playback: the pump, the ring buffer, the sinks and the metrics."""
