"""Hooks and the MCP server with the real agent, on a real sound server."""

import json
import subprocess

import anyio
import pytest

from support.packages import needs
from support.sound import VOICE
from support.threads import wait_until

pytest.importorskip("voice_cli.agent.client", reason="the agent is not merged")
needs("mcp", target="test")

from mcp import ClientSession, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402

pytestmark = pytest.mark.e2e

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen."
REPLY = {"hook_event_name": "Stop", "session_id": "abc", "last_assistant_message": f"**{LONG}**\n\n```\nmake\n```"}


@pytest.fixture
def agent(agent, tmp_path):
    """Give the hooks of a test a state of their own."""
    agent.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    return agent


@pytest.fixture
def hook(agent, tmp_path):
    """Run the hook with an event."""

    def run(event):
        command = [*VOICE, "hook", "claude-code"]
        done = subprocess.run(
            command,
            input=json.dumps(event).encode(),
            env=agent.environment,
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == (b"", b"")

    return run


def test_a_reply_is_spoken_and_the_next_prompt_stops_it(agent, audio, hook):
    with audio.record() as heard:
        hook(REPLY)
        heard.wait_for_sound()
        heard.wait_for(0.5)
        (speaking,) = agent.client.queue()
        assert (speaking["name"], speaking["priority"]) == ("abc", "message")
        assert LONG.startswith(speaking["text"])  # a queue has the beginnings
        hook({"hook_event_name": "UserPromptSubmit", "session_id": "abc"})
        wait_until(lambda: not agent.client.queue(), "the speech goes on")
    assert len(heard.sound) < 3 * heard.rate


def test_sessions_wait_for_each_other_and_a_question_goes_first(agent, hook):
    hook(REPLY)
    agent.wait_until("speaking")
    hook({**REPLY, "session_id": "b"})
    agent.wait_until("waiting")
    hook({"hook_event_name": "Notification", "session_id": "c", "message": "May I remove the folder?"})
    wait_until(lambda: agent.client.queue()[0]["name"] == "c", "the question waits")
    agent.client.stop(all=True)


def test_an_assistant_speaks_stops_and_cancels(agent, tmp_path):
    def speaking():
        return [each["state"] for each in agent.client.queue()] == ["speaking"]

    async def until(is_so):
        await anyio.to_thread.run_sync(wait_until, is_so, "nothing changed")

    async def test(session):
        results = []

        async def say():
            results.append((await session.call_tool("say", {"text": LONG, "voice": "en-us"})).structured_content)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say)
            await until(speaking)
            (stopped,) = (await session.call_tool("stop", {})).structured_content["stopped"]
        assert results[0]["outcome"] == "cancelled"
        for account in (stopped, results[0]):
            assert f"{account['text_spoken']} {account['text_remaining']}".strip() == LONG
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say)
            await until(speaking)
            status = (await session.call_tool("status", {})).structured_content
            assert [LONG.startswith(each["text"]) for each in status["queue"]] == [True]
            tasks.cancel_scope.cancel()
        await until(lambda: not agent.client.queue())
        result = await session.call_tool("say", {"text": "Hi", "voice": "nobody"})
        assert result.structured_content["outcome"] == "failed" or result.is_error

    async def main():
        server = StdioServerParameters(command=VOICE[0], args=[*VOICE[1:], "mcp"], env=agent.environment, cwd=tmp_path)
        async with stdio_client(server) as streams, ClientSession(*streams) as session:
            await session.initialize()
            await test(session)

    anyio.run(main)
