"""What every JSON message's parser needs: a field of the right kind, or one line that says what is wrong."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]
"""A JSON object, ready to be written."""

_MOST = 2**53
"""Numbers up to here are the same in every JSON implementation (RFC 8259 section 6)."""


def write(message: Message) -> str:
    """Write a message as one line of JSON; what is no text (half a surrogate pair) is escaped."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def read(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: that is none.

    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("that is no JSON") from None


def as_object(value: Any) -> Mapping[str, Any]:
    """Give a message as an object.

    Raises:
        ValueError: it is none.

    """
    if not isinstance(value, dict):
        raise ValueError("a message must be a JSON object")  # noqa: TRY004  as all that is wrong with a message
    return value


def text_of(message: Mapping[str, Any], key: str) -> str | None:
    """Give a text; None: it is not there, or null.

    Raises:
        ValueError: it is something else.

    """
    value = message.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} must be a string")
    return value


def choice_of(message: Mapping[str, Any], key: str, choices: Sequence[str]) -> str | None:
    """Give a text that is one of the choices; None: it is not there.

    Raises:
        ValueError: it is none of them.

    """
    value = text_of(message, key)
    if value is not None and value not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}")
    return value


def number_of(message: Mapping[str, Any], key: str, low: float = -_MOST, high: float = _MOST) -> float | None:
    """Give a number from `low` to `high`; None: it is not there.

    Raises:
        ValueError: it is none, or lies outside.

    """
    value = message.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number")  # noqa: TRY004
    if not low <= value <= high:  # NaN neither
        raise ValueError(f"{key} must be from {low:g} to {high:g}")
    return value


def whole_of(message: Mapping[str, Any], key: str, low: int = 0, high: int = _MOST) -> int | None:
    """Give a whole number from `low` to `high`; None: it is not there.

    Raises:
        ValueError: it is none, or lies outside.

    """
    value = number_of(message, key, low, high)
    if value is not None and value != int(value):
        raise ValueError(f"{key} must be a whole number")
    return None if value is None else int(value)


def flag_of(message: Mapping[str, Any], key: str) -> bool:
    """Give a yes or no; no where it is not there.

    Raises:
        ValueError: it is neither.

    """
    value = message.get(key)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false")
    return bool(value)


def bytes_of(message: Mapping[str, Any], key: str) -> bytes:
    """Give what a text, or a list of texts, has in base64; nothing where it is not there.

    Raises:
        ValueError: it is no base64.

    """
    value = message.get(key)
    pieces = value if isinstance(value, list) else [] if value is None else [value]
    try:
        return b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
    except (TypeError, binascii.Error, ValueError):
        raise ValueError(f"{key} must be base64") from None


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
