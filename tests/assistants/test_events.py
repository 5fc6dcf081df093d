"""What programs pass to their hooks. The examples are those of their documentation."""

import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_values import anything
from voice_cli.assistants.events import MAX_BYTES, Event, Kind, parse, read_object
from voice_cli.errors import UsageError

CLAUDE = {"session_id": "abc123", "transcript_path": "/none", "cwd": "/my/project", "permission_mode": "default"}
CODEX = {"session_id": "abc123", "turn_id": "1", "cwd": "/my/project", "model": "gpt", "transcript_path": None}


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        (
            {**CLAUDE, "hook_event_name": "Stop", "stop_hook_active": True, "last_assistant_message": "Done."},
            Kind.REPLY,
            "Done.",
        ),
        ({**CLAUDE, "hook_event_name": "Stop", "stop_hook_active": False}, Kind.REPLY, ""),
        (
            {
                **CLAUDE,
                "hook_event_name": "Notification",
                "message": "Claude needs your permission",
                "title": "Permission needed",
                "notification_type": "permission_prompt",
            },
            Kind.QUESTION,
            "Claude needs your permission",
        ),
        ({**CLAUDE, "hook_event_name": "Notification", "message": "Old version"}, Kind.QUESTION, "Old version"),
        ({**CLAUDE, "hook_event_name": "UserPromptSubmit", "prompt": "Go on"}, Kind.PROMPT, ""),
        ({**CLAUDE, "hook_event_name": "SessionEnd", "reason": "clear"}, Kind.END, ""),
        ({**CODEX, "hook_event_name": "Stop", "last_assistant_message": "Done."}, Kind.REPLY, "Done."),
        ({**CODEX, "hook_event_name": "Stop", "last_assistant_message": None}, Kind.REPLY, ""),
        (
            {
                **CODEX,
                "hook_event_name": "PermissionRequest",
                "tool_name": "Bash",
                "tool_input": {"command": "make", "description": "Build it"},
            },
            Kind.QUESTION,
            "Permission needed: Build it",
        ),
        (
            {**CODEX, "hook_event_name": "PermissionRequest", "tool_name": "apply_patch", "tool_input": "…"},
            Kind.QUESTION,
            "Permission needed: apply_patch",
        ),
        (
            {
                "type": "agent-turn-complete",
                "thread-id": "abc123",
                "turn-id": "12345",
                "cwd": "/my/project",
                "client": "codex-tui",
                "input-messages": ["Rename it."],
                "last-assistant-message": "Renamed.",
            },
            Kind.REPLY,
            "Renamed.",
        ),
        ({**CLAUDE, "hook_event_name": "AfterAgent", "prompt": "x", "prompt_response": "Done."}, Kind.REPLY, "Done."),
        ({**CLAUDE, "hook_event_name": "BeforeAgent", "prompt": "x"}, Kind.PROMPT, ""),
        (
            {**CLAUDE, "hook_event_name": "Notification", "notification_type": "ToolPermission", "message": "May I?"},
            Kind.QUESTION,
            "May I?",
        ),
    ],
)
def test_the_events_of_each_program(values, kind, text):
    transcript = "/none" if text == "" and values.get("transcript_path") and kind is Kind.REPLY else ""
    for data in (json.dumps(values), json.dumps(values).encode()):
        assert parse(data)._replace(time=0.0) == Event("abc123", "/my/project", kind, text, transcript)


@pytest.mark.parametrize(
    "values",
    [
        {**CLAUDE, "hook_event_name": "PreToolUse"},
        {**CLAUDE, "hook_event_name": "SubagentStop", "last_assistant_message": "Done."},
        {**CLAUDE, "hook_event_name": "Notification", "notification_type": "idle_prompt", "message": "Waiting"},
        {**CLAUDE, "hook_event_name": "SessionEnd", "reason": "other"},
        {},
    ],
)
def test_other_events_are_ignored(values):
    assert parse(json.dumps(values)) is None


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"nonsense", b"[]", b"1", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000),
        *(
            json.dumps({"hook_event_name": "Stop", "session_id": session}).encode()
            for session in ("", None, 1, "a\x1b[2J", "x" * 201, "\ud800", "a\nb")
        ),
    ],
)
def test_anything_else_is_one_error(data):
    with pytest.raises(UsageError):
        parse(data)


@given(
    value=st.dictionaries(
        st.sampled_from(
            ["session_id", "thread-id", "cwd", "message", "reason", "tool_input", "last_assistant_message"]
        ),
        anything("description"),
    ),
    event=st.sampled_from(["Stop", "Notification", "PermissionRequest", "AfterAgent", "SessionEnd", "BeforeAgent"]),
)
def test_fields_of_any_type_are_read(value, event):
    try:
        found = parse(json.dumps({**value, "hook_event_name": event}))
    except UsageError:
        return
    assert found is None or (found.session.isprintable() and isinstance(found.text, str))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_an_error_or_nothing(data):
    with contextlib.suppress(UsageError):
        assert parse(data) is None


def test_too_much_input_is_read_to_its_end_and_refused():
    stream = io.BytesIO(b" " * (MAX_BYTES + (1 << 20)))
    with pytest.raises(UsageError, match="at most 4 MiB"):
        read_object(stream)
    assert stream.read() == b""
    assert read_object(io.BytesIO(b"{}")) == b"{}"
