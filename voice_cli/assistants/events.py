"""What a program passes to its hook: one JSON object, on standard input or as an argument."""

import json
import time
from collections.abc import Mapping
from enum import Enum
from typing import Any, BinaryIO, NamedTuple

from voice_cli.assistants.programs import ASKS
from voice_cli.errors import UsageError

MAX_BYTES = 4 << 20
"""The most bytes of an object."""
MAX_NAME = 200
"""The most characters of a session's id."""
LEFT = ("clear", "resume", "logout", "prompt_input_exit")
"""Reasons for which a session ends because the user is done with it. A program that runs once ends after its reply."""


class Kind(Enum):
    """What happened in a session."""

    REPLY = "reply"
    QUESTION = "question"
    PROMPT = "prompt"
    """The user entered something."""
    END = "end"


class Event(NamedTuple):
    """What happened in which session."""

    session: str
    """Its id."""
    folder: str
    """The session's working directory."""
    kind: Kind
    text: str = ""
    """The assistant's words, in Markdown."""
    transcript: str = ""
    """The file of the session's messages, if a reply comes without its text."""
    time: float = 0.0
    """When it was read, as of `time.time`."""


def read_object(stream: BinaryIO) -> bytes:
    """Read a stream to its end, which the program may insist on, and return its bytes.

    Raises:
        UsageError: there are more than `MAX_BYTES`.

    """
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        while stream.read(1 << 16):
            pass
        raise UsageError(f"a hook's input must have at most {MAX_BYTES >> 20} MiB")
    return data


def parse(data: bytes | str) -> Event | None:
    """Return the event that an object describes; None: it is not one that matters here.

    Raises:
        UsageError: it is not an object of a known program.

    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise UsageError("a hook's input must be a JSON object, as a program passes it") from exc
    if not isinstance(values, dict):
        raise UsageError("a hook's input must be a JSON object, as a program passes it")
    kind_and_text = _kind_and_text(values)
    if kind_and_text is None:
        return None
    kind, text = kind_and_text
    session = _text(values, "session_id") or _text(values, "thread-id")
    if not session or len(session) > MAX_NAME or not session.isprintable():
        raise UsageError("a hook's input must name its session")
    transcript = _text(values, "transcript_path") if kind is Kind.REPLY and not text else ""
    return Event(session, _text(values, "cwd"), kind, text, transcript, time.time())


def _kind_and_text(values: Mapping[str, Any]) -> tuple[Kind, str] | None:
    match values.get("hook_event_name") or values.get("type"):
        case "Stop":  # Claude Code and Codex; early versions of Claude Code pass no text
            return Kind.REPLY, _text(values, "last_assistant_message")
        case "AfterAgent":  # Gemini CLI
            return Kind.REPLY, _text(values, "prompt_response")
        case "agent-turn-complete":  # Codex, from its setting `notify`
            return Kind.REPLY, _text(values, "last-assistant-message")
        case "Notification":  # Claude Code and Gemini CLI; early versions of Claude Code pass no type
            asks = values.get("notification_type", "") in ("", "ToolPermission", *ASKS)
            return (Kind.QUESTION, _text(values, "message")) if asks else None
        case "PermissionRequest":  # Codex
            asked = values.get("tool_input")
            reason = _text(asked, "description") if isinstance(asked, dict) else ""
            return Kind.QUESTION, f"Permission needed: {reason or _text(values, 'tool_name')}"
        case "UserPromptSubmit" | "BeforeAgent":
            return Kind.PROMPT, ""
        case "SessionEnd":
            return (Kind.END, "") if values.get("reason") in LEFT else None
    return None


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""
