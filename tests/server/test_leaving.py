"""A thousand clients that disconnect at random times, on real sockets, leak nothing."""

import asyncio
import base64
import gc
import json
import random
import struct
import weakref

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.loops import run
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from support.threads import WAIT, wait_until
from voice_cli.server import service as module
from voice_cli.server.speech import Speech

CLIENTS = 500
"""Per protocol."""
TEXT = "First one.\n\nSecond one, with a clause.\n\nThird."


def over_http(codec):
    body = json.dumps({"input": TEXT, "response_format": codec}).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\nContent-Type: application/json\r\n\r\n" + body


def over_a_websocket(codec):
    """Upgrade, and send a text without waiting for the response."""
    key = base64.b64encode(bytes(16)).decode()
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head = f"GET /ws/synthesize HTTP/1.1\r\nHost: localhost\r\n{upgrade}Sec-WebSocket-Key: {key}\r\n\r\n"
    codec = codec if codec in ("pcm", "wav") else "mulaw"
    message = json.dumps({"text": TEXT, "voice_id": "alice", "output_format": codec}).encode()
    return head.encode(), struct.pack(">BBHI", 0x81, 0xFE, len(message), 0) + message


async def client(app, rng, protocol):
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    try:
        codec = rng.choice(["pcm", "wav", "flac", "mp3", "opus"])
        if protocol == "http":
            writer.write(over_http(codec))
        else:
            upgrade, message = over_a_websocket(codec)
            writer.write(upgrade)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(message)
        wanted = rng.choice([0, 0, 1, 500, 5000, 50_000 if protocol == "http" else 10_000])
        while wanted > 0 and (data := await reader.read(min(wanted, 4096))):
            wanted -= len(data)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        if rng.random() < 0.5:
            writer.transport.abort()
        writer.close()


def streams_by_outcome(app):
    outcomes = {}
    for family in text_string_to_metric_families(app.request("GET", "/metrics").body.decode()):
        for sample in family.samples:
            if sample.name == "voice_streams_total":
                outcome = sample.labels["outcome"]
                outcomes[outcome] = outcomes.get(outcome, 0) + sample.value
    return outcomes


@pytest.mark.parametrize("protocol", ["http", "websocket"])
def test_a_disconnect_frees_everything(protocol, monkeypatch):
    rng = random.Random(f"6 {protocol}")
    born = []

    def tracked(*arguments):
        speech = Speech(*arguments)
        born.append(weakref.ref(speech))
        return speech

    monkeypatch.setattr(module, "Speech", tracked)
    engine = SteppedEngine(piece_frames=400)
    with SpeechApp(engine, max_streams=60) as app:

        async def main():
            room = asyncio.Semaphore(50)

            async def one():
                async with room:
                    await client(app, rng, protocol)

            await asyncio.gather(*(one() for _ in range(CLIENTS)))

        run(main, 4 * WAIT)
        answer = app.request("POST", "/v1/audio/speech", {"input": "Hi.", "response_format": "pcm"})
        assert answer.body == sound_of("Hi.")
        wait_until(lambda: app.service.active == 0 and len(app.reports) == len(born), "a stream is still active")
        engine.wait_until_idle()
        outcomes = streams_by_outcome(app)
        assert sum(outcomes.values()) == len(born)
        assert set(outcomes) == {"complete", "cancelled"}
        assert outcomes["cancelled"] > CLIENTS / 20
        wait_until(lambda: all_freed(born), "a stream is not freed")


def all_freed(born):
    gc.collect()
    return not [ref for ref in born if ref() is not None]
