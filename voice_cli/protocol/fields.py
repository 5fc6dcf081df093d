"""Reading and writing JSON messages. Readers raise ValueError with a one-line message that names the wrong field."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]

LARGEST_NUMBER = 2**53
"""Numbers up to here are the same in every JSON implementation (RFC 8259 section 6)."""

MIN_SPEED = 0.25
MAX_SPEED = 4.0
"""Of `speed`, a factor."""

BUSY = "rate_limit_exceeded"
"""The `code` of an error: too many streams; try again later."""
UNAUTHORIZED = "invalid_api_key"
"""The `code` of an error: the key is missing or wrong."""


def write(message: Message) -> str:
    """Write a message as one line of ASCII; a lone surrogate is escaped."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def present(**fields: Any) -> Message:
    """Return the fields that are not None."""
    return {key: value for key, value in fields.items() if value is not None}


def read(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the message is not JSON") from None


def as_object(value: Any) -> Mapping[str, Any]:
    """Return the value, if it is a JSON object."""
    if not isinstance(value, dict):
        raise ValueError("a message must be a JSON object")  # noqa: TRY004  as for any invalid message
    return value


def text_of(message: Mapping[str, Any], key: str) -> str | None:
    """Return a string; None: absent or null."""
    value = message.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} must be a string")
    return value


def choice_of(message: Mapping[str, Any], key: str, choices: Sequence[str]) -> str | None:
    value = text_of(message, key)
    if value is not None and value not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}")
    return value


def number_of(
    message: Mapping[str, Any], key: str, low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER
) -> float | None:
    """Return a number from `low` to `high`; None: absent or null."""
    value = message.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number")  # noqa: TRY004
    if not low <= value <= high:  # NaN neither
        raise ValueError(f"{key} must be from {low:g} to {high:g}")
    return value


def whole_of(message: Mapping[str, Any], key: str, low: int = 0, high: int = LARGEST_NUMBER) -> int | None:
    value = number_of(message, key, low, high)
    if value is not None and value != int(value):
        raise ValueError(f"{key} must be a whole number")
    return None if value is None else int(value)


def flag_of(message: Mapping[str, Any], key: str) -> bool:
    """Return a boolean; False: absent or null."""
    value = message.get(key)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false")
    return bool(value)


def bytes_of(message: Mapping[str, Any], key: str) -> bytes:
    """Decode a base64 string, or a list of them; empty: absent or null."""
    value = message.get(key)
    pieces = value if isinstance(value, list) else [] if value is None else [value]
    try:
        return b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
    except (TypeError, binascii.Error, ValueError):
        raise ValueError(f"{key} must be base64") from None


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def error_of(message: Mapping[str, Any], *keys: str) -> str:
    """Return the first of the fields that is a string, or an object with a string `message`; empty: none is."""
    for key in keys:
        value = message.get(key)
        text = value.get("message") if isinstance(value, dict) else value
        if isinstance(text, str):
            return text
    return ""


def code_of(message: Mapping[str, Any]) -> str | None:
    """Return an error's `code`, if it is a string."""
    code = message.get("code")
    return code if isinstance(code, str) else None
