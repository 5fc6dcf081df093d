"""Sinks: audio outputs, real or simulated."""
