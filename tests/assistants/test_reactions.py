"""Events become speeches. `voice hook` runs as a program runs it, with a stand-in for the agent."""

import json
import subprocess

import pytest

from support.command import environment_in
from support.fake_agent import VOICE
from support.threads import wait_until
from voice_cli.assistants.sessions import MOST, Session, change, read

STOP = {"hook_event_name": "Stop", "session_id": "abc", "cwd": "/project", "last_assistant_message": "**Done.**"}
PROMPT = {"hook_event_name": "UserPromptSubmit", "session_id": "abc", "prompt": "x"}
QUESTION = {"hook_event_name": "Notification", "session_id": "abc", "message": "May I?"}
SPEECH = {"options": {"markdown": "off"}, "mode": "queue", "name": "abc", "detach": True, "has_environment": True}


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state" / "voice" / "assistants.json")


@pytest.fixture
def hook(tmp_path, agent):
    """Run the hook with an event and wait for its first process."""

    def run(event, *arguments, data=None):
        environment = environment_in(tmp_path, {**agent.environment, "XDG_STATE_HOME": str(tmp_path / "state")})
        done = subprocess.run(
            [*VOICE, "hook", *(arguments or ("claude-code",))],
            input=json.dumps(event).encode() if data is None else data,
            capture_output=True,
            env=environment,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, b"")
        return done.stderr.decode()

    return run


def test_a_reply_waits_for_its_turn_under_the_sessions_name(hook, agent, state):
    assert hook(STOP) == ""
    assert agent.call() == ("say", {**SPEECH, "text": "Done.", "priority": "message"})
    session = read(state).sessions["abc"]
    assert (session.program, session.folder, session.muted) == ("claude-code", "/project", False)
    assert session.seen > 1_700_000_000


def test_a_question_is_important(hook, agent):
    hook(QUESTION)
    assert agent.call() == ("say", {**SPEECH, "text": "May I?", "priority": "important"})


def test_a_prompt_stops_the_speech_of_its_session(hook, agent):
    hook(PROMPT)
    assert agent.call() == ("stop", {"id": None, "name": "abc", "all": False})


def test_codex_passes_its_notification_as_an_argument(hook, agent):
    event = {"type": "agent-turn-complete", "thread-id": "abc", "last-assistant-message": "Renamed."}
    assert hook(None, "codex", json.dumps(event), data=b"") == ""
    assert agent.call() == ("say", {**SPEECH, "text": "Renamed.", "priority": "message"})


def test_a_muted_session_is_silent_and_another_has_its_voice(hook, agent, state):
    change(state, lambda s: s.sessions.update({"abc": Session(muted=True), "b": Session(voice="-x")}))
    hook(STOP)
    hook({**STOP, "session_id": "b"})
    assert agent.call()[1]["options"] == {"markdown": "off", "voice": "-x"}
    hook(PROMPT)
    assert agent.call()[0] == "stop"
    assert agent.calls.empty()


def test_a_new_session_is_muted_if_all_are(hook, agent, state):
    change(state, lambda s: setattr(s, "muted", True))
    hook(STOP)
    hook(PROMPT)
    assert agent.call()[0] == "stop"
    assert read(state).sessions["abc"].muted


def test_a_reply_is_dropped_if_the_next_prompt_comes_while_the_agent_starts(hook, agent):
    agent.has_started.clear()
    hook(STOP)
    hook(PROMPT)
    assert agent.call()[0] == "stop"
    agent.has_started.set()
    hook({**STOP, "last_assistant_message": "Next."})
    assert agent.call()[1]["text"] == "Next."


def test_nothing_to_speak_is_no_speech(hook, agent):
    hook({**STOP, "last_assistant_message": "```\nmake\n```"})
    hook(PROMPT)
    assert agent.call()[0] == "stop"


def test_a_state_that_cannot_be_written_does_not_matter(hook, agent, tmp_path):
    (tmp_path / "state").write_text("a file")
    assert hook(STOP) == ""
    assert agent.call()[0] == "say"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"nonsense", "must be a JSON object"),
        (b"{}" * (3 << 20), "at most 4 MiB"),
        (b'{"hook_event_name": "Stop", "session_id": "\\u001b[2J"}', "must name its session"),
    ],
)
def test_wrong_input_is_one_line_and_no_failure(hook, agent, tmp_path, data, words):
    line = hook(None, data=data)
    assert words in line
    assert len(line.splitlines()) == 1
    assert words in (tmp_path / "state" / "voice" / "hooks.log").read_text()
    assert agent.calls.empty()


@pytest.mark.parametrize("arguments", [("nobody\x1b[2J",), ("",), ("--help",)])
def test_an_unknown_program_is_one_line_and_no_failure(hook, arguments):
    line = hook(STOP, *arguments)
    assert "there is no program" in line or "no program was named" in line
    assert "\x1b" not in line


def test_the_error_of_the_agent_is_in_the_log(hook, agent, tmp_path):
    agent.refusal = "no\x1b[2J device"
    hook(STOP)
    assert agent.call()[0] == "say"
    log = tmp_path / "state" / "voice" / "hooks.log"
    wait_until(lambda: log.exists() and "device" in log.read_text(), "nothing in the log")
    assert "\x1b" not in log.read_text()


def test_without_an_agent_a_prompt_is_no_error(hook, agent, tmp_path):
    agent.environment.pop("VOICE_FAKE_AGENT")
    assert hook(PROMPT) == ""
    assert not (tmp_path / "state" / "voice" / "hooks.log").exists()


def test_sessions_are_not_kept_for_good(hook, agent, state):
    change(state, lambda s: s.sessions.update({str(i): Session(seen=i) for i in range(MOST)}))
    hook(PROMPT)
    agent.call()
    assert len(read(state).sessions) == MOST
