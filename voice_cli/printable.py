"""Text from outside, such as a server's message or a file's name, made safe to print."""

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
"""C0 and C1 control characters: a terminal executes them."""
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Bidirectional formatting characters: they change the order of what is shown (Unicode Standard Annex 9)."""
_LINE_ENDS = (0x2028, 0x2029)

ESCAPES = {
    **{code: f"\\x{code:02x}" for code in _CONTROLS},
    **{code: f"\\u{code:04x}" for code in (*_DIRECTIONS, *_LINE_ENDS)},
}
"""The escape of each character that is not printed, for `str.translate`."""
_ESCAPES_IN_TEXT = {code: escape for code, escape in ESCAPES.items() if chr(code) not in "\n\t"}


def escaped(text: str) -> str:
    r"""Return text as one line without characters that control a terminal: ``\x1b`` for an escape character."""
    return text.translate(ESCAPES)


def escaped_text(text: str) -> str:
    """Return text as `escaped`, but with its lines and tabs."""
    return text.translate(_ESCAPES_IN_TEXT)


def to_html(text: str) -> str:
    """Return text as `escaped`, for an HTML page."""
    from html import escape  # not needed before the first sound

    return escape(escaped(text))


def one_line(text: str, limit: int = 240) -> str:
    """Return external text as one line of at most `limit` characters, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
