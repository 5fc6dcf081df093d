"""What a server's refusal means, or that none answers, as one of our errors: shared by all that speak HTTP."""

from voice_cli.errors import (
    AuthenticationError,
    BackendError,
    ConfigError,
    Hint,
    NetworkError,
    RateLimitError,
    ServerError,
    TruncatedAudio,
    one_line,
)


def refusal(
    status: int,
    message: str | None,
    *,
    where: str,
    retry_after: str | None = None,
    location: str | None = None,
) -> BackendError:
    """Return the error for an HTTP status that is no 2xx. `message` is the server's own; `where` names the server."""
    said = f": {message}" if message else ""
    if status == 401:
        return AuthenticationError(
            f"{where} refuses the key (401){said}",
            hint="set OPENAI_API_KEY, or the profile's api_key_env or api_key_command",
        )
    if status == 403:
        return AuthenticationError(f"{where} forbids it (403){said}", hint="may this key use this model?")
    if status in (402, 429):
        wait = f"try again in {retry_after} s" if retry_after and retry_after.isdigit() else "try again later"
        return RateLimitError(f"{where} has had too many requests, or no credit is left ({status}){said}", hint=wait)
    if status == 404:
        return ServerError(
            f"{where} knows no such address, model or voice (404){said}",
            hint=Hint("check {base_url} (does it end in /v1?), {model} and {voice}"),
        )
    if 300 <= status < 400:
        return ServerError(
            f"{where} sends us on to {location or 'another address'} ({status})",
            hint=Hint("use that address as {base_url}, if you trust it with the key"),
        )
    if status >= 500:
        return ServerError(
            f"{where} failed ({status}){said}", hint="try again; if it stays, it is the server's to mend"
        )
    return ServerError(f"{where} does not take the request ({status}){said}")


def no_address(where: str) -> NetworkError:
    return NetworkError(f"no address is known for {where}", hint="is the name right, and the network up?")


def nothing_answers(where: str) -> NetworkError:
    return NetworkError(f"nothing answers at {where}: the connection was refused", hint="is the server running?")


def no_connection(where: str, timeout: float) -> NetworkError:
    return NetworkError(f"no connection to {where} within {timeout:g} s", hint=Hint("raise {timeout}"))


def not_secure(where: str, reason: str) -> NetworkError:
    return NetworkError(
        f"no secure connection to {where}: {one_line(reason)}",
        hint="SSL_CERT_FILE names another set of certificate authorities",
    )


def no_answer(where: str) -> NetworkError:
    return NetworkError(f"{where} closed the connection without an answer", hint="its log may say why")


def silent(where: str, timeout: float, received: int) -> NetworkError | TruncatedAudio:
    """Return the error for a server from which nothing came for so long, `received` bytes of sound after it began."""
    if received:
        return TruncatedAudio(
            f"{where} sent nothing more for {timeout:g} s, after {received} bytes", hint=Hint("raise {timeout}")
        )
    return NetworkError(f"{where} did not answer within {timeout:g} s", hint=Hint("raise {timeout}"))


def broken(where: str, received: int) -> TruncatedAudio:
    return TruncatedAudio(f"the connection to {where} broke after {received} bytes of audio")


def check_key(key: str | None) -> None:
    """Check that a header can carry the key.

    Raises:
        ConfigError: it cannot. Does not show it.

    """
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ConfigError("the API key has characters that no HTTP header can carry", hint="a line break, perhaps?")


def without_credentials(address: str) -> str:
    """Return an address that may be shown."""
    scheme, separator, rest = address.rpartition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"
