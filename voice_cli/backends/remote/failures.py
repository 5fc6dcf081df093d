"""The errors of all backends that use HTTP or WebSockets: refusals, failed connections, broken responses."""

from collections.abc import Mapping

from voice_cli.errors import (
    AuthenticationError,
    BackendError,
    ConfigError,
    Hint,
    NetworkError,
    RateLimitError,
    ServerError,
    TruncatedAudio,
)
from voice_cli.printable import one_line

LARGEST_ERROR = 65536
"""Bytes of an error's body that are read."""
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 525), 529})
"""The statuses after which the same request may succeed: of RFC 9110, RFC 8470 (425) and Cloudflare (520 to 524), and
529, "overloaded"."""
LONGEST_LENGTH = 18
"""Digits of a Content-Length that is believed."""
LONGEST_WAIT = 86400.0
"""Seconds: the most that `Retry-After` is believed."""


def refusal(status: int, message: str | None, *, where: str, headers: Mapping[str, str]) -> BackendError:
    """Return the error for an HTTP status that is not 2xx.

    `message` is the server's; `where` names the server; `headers` are the response's, found by names in lower case.
    A redirection's `location` should be a base URL.
    """
    reason = because(message)
    later = retry_after(headers.get("retry-after", ""))
    is_transient = status in TRANSIENT
    if status == 401:
        return AuthenticationError(
            f"{where} refuses the key (401){reason}",
            hint="set OPENAI_API_KEY, or the profile's api_key_env or api_key_command",
        )
    if status == 403:
        return AuthenticationError(
            f"{where} forbids the request (403){reason}", hint="check whether the key may use this model"
        )
    if status in (402, 429):
        return RateLimitError(
            f"{where} received too many requests, or no credit is left ({status}){reason}",
            hint=f"try again in {later:.0f} s" if later else "try again later",
            is_transient=is_transient,
            retry_after=later,
        )
    if status == 404:
        return ServerError(
            f"{where} does not have this address, model or voice (404){reason}",
            hint=Hint("check {base_url} (does it end in /v1?), {model} and {voice}"),
        )
    if 300 <= status < 400:
        return redirected(where, headers.get("location"), f" ({status})")
    if status >= 500:
        hint = "try again, or see its log"
        return ServerError(
            f"{where} failed ({status}){reason}", hint=hint, is_transient=is_transient, retry_after=later
        )
    return ServerError(f"{where} rejects the request ({status}){reason}", is_transient=is_transient, retry_after=later)


def retry_after(value: str) -> float | None:
    """Return the seconds of a `Retry-After` header, a number or a date (RFC 9110, 10.2.3); None: it is not valid."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_WAIT)
    if not value:
        return None
    import time
    from email.utils import parsedate_to_datetime

    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError, TypeError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT)


def because(message: str | None) -> str:
    """Return a server's message as the end of ours; empty: it sent none."""
    return f": {one_line(message)}" if message else ""


def redirected(where: str, target: str | None, status: str = "") -> ServerError:
    if not target:
        return ServerError(
            f"{where} redirects to an address that is not valid{status}", hint="see its documentation for its address"
        )
    return ServerError(
        f"{where} redirects to {one_line(target)}{status}",
        hint=Hint("use that address as {base_url}, if you trust it with the key"),
    )


def no_address(where: str) -> NetworkError:
    return NetworkError(f"cannot resolve {where}", hint="check the name and the network", is_transient=True)


def nothing_answers(where: str) -> NetworkError:
    return NetworkError(f"{where} refused the connection", hint="is the server running?", is_transient=True)


def no_connection(where: str, timeout: float) -> NetworkError:
    return NetworkError(
        f"no connection to {where} within {timeout:g} s", hint=Hint("raise {timeout}"), is_transient=True
    )


def not_secure(where: str, reason: str, *, is_cut: bool = False) -> NetworkError:
    """Return the error for a TLS handshake. `is_cut`: the connection ended in it, and nothing was wrong with it."""
    return NetworkError(
        f"no secure connection to {where}: {one_line(reason)}",
        hint="SSL_CERT_FILE names another set of certificate authorities",
        is_transient=is_cut,
    )


def not_http(where: str) -> ServerError:
    return ServerError(f"the server at {where} does not speak HTTP", hint="check the port")


def no_answer(where: str) -> NetworkError:
    return NetworkError(f"{where} closed the connection without a response", hint="see its log", is_transient=True)


def silent(where: str, timeout: float, received: int) -> NetworkError | TruncatedAudio:
    """Return the error for a timeout after `received` bytes of audio."""
    if received:
        return TruncatedAudio(
            f"{where} sent nothing more for {timeout:g} s, after {received} bytes", hint=Hint("raise {timeout}")
        )
    return NetworkError(f"{where} did not answer within {timeout:g} s", hint=Hint("raise {timeout}"), is_transient=True)


def broken(where: str, received: int, headers: Mapping[str, str] | None = None) -> TruncatedAudio:
    """Return the error for a connection that ended after `received` bytes of audio.

    `headers`: those of the response if the server closed the connection in good order, but before the end.
    """
    lack = ""
    if headers is not None:
        length = body_length(headers)
        if length is not None:
            lack = f", of {length} announced"
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            lack = ", before its last chunk"
    return TruncatedAudio(f"the connection to {where} broke after {received} bytes of audio{lack}")


def body_length(headers: Mapping[str, str]) -> int | None:
    """Return the bytes of a body by its headers, with names in lower case; None: they do not say it."""
    length = headers.get("content-length", "")
    is_number = length.isascii() and length.isdigit() and len(length) <= LONGEST_LENGTH
    return int(length) if is_number and not {"content-encoding", "transfer-encoding"} & headers.keys() else None


def check_key(key: str | None) -> None:
    """Check that a header can carry the key. The error does not show it.

    Raises:
        ConfigError: it has other characters than printable ASCII.

    """
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ConfigError(
            "the API key has characters that an HTTP header cannot carry", hint="check it for line breaks"
        )


def proxy_failed(proxy: str, reason: str) -> NetworkError:
    """Return the error for a proxy; `proxy` names it and the environment variable that sets it."""
    return NetworkError(f"the proxy {proxy} {reason}", hint="set the variable right, or add the server to no_proxy")


def undecodable(where: str, encoding: str) -> ServerError:
    return ServerError(f"the answer of {where} cannot be decoded (content-encoding {one_line(encoding)})")
