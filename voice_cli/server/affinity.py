"""Which of several servers a request had better go to: where its voice is known, or its call is.

Runs in front of them, in Ray's proxies. A voice is known by what an engine has computed of it; a request names it in
its address, in its body, or not at all: a WebSocket's is in its messages, for which no proxy waits.
"""

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_cli.server.voices import PATTERN

HEADER = "serve_multiplexed_model_id"
"""By which Ray Serve is told. One that a client sends itself is left as it is."""

CALL = re.compile(r"/twilio/([A-Za-z0-9_\-]{1,64})/[a-z]+")
"""What is asked of a call that is under way."""

SPEAKING = frozenset({"/v1/audio/speech", "/synthesize"})
"""Whose bodies name a voice."""

PEEK_SECONDS = 1.0
PEEK_BYTES = 256 << 10
"""How long, and for how much of a body, a request is held up to see whose voice it wants."""


class Affinity:
    """ASGI middleware that says in a header where a request had better go."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and HEADER not in Headers(scope=scope):
            home = home_of(scope)
            if home is None and scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in SPEAKING:
                body = Peek(receive)
                home = voice_in(await body.read())
                receive = body.receive
            if home is not None:
                scope = {**scope, "headers": [*scope["headers"], (HEADER.encode(), home.encode())]}
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Give what Ray's proxies are to run: `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names this function."""
    return [Middleware(Affinity)]


def call_home(stream_sid: str) -> str:
    """Give a call's name among the voices': none of theirs has a slash."""
    return f"call/{stream_sid}"


def home_of(scope: Scope) -> str | None:
    """Say what the address names."""
    call = CALL.fullmatch(scope["path"])
    if call is not None:
        return call_home(call[1])
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return next((voice for name in ("voice", "voice_id") if (voice := as_voice(query.get(name, [None])[0]))), None)


def voice_in(body: bytes) -> str | None:
    """Say which voice a body names: OpenAI's `voice`, a string or `{id}`, or the Chatterbox document's `voice_id`."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    voice = content.get("voice", content.get("voice_id"))
    return as_voice(voice.get("id") if isinstance(voice, dict) else voice)


def as_voice(voice: Any) -> str | None:
    return voice if isinstance(voice, str) and re.fullmatch(PATTERN, voice) else None


class Peek:
    """A request's messages: read ahead, and given again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: list[Message] = []

    async def read(self) -> bytes:
        """Give the body; of one that is too slow or too large, what came."""
        data = b""
        try:
            async with asyncio.timeout(PEEK_SECONDS):
                while len(data) <= PEEK_BYTES:
                    message = await self._receive()
                    self._read.append(message)
                    data += message.get("body", b"")
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            pass
        self._read.reverse()
        return data

    async def receive(self) -> Message:
        """Give the next message: those that were read first."""
        return self._read.pop() if self._read else await self._receive()
