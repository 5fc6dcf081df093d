"""`voice mcp` as an assistant runs it, with the client of the protocol's SDK and a stand-in for the agent."""

import json
import subprocess
from contextlib import asynccontextmanager

import anyio
import pytest

from support.command import environment_in
from support.fake_agent import PROGRAM, VOICE
from support.packages import needs

needs("mcp", target="test")

from mcp import ClientSession, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402

WAIT = 60.0


@pytest.fixture
def connect(tmp_path, agent):
    """Return a context with a session of the server; `program` runs it."""

    @asynccontextmanager
    async def connected(program=PROGRAM):
        environment = environment_in(tmp_path, {**agent.environment, "PYTHONWARNINGS": "error"})
        server = StdioServerParameters(
            command=VOICE[0], args=["-c", program, "mcp"], env=environment, cwd=str(tmp_path)
        )
        with anyio.fail_after(WAIT), open(tmp_path / "stderr", "w") as errors:  # noqa: ASYNC230
            async with stdio_client(server, errors) as streams, ClientSession(*streams) as session:
                await session.initialize()
                yield session

    return connected


@pytest.fixture
def use(connect):
    """Run an asynchronous test with a session."""

    def run(test, **options):
        async def main():
            async with connect(**options) as session:
                await test(session)

        anyio.run(main)

    return run


async def next_call(agent):
    return await anyio.to_thread.run_sync(agent.call)


def test_the_tools_and_their_arguments(use):
    async def test(session):
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(tools) == {"say", "stop", "status", "voices"}
        say = tools["say"].input_schema
        assert say["required"] == ["text"]
        assert set(say["properties"]) == {"text", "wait", "interrupt", "priority", "voice", "profile"}
        assert all(tool.description for tool in tools.values())

    use(test)


def test_say_waits_and_returns_what_was_heard(use, agent):
    async def test(session):
        results = []

        async def speak():
            arguments = {"text": "Hello there", "voice": "-x", "priority": "important"}
            results.append(await session.call_tool("say", arguments))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(speak)
            method, given = await next_call(agent)
            assert method == "say"
            assert given["text"] == "Hello there"
            assert given["options"] == {"voice": "-x"}
            assert (given["priority"], given["mode"], given["detach"]) == ("important", "queue", False)
            assert given["has_environment"]
            assert await next_call(agent) == ("wait", {"id": 1})
            agent.end(1, outcome="cancelled", text_spoken="Hello", text_remaining="there", ttfa_ms=1)
        (result,) = results
        assert not result.is_error
        expected = {"id": 1, "outcome": "cancelled", "text_spoken": "Hello", "text_remaining": "there", "error": None}
        assert result.structured_content == expected
        assert json.loads(result.content[0].text) == expected

    use(test)


def test_say_without_waiting_returns_the_id(use, agent):
    async def test(session):
        result = await session.call_tool("say", {"text": "Hi", "wait": False, "interrupt": True})
        assert result.structured_content == {"id": 1}
        _, given = await next_call(agent)
        assert (given["mode"], given["detach"]) == ("interrupt", True)

    use(test)


def test_a_cancelled_call_stops_its_speech(use, agent):
    async def test(session):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.call_tool, "say", {"text": "Hello"})
            assert (await next_call(agent))[0] == "say"
            assert (await next_call(agent))[0] == "wait"
            tasks.cancel_scope.cancel()
        assert await next_call(agent) == ("cancel", {"id": 1})
        assert (await session.call_tool("say", {"text": "Next", "wait": False})).structured_content == {"id": 2}

    use(test)


def test_a_client_that_leaves_stops_its_speech(use, agent):
    async def test(session):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.call_tool, "say", {"text": "Hello"})
            assert (await next_call(agent))[0] == "say"
            assert (await next_call(agent))[0] == "wait"
            await session.send_ping()
            tasks.cancel_scope.cancel()

    use(test)
    assert agent.call() == ("cancel", {"id": 1})


def test_many_calls_may_wait(use, agent):
    agent.answers["stop"] = []
    many = 50

    async def test(session):
        async with anyio.create_task_group() as tasks:
            for _ in range(many):
                tasks.start_soon(session.call_tool, "say", {"text": "Hello"})
            for _ in range(2 * many):
                assert (await next_call(agent))[0] in ("say", "wait")
            assert (await session.call_tool("stop", {})).structured_content == {"stopped": []}
            for speech in range(1, many + 1):
                agent.end(speech)

    use(test)


def test_stop_returns_what_was_stopped(use, agent):
    stopped = [{"id": 3, "text_spoken": "One.", "text_remaining": "Two."}]
    agent.answers["stop"] = stopped

    async def test(session):
        for arguments, given in (
            ({}, {"id": None, "all": False}),
            ({"speech": 3}, {"id": 3, "name": None, "all": False}),
            ({"everything": True}, {"id": None, "name": None, "all": True}),
        ):
            result = await session.call_tool("stop", arguments)
            assert result.structured_content == {"stopped": stopped}
            method, values = await next_call(agent)
            assert method == "stop"
            assert values.items() >= given.items()
            assert (values["name"] or "").startswith("mcp-") == (arguments == {})

    use(test)


def test_status_has_the_queue(use, agent):
    agent.answers |= {"status": {"spoken": "Hello"}, "queue": [{"id": 1, "text": "Hello"}]}

    async def test(session):
        result = await session.call_tool("status", {})
        expected = {"spoken": "Hello", "running": True, "queue": [{"id": 1, "text": "Hello"}]}
        assert result.structured_content == expected

    use(test)


def test_without_an_agent_nothing_is_spoken(use, agent):
    agent.environment.pop("VOICE_FAKE_AGENT")

    async def test(session):
        assert (await session.call_tool("status", {})).structured_content == {"running": False, "queue": []}
        assert (await session.call_tool("stop", {})).structured_content == {"stopped": []}
        result = await session.call_tool("say", {"text": "Hi"})
        assert result.is_error
        assert "cannot start the agent" in result.content[0].text

    use(test)


def test_the_voices_of_the_backend(use):
    async def test(session):
        voices = (await session.call_tool("voices", {})).structured_content["result"]
        assert "en-us" in {voice["id"] for voice in voices}

    use(test)


def test_a_text_of_another_size_is_an_error(use, agent):
    async def test(session):
        for text in ("", "x" * 20_001):
            assert (await session.call_tool("say", {"text": text})).is_error
        assert agent.calls.empty()

    use(test)


def test_output_of_libraries_does_not_break_the_protocol(use, agent, tmp_path):
    noisy = (
        "import os, support.fake_agent as fake\n"
        "def noise(self): print('noise'); os.write(1, b'more noise'); os.system('echo and more'); return {}\n"
        f"fake.AgentClient.status = noise\n{PROGRAM}"
    )
    agent.answers["queue"] = []

    async def test(session):
        assert (await session.call_tool("status", {})).structured_content == {"running": True, "queue": []}
        await session.send_ping()

    use(test, program=noisy)
    assert "more noise" in (tmp_path / "stderr").read_text()


NONSENSE = [b"nonsense", b"\xff", b'{"jsonrpc": "2.0"}', b"[" * 100_000]
PING = b'{"jsonrpc": "2.0", "id": 7, "method": "ping"}'


@pytest.mark.parametrize("lines", [[*NONSENSE, PING], []])
def test_anything_else_on_standard_input_does_not_end_it(tmp_path, agent, lines):
    process = subprocess.Popen(
        [*VOICE, "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment_in(tmp_path, agent.environment),
    )
    with process:
        process.stdin.write(b"".join(line + b"\n" for line in lines))
        process.stdin.flush()
        answers: list[dict] = []
        while lines and not any(answer.get("id") == 7 for answer in answers):
            answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        answers += [json.loads(line) for line in process.stdout]
        assert process.wait(WAIT) == 0
    assert all(answer["jsonrpc"] == "2.0" for answer in answers)
    assert [answer["result"] for answer in answers if answer.get("id") == 7] == ([{}] if lines else [])
