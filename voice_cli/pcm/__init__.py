"""Conversions of PCM. Those with state give the same samples however a stream is cut."""
