"""Routes a request to the replica that has its voice cached or its call open. Runs in Ray's proxies.

The voice is read from the URL or the body; a WebSocket's messages come too late for routing.
"""

import asyncio
import contextlib
import json
import re
from collections import deque
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_cli.server.voices import PATTERN

HEADER = "serve_multiplexed_model_id"
"""Ray Serve's routing header. One that a client sends is kept."""

CALL = re.compile(r"/twilio/([A-Za-z0-9_\-]{1,64})/[a-z]+")
"""Paths of requests to an active call."""

SPEAKING = frozenset({"/v1/audio/speech", "/synthesize"})
"""Paths whose bodies name a voice."""

PEEK_SECONDS = 1.0
PEEK_BYTES = 256 << 10
"""Limits of what is read of a body to find its voice."""


class Affinity:
    """ASGI middleware that adds the routing header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and HEADER not in Headers(scope=scope):
            key = key_of(scope)
            if key is None and scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in SPEAKING:
                body, receive = await peek(receive)
                key = voice_in(body)
            if key is not None:
                scope = {**scope, "headers": [*scope["headers"], (HEADER.encode(), key.encode())]}
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Return the middlewares for Ray's proxies (`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names this function)."""
    return [Middleware(Affinity)]


def call_key(stream_sid: str) -> str:
    """Return a call's routing key. Its slash keeps it apart from voice ids."""
    return f"call/{stream_sid}"


def key_of(scope: Scope) -> str | None:
    """Return the routing key in a request's URL."""
    call = CALL.fullmatch(scope["path"])
    if call is not None:
        return call_key(call[1])
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return next((voice for name in ("voice", "voice_id") if (voice := as_voice(query.get(name, [None])[0]))), None)


def voice_in(body: bytes) -> str | None:
    """Return the voice in a body: OpenAI's `voice`, a string or `{id}`, or the Chatterbox document's `voice_id`."""
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


async def peek(receive: Receive) -> tuple[bytes, Receive]:
    """Return a request's body, or its beginning if it is too slow or too large, and a `receive` that repeats it."""
    messages: deque[Message] = deque()
    body = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PEEK_SECONDS):
            while len(body) <= PEEK_BYTES:
                messages.append(await receive())
                body += messages[-1].get("body", b"")
                if not messages[-1].get("more_body", False):
                    break

    async def repeated() -> Message:
        return messages.popleft() if messages else await receive()

    return body, repeated
