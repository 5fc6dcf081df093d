"""From text to sound in a terminal, as it arrives."""

__version__ = "0.1.0"
