"""The routing header: from the URL or the body, which reaches the app unchanged."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.server import affinity
from voice_cli.server.affinity import HEADER, Affinity, voice_in


def passed(scope, *messages, forever=False):
    """Send a request through, check that its messages are unchanged, and return its routing headers."""

    async def run():
        waiting = list(messages)
        out = []

        async def receive():
            if not waiting and forever:
                await asyncio.Event().wait()
            return waiting.pop(0)

        async def app(scope, receive, send):
            out.append(scope)
            while waiting or len(out) <= len(messages):
                out.append(await receive())

        await Affinity(app)(scope, receive, None)
        return out

    scope_out, *out = asyncio.run(run())
    homes = [value.decode() for name, value in scope_out["headers"] if name.decode() == HEADER]
    assert out == list(messages)
    return homes


def http(path, *, query=b"", method="POST", headers=()):
    return {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}


def body(content, *, pieces=1):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    step = max(1, -(-len(data) // pieces))
    cuts = [data[at : at + step] for at in range(0, len(data), step)] or [b""]
    return [
        {"type": "http.request", "body": cut, "more_body": number + 1 < len(cuts)} for number, cut in enumerate(cuts)
    ]


@pytest.mark.parametrize(
    ("path", "content", "home"),
    [
        ("/v1/audio/speech", {"input": "Hi", "voice": "alice"}, "alice"),
        ("/v1/audio/speech", {"input": "Hi", "voice": {"id": "alice"}}, "alice"),
        ("/synthesize", {"text": "Hi", "voice_id": "en-us+f3"}, "en-us+f3"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 7])
def test_the_voice_is_read_from_the_body(path, content, home, pieces):
    assert passed(http(path), *body(content, pieces=pieces)) == [home]


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "websocket", "path": "/stream", "query_string": b"text=Hi&voice=alice", "headers": []},
        http("/warmup", query=b"preset=fast&voice_id=alice"),
    ],
)
def test_the_voice_is_read_from_the_url(scope):
    assert passed(scope) == ["alice"]


def test_requests_of_a_call_are_routed_to_its_replica():
    assert passed(http("/twilio/MZ18ad/say"), *body({"text": "Hi", "voice": "alice"})) == ["call/MZ18ad"]


@pytest.mark.parametrize(
    "scope",
    [
        http("/v1/models", method="GET"),
        http("/preload"),
        {"type": "websocket", "path": "/ws/synthesize", "query_string": b"", "headers": []},
        {"type": "lifespan", "path": "", "headers": []},
    ],
)
def test_other_requests_pass_unchanged(scope):
    assert passed(scope) == []


def test_a_routing_header_of_the_client_is_kept():
    scope = http("/v1/audio/speech", headers=[(HEADER.encode(), b"bob")])
    assert passed(scope, *body({"voice": "alice"})) == ["bob"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b"[]", b"null", {"voice": 3}, {"voice": {"id": None}}, {"voice": "../x"}]
)
def test_a_body_without_a_voice_passes_unchanged(content):
    assert passed(http("/v1/audio/speech"), *body(content)) == []


@given(st.text())
def test_every_voice_is_a_valid_header_value(voice):
    home = voice_in(json.dumps({"voice": voice}).encode())
    assert home is None or home == voice
    assert home is None or (home.isascii() and home.isprintable() and "/" not in home)


def test_a_large_body_is_read_ahead_only_in_part(monkeypatch):
    monkeypatch.setattr(affinity, "PEEK_BYTES", 100)
    assert passed(http("/v1/audio/speech"), *body({"voice": "alice", "input": "x" * 1000}, pieces=10)) == []


def test_a_slow_body_is_read_ahead_only_until_the_timeout(monkeypatch):
    monkeypatch.setattr(affinity, "PEEK_SECONDS", 0.01)

    async def run():
        rest = asyncio.Event()
        messages = body({"voice": "alice", "input": "Hi"}, pieces=2)
        given_out = iter(messages)

        async def receive():
            message = next(given_out)
            if not message["more_body"]:
                await rest.wait()
            return message

        async def app(scope, receive, send):
            assert await receive() == messages[0]
            rest.set()
            return scope

        seen = []

        async def watched(scope, receive, send):
            seen.append(await app(scope, receive, send))

        await Affinity(watched)(http("/v1/audio/speech"), receive, None)
        return seen[0]["headers"]

    assert asyncio.run(run()) == []


def test_a_disconnect_while_reading_ahead_reaches_the_app():
    messages = [{"type": "http.request", "body": b'{"voice', "more_body": True}, {"type": "http.disconnect"}]
    assert passed(http("/v1/audio/speech"), *messages) == []
