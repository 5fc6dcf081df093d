"""What goes wrong with a WebSocket, as one of our errors: RFC 6455 section 7.4 and the registry of its close codes."""

import socket
import ssl

from websockets import exceptions

from voice_cli.backends.remote import failures
from voice_cli.errors import (
    AuthenticationError,
    BackendError,
    Hint,
    NetworkError,
    RateLimitError,
    ServerError,
    TruncatedAudio,
    VoiceError,
    one_line,
)
from voice_cli.protocol import openai

TRY_LATER = "try again later"
NOT_THAT_SERVER = Hint("is it this kind of server, and {base_url} its root?")

_UNAUTHORIZED, _FORBIDDEN = 3000, 3003
_CLOSED = {
    1000: "ended without saying all",
    1001: "is going away",
    1008: "does not allow it",
    1009: "finds it too large",
    1011: "failed",
    1012: "starts anew",
}


def connecting_failed(exc: Exception, *, where: str, timeout: float) -> VoiceError:
    """Return the error for what `connect` raised."""
    failure = _connecting(exc, where, timeout)
    if failure is not exc:
        failure.__cause__ = exc
    return failure


def _connecting(exc: Exception, where: str, timeout: float) -> VoiceError:
    if isinstance(exc, VoiceError):
        return exc
    if isinstance(exc, exceptions.InvalidStatus):
        return _refused(exc, where)
    if isinstance(exc, TimeoutError):
        return failures.no_connection(where, timeout)
    if isinstance(exc, ssl.SSLError | ssl.CertificateError):
        return failures.not_secure(where, getattr(exc, "reason", None) or str(exc))
    if isinstance(exc, socket.gaierror):
        return failures.no_address(where)
    if isinstance(exc, ConnectionRefusedError):
        return failures.nothing_answers(where)
    if isinstance(exc, exceptions.ProxyError):
        return NetworkError(f"the proxy on the way to {where} does not let us through: {one_line(str(exc))}")
    if isinstance(exc, exceptions.InvalidMessage):
        if isinstance(exc.__cause__, EOFError):
            return failures.no_answer(where)
        return ServerError(f"what answers at {where} does not speak HTTP", hint="is the port right?")
    if isinstance(exc, exceptions.InvalidHandshake):
        return ServerError(f"what answers at {where} does not speak WebSocket: {one_line(str(exc))}")
    return NetworkError(f"{where} was not reached: {one_line(str(exc))}")


def _refused(exc: exceptions.InvalidStatus, where: str) -> BackendError:
    response = exc.response
    said = openai.error_message(bytes(response.body or b""))
    status = response.status_code
    if status == 403:  # Starlette and its like answer so where they have no such address, too
        return AuthenticationError(
            f"{where} forbids it (403){_because(said)}", hint=Hint(f"is the key right? {NOT_THAT_SERVER.template}")
        )
    if status in (200, 404, 405, 426):
        return ServerError(f"{where} has no such WebSocket ({status}){_because(said)}", hint=NOT_THAT_SERVER)
    return failures.refusal(
        status,
        said,
        where=where,
        retry_after=response.headers.get("Retry-After"),
        location=response.headers.get("Location"),
    )


def failed(exc: BaseException, *, where: str, timeout: float, received: int) -> VoiceError:
    """Return the error for what ended a session, `received` bytes into an utterance's sound."""
    failure = _failure(exc, where, timeout, received)
    if received and isinstance(failure, BackendError):
        failure = TruncatedAudio(f"the speech broke off after {received} bytes: {failure.message}", hint=failure.hint)
    if failure is not exc:
        failure.__cause__ = exc
    return failure


def _failure(exc: BaseException, where: str, timeout: float, received: int) -> VoiceError:
    if isinstance(exc, VoiceError):
        return exc
    if isinstance(exc, TimeoutError):
        return failures.silent(where, timeout, received)
    if isinstance(exc, exceptions.ConnectionClosed):
        if exc.rcvd is not None:
            return closed(exc.rcvd.code, exc.rcvd.reason, where)
        if exc.sent is not None:  # the other side broke the protocol
            return ServerError(f"{where} does not keep to the rules of WebSockets: {one_line(exc.sent.reason)}")
        return failures.broken(where, received) if received else failures.no_answer(where)
    if isinstance(exc, ValueError):
        return ServerError(f"{where} does not speak the protocol: {one_line(str(exc))}", hint=NOT_THAT_SERVER)
    return ServerError(f"the speech of {where} failed: {one_line(str(exc) or type(exc).__name__)}")


def closed(code: int, reason: str, where: str) -> BackendError:
    """Return the error for a close that came too soon."""
    because = _because(reason)
    if code == 1013:
        return RateLimitError(f"{where} is busy (1013){because}", hint=TRY_LATER)
    if code in (_UNAUTHORIZED, _FORBIDDEN):
        return AuthenticationError(f"{where} refuses the key ({code}){because}")
    return ServerError(f"{where} {_CLOSED.get(code, 'closed the connection')} ({code}){because}")


def _because(said: str | None) -> str:
    return f": {one_line(said)}" if said else ""
