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


def refusal(status: int, message: str | None, *, where: str, headers: Mapping[str, str]) -> BackendError:
    """Return the error for an HTTP status that is not 2xx.

    `message` is the server's; `where` names the server; `headers` are the response's, found by names in lower case.
    A redirection's `location` should be a base URL.
    """
    reason = because(message)
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
        retry_after = headers.get("retry-after", "")
        wait = f"try again in {retry_after} s" if retry_after.isdigit() else "try again later"
        return RateLimitError(f"{where} received too many requests, or no credit is left ({status}){reason}", hint=wait)
    if status == 404:
        return ServerError(
            f"{where} does not have this address, model or voice (404){reason}",
            hint=Hint("check {base_url} (does it end in /v1?), {model} and {voice}"),
        )
    if 300 <= status < 400:
        return redirected(where, headers.get("location"), f" ({status})")
    if status >= 500:
        return ServerError(f"{where} failed ({status}){reason}", hint="try again, or see its log")
    return ServerError(f"{where} rejects the request ({status}){reason}")


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
    return NetworkError(f"cannot resolve {where}", hint="check the name and the network")


def nothing_answers(where: str) -> NetworkError:
    return NetworkError(f"{where} refused the connection", hint="is the server running?")


def no_connection(where: str, timeout: float) -> NetworkError:
    return NetworkError(f"no connection to {where} within {timeout:g} s", hint=Hint("raise {timeout}"))


def not_secure(where: str, reason: str) -> NetworkError:
    return NetworkError(
        f"no secure connection to {where}: {one_line(reason)}",
        hint="SSL_CERT_FILE names another set of certificate authorities",
    )


def not_http(where: str) -> ServerError:
    return ServerError(f"the server at {where} does not speak HTTP", hint="check the port")


def no_answer(where: str) -> NetworkError:
    return NetworkError(f"{where} closed the connection without a response", hint="see its log")


def silent(where: str, timeout: float, received: int) -> NetworkError | TruncatedAudio:
    """Return the error for a timeout after `received` bytes of audio."""
    if received:
        return TruncatedAudio(
            f"{where} sent nothing more for {timeout:g} s, after {received} bytes", hint=Hint("raise {timeout}")
        )
    return NetworkError(f"{where} did not answer within {timeout:g} s", hint=Hint("raise {timeout}"))


def broken(where: str, received: int) -> TruncatedAudio:
    return TruncatedAudio(f"the connection to {where} broke after {received} bytes of audio")


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
