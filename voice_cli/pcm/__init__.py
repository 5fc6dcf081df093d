"""Arithmetic on samples, for whoever plays them and whoever sends them: stateful over a stream, however it is cut."""
