"""Errors for the failures of a WebSocket: RFC 6455 section 7.4 and the registry of its close codes."""

import socket
import ssl

from websockets import exceptions
from websockets.uri import WebSocketURI

from voice_cli.backends.remote import failures
from voice_cli.backends.remote.failures import because
from voice_cli.errors import (
    AuthenticationError,
    BackendError,
    Hint,
    NetworkError,
    RateLimitError,
    ServerError,
    TruncatedAudio,
    VoiceError,
)
from voice_cli.printable import one_line
from voice_cli.protocol import openai

NOT_THAT_SERVER = Hint("is it this kind of server, and {base_url} its root?")

_UNAUTHORIZED, _FORBIDDEN, _TRY_AGAIN_LATER = 3000, 3003, 1013
_TRANSIENT = frozenset({1000, 1001, 1005, 1011, 1012, 1013, 1014})
"""The codes after which the same request may succeed. A session that is closed in good order (1000, or 1005: no code)
before its end was not refused: its server has stopped."""
_CLOSED = {
    1000: "closed the session before its end",
    1001: "is going away",
    1005: "closed the session before its end",
    1008: "rejects the request",
    1009: "rejects the message as too large",
    1011: "failed",
    1012: "restarts",
}


def failed(exc: BaseException, *, where: str, timeout: float, received: int | None = None) -> VoiceError:
    """Return the error for what ended a session after `received` bytes of the utterance; None: it was not opened."""
    if isinstance(exc, VoiceError):
        failure = exc
    elif received is None:
        failure = _connecting(exc, where, timeout)
    else:
        failure = _failure(exc, where, timeout, received)
    if received and isinstance(failure, BackendError):
        failure = TruncatedAudio(f"the speech broke off after {received} bytes: {failure.message}", hint=failure.hint)
    if failure is not exc:
        failure.__cause__ = exc
    return failure


def redirected_to(uri: WebSocketURI, *, where: str, path: str) -> ServerError:
    """Return the error for a redirection of a request for `path`, with the base URL to use."""
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    path = uri.path.removesuffix(path.partition("?")[0])
    return failures.redirected(where, f"{'wss' if uri.secure else 'ws'}://{host}:{uri.port}{path}")


def _connecting(exc: BaseException, where: str, timeout: float) -> VoiceError:
    if isinstance(exc, exceptions.InvalidStatus):
        return _refused(exc, where)
    if isinstance(exc, TimeoutError):
        return failures.no_connection(where, timeout)
    if isinstance(exc, ssl.SSLError | ssl.CertificateError):
        is_cut = isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        return failures.not_secure(where, getattr(exc, "reason", None) or str(exc), is_cut=is_cut)
    if isinstance(exc, socket.gaierror):
        return failures.no_address(where)
    if isinstance(exc, ConnectionRefusedError):
        return failures.nothing_answers(where)
    if isinstance(exc, exceptions.ProxyError):
        return NetworkError(f"the proxy on the way to {where} refuses the connection: {one_line(str(exc))}")
    if isinstance(exc.__cause__, exceptions.SecurityError):  # of `websockets`, which reads 1 MiB of a body
        return ServerError(f"the response of {where} exceeds a limit: {one_line(str(exc.__cause__))}")
    if isinstance(exc, exceptions.InvalidMessage):
        return failures.no_answer(where) if isinstance(exc.__cause__, EOFError) else failures.not_http(where)
    if isinstance(exc, exceptions.InvalidHandshake):
        return ServerError(f"the server at {where} does not speak WebSocket: {one_line(str(exc))}")
    return NetworkError(f"cannot reach {where}: {one_line(str(exc))}", is_transient=True)


def _refused(exc: exceptions.InvalidStatus, where: str) -> BackendError:
    response = exc.response
    message = openai.error_message(bytes(response.body or b""))
    status = response.status_code
    if status == 403:  # Starlette also answers 403 if it has no such path
        hint = Hint(f"is the key right? {NOT_THAT_SERVER.template}")
        return AuthenticationError(f"{where} forbids the request (403){because(message)}", hint=hint)
    if status in (200, 404, 405, 426):
        return ServerError(f"{where} has no such WebSocket ({status}){because(message)}", hint=NOT_THAT_SERVER)
    headers = {name.lower(): value for name, value in response.headers.raw_items()}  # `get` raises for duplicates
    return failures.refusal(status, message, where=where, headers=headers)


def _failure(exc: BaseException, where: str, timeout: float, received: int) -> VoiceError:
    if isinstance(exc, TimeoutError):
        return failures.silent(where, timeout, received)
    if isinstance(exc, exceptions.ConnectionClosed):
        if exc.rcvd is not None:
            return _closed(exc.rcvd.code, exc.rcvd.reason, where)
        if exc.sent is not None:  # our side closed because of a protocol error
            return ServerError(f"{where} violates the WebSocket protocol: {one_line(exc.sent.reason)}")
        return failures.broken(where, received) if received else failures.no_answer(where)
    if isinstance(exc, ValueError):
        return ServerError(f"{where} sent an invalid message: {one_line(str(exc))}", hint=NOT_THAT_SERVER)
    return ServerError(f"the speech of {where} failed: {one_line(str(exc) or type(exc).__name__)}")


def _closed(code: int, reason: str, where: str) -> BackendError:
    if code == _TRY_AGAIN_LATER:
        return RateLimitError(f"{where} is busy (1013){because(reason)}", hint="try again later", is_transient=True)
    if code in (_UNAUTHORIZED, _FORBIDDEN):
        return AuthenticationError(f"{where} refuses the key ({code}){because(reason)}")
    return ServerError(
        f"{where} {_CLOSED.get(code, 'closed the connection')} ({code}){because(reason)}",
        is_transient=code in _TRANSIENT,
    )
