"""The examples in the docstrings, executed."""

import asyncio
import copy
import textwrap
import threading

import numpy as np
import pytest

import voice_cli.streamer
from voice_cli.streamer import AudioStreamer, aio, to_pcm


def example(docstring):
    """Return the indented block after the first `::` of a docstring."""
    lines = docstring.split("::\n", 1)[1].splitlines()
    block = []
    for line in lines:
        if line and not line.startswith("    "):
            break
        block.append(line)
    return textwrap.dedent("\n".join(block))


def pcm(number):
    return to_pcm(np.full(3200, number, np.float32))


class TestThreads:
    def test_generated_chunks_are_read(self, replayed_model):
        prompt = {"lm": []}
        read = []
        code = example(voice_cli.streamer.__doc__)
        assert "...  # to_pcm(chunk) is s16le" in code
        exec(
            code.replace("...", "read.append(chunk)"),
            {
                "AudioStreamer": AudioStreamer,
                "model": replayed_model(9),
                "processor": replayed_model,
                "inputs": {},
                "voice_prompt": prompt,
                "threading": threading,
                "copy": copy,
                "read": read,
            },
        )
        assert [int(chunk[0]) for chunk in read] == list(range(9))
        assert prompt == {"lm": []}


class FakeSocket:
    """A client that sends one text and may disconnect after some chunks."""

    def __init__(self, text, leaves_after=None):
        self.text = text
        self.leaves_after = leaves_after
        self.received = []

    async def recv(self):
        return self.text

    async def send(self, data):
        if len(self.received) == self.leaves_after:
            raise ConnectionError("the client has disconnected")
        self.received.append(data)


class TestWebSocket:
    @pytest.fixture
    def speak_with(self):
        def speak_with(model):
            namespace = {"model": model, "processor": model, "voice_prompt": {"lm": []}}
            exec(example(aio.__doc__), namespace)
            self.prompt = namespace["voice_prompt"]
            return namespace["speak"]

        return speak_with

    def test_client_gets_every_chunk_as_pcm(self, run, speak_with, replayed_model):
        socket = FakeSocket("Hello world")
        run(speak_with(replayed_model(20))(socket))
        assert socket.received == [pcm(number) for number in range(20)]
        assert self.prompt == {"lm": []}

    def test_blank_text_is_not_generated(self, run, speak_with, replayed_model):
        model, socket = replayed_model(20), FakeSocket(" \n")
        run(speak_with(model)(socket))
        assert (model.made, socket.received) == (0, [])

    def test_disconnected_client_stops_the_model(self, run, speak_with, replayed_model):
        model, socket = replayed_model(10_000), FakeSocket("A long text", leaves_after=3)
        with pytest.raises(ConnectionError):
            run(speak_with(model)(socket))
        assert len(socket.received) == 3
        assert model.stopped
        assert model.made < 100

    def test_cancelled_task_stops_the_model(self, run, speak_with, replayed_model):
        model = replayed_model(10_000, stepped=True)

        async def main():
            task = asyncio.create_task(speak_with(model)(FakeSocket("A long text")))
            model.step(3)
            await asyncio.sleep(0)
            task.cancel()
            model.step(10)
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert model.made < 100

    def test_model_failure_is_raised(self, run, speak_with, replayed_model):
        socket = FakeSocket("Hello")
        with pytest.raises(RuntimeError, match="CUDA out of memory"):
            run(speak_with(replayed_model(20, fails_at=5))(socket))
        assert len(socket.received) == 5

    def test_example_on_a_real_socket(self, run, speak_with, replayed_model):
        pytest.importorskip("websockets", reason="websockets is not installed")
        from websockets.asyncio.client import connect
        from websockets.asyncio.server import serve

        async def main():
            async with serve(speak_with(replayed_model(12)), "localhost", 0) as server:
                port = server.sockets[0].getsockname()[1]
                async with connect(f"ws://localhost:{port}") as client:
                    await client.send("Hello world")
                    return [message async for message in client]

        assert run(main()) == [pcm(number) for number in range(12)]

    def test_disconnected_websockets_client_stops_the_model(self, run, speak_with, replayed_model):
        pytest.importorskip("websockets", reason="websockets is not installed")
        from websockets.asyncio.client import connect
        from websockets.asyncio.server import serve

        model = replayed_model(1_000_000)

        async def main():
            async with serve(speak_with(model), "localhost", 0) as server:  # waits for its handlers
                port = server.sockets[0].getsockname()[1]
                async with connect(f"ws://localhost:{port}") as client:
                    await client.send("Hello world")
                    for number in range(3):
                        assert await client.recv() == pcm(number)
                    client.transport.abort()

        run(main())
        assert model.stopped
