"""What the parsers of this folder raise while text is still arriving."""


class IncompleteTextError(Exception):
    """A decision needs more text. Raised before any state changes, and never out of `feed`."""
