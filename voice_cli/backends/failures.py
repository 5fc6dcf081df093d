"""What a server's refusal means, as one of our errors: shared by every backend that speaks HTTP."""

from voice_cli.errors import AuthenticationError, BackendError, ConfigError, RateLimitError, ServerError


def refusal(
    status: int,
    message: str | None,
    *,
    where: str,
    retry_after: str | None = None,
    location: str | None = None,
) -> BackendError:
    """Give the error for an HTTP status that is no 2xx. `message` is the server's own; `where` names the server."""
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
            hint="check --base-url (does it end in /v1?), --model and --voice",
        )
    if 300 <= status < 400:
        return ServerError(
            f"{where} sends us on to {location or 'another address'} ({status})",
            hint="use that address as --base-url, if you trust it with the key",
        )
    if status >= 500:
        return ServerError(
            f"{where} failed ({status}){said}", hint="try again; if it stays, it is the server's to mend"
        )
    return ServerError(f"{where} does not take the request ({status}){said}")


def check_key(key: str | None) -> None:
    """See that a header can carry the key.

    Raises:
        ConfigError: it cannot. Does not show it.

    """
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ConfigError("the API key has characters that no HTTP header can carry", hint="a line break, perhaps?")


def without_credentials(address: str) -> str:
    """Give an address that may be shown."""
    scheme, separator, rest = address.rpartition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"
