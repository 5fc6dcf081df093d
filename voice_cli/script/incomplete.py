"""The exception of parsers that read text while it arrives."""


class IncompleteTextError(Exception):
    """A decision needs more text. `feed` catches it and decides when more has arrived."""
