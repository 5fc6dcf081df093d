"""Middleware that checks each request's key, Host, Origin, body size and upload time; and the access log."""

import asyncio
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_cli.server.errors import Problem
from voice_cli.server.report import Report
from voice_cli.server.settings import LOOPBACK

log = logging.getLogger("voice.access")

log_labels: dict[str, str] = {}
"""Added to every line of the access log, such as the replica's name."""

BODY_SECONDS = 30.0
"""Timeout for a request's body."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of requests that any page may send: they change nothing, and a page of another origin cannot read answers."""
OPEN_PATHS = frozenset({"/", "/health", "/twilio"})
"""Paths without a key: the page asks for one itself, and calls send theirs in a message."""


class Guard:
    """ASGI middleware that refuses requests before they reach the app."""

    def __init__(
        self, app: ASGIApp, *, keys: tuple[str, ...], origins: Iterable[str], loopback: bool, max_body: int
    ) -> None:
        """Configure the checks. Without `keys`, every client is admitted.

        With `loopback` and no keys, the Host header must name this machine: this stops DNS rebinding, where a foreign
        page's name resolves to 127.0.0.1.
        """
        self._app = app
        self._keys = keys
        self._origins = frozenset(origins)
        self._own_names = LOOPBACK if loopback and not self._keys else None
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0
        request_id = request_id_of(scope)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            if message["type"].endswith((".start", ".accept")):
                message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", request_id.encode())]}
            await send(message)

        if scope.get("method") == "HEAD":  # the server sends the head of the answer to a GET
            scope = {**scope, "method": "GET"}

        problem = self._problem(scope)
        try:
            if problem is not None:
                await refuse(problem, scope, receive, watched)
            elif scope["type"] == "websocket":
                await self._app(scope, receive, watched)
            else:
                await self._app(scope, limited(receive, self._max_body), watched)
        finally:
            if status or scope["type"] == "http":  # a WebSocket's streams are logged one by one
                ms = round(1000 * (time.monotonic() - began), 1)
                method = "GET" if scope["type"] == "websocket" else scope["method"]
                log_line("request", id=request_id, method=method, path=scope["path"], status=status, ms=ms)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._own_names is not None and host_name(host) not in self._own_names:
            return Problem(421, "the Host header does not name this server", "invalid_request_error", code="wrong_host")
        if scope.get("method") not in SAFE_METHODS and not self._is_allowed(headers, host):
            return Problem(403, "this origin is not allowed", "invalid_request_error", code="origin")
        if self._keys and scope["path"] not in OPEN_PATHS:
            given = key_in(scope, headers)
            if given is None or not is_key(given, self._keys):
                missing = "this server wants an API key (send Authorization: Bearer …)"
                message = "the API key is wrong" if given else missing
                return Problem(401, message, "invalid_request_error", code="invalid_api_key")
        return None

    def _is_allowed(self, headers: Headers, host: str) -> bool:
        """Return whether a page may send this request. Browsers add one of the headers; other clients need none."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") != "cross-site" or "*" in self._origins
        own = origin.lower().partition("://")[2] == host.lower()
        return own or bool(self._origins & {"*", origin.lower()})


class BodyRefused(HTTPException):
    """The body is too large or too slow. An HTTPException, since FastAPI wraps other errors of a body's reader."""

    def __init__(self, status: int, message: str, code: str) -> None:
        # A body that is too large is read to its end: else its sender sees a broken connection instead of the answer.
        super().__init__(status, message, {"connection": "close"} if status == HTTPStatus.REQUEST_TIMEOUT else None)
        self.code = code


def limited(receive: Receive, most_bytes: int) -> Receive:
    """Return a function that receives a request's body, and raises BodyRefused if it is too large or too slow."""
    deadline = asyncio.get_running_loop().time() + BODY_SECONDS
    received = 0
    is_complete = False

    async def receive_limited() -> Message:
        nonlocal received, is_complete
        if is_complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise BodyRefused(408, "the request took too long to arrive", "timeout") from None
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
        if received > most_bytes:
            raise BodyRefused(413, f"the request is larger than {most_bytes} bytes", "too_large")
        return message

    return receive_limited


def request_id_of(scope: Scope) -> str:
    """Return the client's X-Request-ID, if it is a short word, or a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if re.fullmatch(r"[\w.:/+=-]{1,128}", given, re.ASCII) else f"req_{uuid.uuid4().hex}"


def is_key(given: str, keys: Iterable[str]) -> bool:
    """Compare with each key in constant time."""
    return sum(hmac.compare_digest(given.encode(), key.encode()) for key in keys) > 0


def key_in(scope: Scope, headers: Mapping[str, str]) -> str | None:
    """Return the key in a request. Browsers cannot set a WebSocket's headers, so its query may hold the key."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    if headers.get("x-api-key"):
        return headers["x-api-key"]
    if scope["type"] == "websocket":
        return next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("api_key", [])), None)
    return None


def host_name(host: str) -> str:
    """Return a Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


async def refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request or a WebSocket upgrade with an error."""
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": problem.message})
            return
    await problem.response()(scope, receive, send)


def log_stream(report: Report) -> None:
    """Log an ended stream, without its text."""
    log_line(
        "stream",
        protocol=report.protocol,
        codec=report.codec,
        outcome=report.outcome or "complete",
        reason=report.reason or None,
        characters=report.characters,
        audio_s=round(report.audio_seconds, 3),
        bytes=report.bytes,
        latency=report.latency(),
    )


def log_line(kind: str, **values: object) -> None:
    if log.isEnabledFor(logging.INFO):
        present = {key: value for key, value in values.items() if value is not None}
        log.info(json.dumps({**log_labels, "event": kind, **present}).replace("\x7f", "\\u007f"))
