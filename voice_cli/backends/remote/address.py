"""A server's address: checked and parsed once, so that a request's path comes before its query (RFC 3986).

`urllib.parse` and `idna` are imported only for an address that needs them: they take longer than the rest.
"""

import os
from collections.abc import Collection
from typing import NamedTuple

from voice_cli.errors import ConfigError
from voice_cli.printable import one_line

MAX_REDIRECTS = 5

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/")
"""The characters of an address without user, query, percent-encoding or IPv6 address."""
_SAFE = "%:@!$&'()*+,;=~-._"
"""The characters that a path may have besides letters and digits; the rest is percent-encoded."""


class Address(NamedTuple):
    """The address of a server."""

    scheme: str
    """In lower case."""
    credentials: str
    """`user:password@`, or empty."""
    place: str
    """Host and port, in ASCII."""
    path: str
    """Without a slash at its end."""
    query: str = ""

    def url(self, path: str, *, scheme: str | None = None) -> str:
        """Return the URL of a path below this address, which may have a query of its own."""
        query = f"{'&' if '?' in path else '?'}{self.query}" if self.query else ""
        return f"{scheme or self.scheme}://{self.credentials}{self.place}{self.path}{path}{query}"

    def without(self, ending: str) -> "Address":
        """Return the address without this ending of its path."""
        return self._replace(path=self.path.removesuffix(ending))


def parse_address(url: str, schemes: Collection[str]) -> Address:
    """Parse an address of one of these schemes.

    Raises:
        ConfigError: it is invalid; the message has no credentials.

    """
    scheme, separator, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in schemes:
        raise _invalid(url, f"it does not begin with {' or '.join(f'{name}://' for name in schemes)}")
    place, _, path = rest.partition("/")
    host, _, port = place.partition(":")
    if not (_PLAIN.issuperset(rest) and host and (not port or (port.isdigit() and 0 < int(port) < 1 << 16))):
        return _parse(url, scheme, rest)
    return Address(scheme, "", place, f"/{path}".rstrip("/"))


def _parse(url: str, scheme: str, rest: str) -> Address:
    from urllib.parse import quote, urlsplit

    if not rest.isprintable() or "\\" in rest:
        raise _invalid(url, "it has a character that no address has")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError as exc:
        raise _invalid(url, str(exc)) from None
    if not host or port == 0:
        raise _invalid(url, "it has no host" if not host else "it has no port")
    if parts.fragment:
        raise _invalid(url, "it has a fragment (#)")
    credentials = "" if parts.username is None else f"{parts.netloc.rpartition('@')[0]}@"
    place = f"[{host}]" if ":" in host else _ascii_host(url, host)
    return Address(
        scheme,
        quote(credentials, safe=_SAFE),
        place if port is None else f"{place}:{port}",
        quote(parts.path.rstrip("/"), safe=f"/{_SAFE}"),
        quote(parts.query, safe=f"/?{_SAFE}"),
    )


def _ascii_host(url: str, host: str) -> str:
    """Return an internationalized host name in ASCII (RFC 5891, UTS 46)."""
    if host.isascii():
        if " " in host:
            raise _invalid(url, "its host has a space")
        return host
    import idna

    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError as exc:
        raise _invalid(url, f"its host is not valid: {exc}") from None


def _invalid(url: str, reason: str) -> ConfigError:
    return ConfigError(f"base_url {without_credentials(url)!r} is not the address of a server: {reason}")


def without_credentials(url: str) -> str:
    """Return an address without user and password, which need not be valid."""
    scheme, separator, rest = url.rpartition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"


def redirected_url(url: str, location: str) -> str | None:
    """Return the URL of the `Location` header of an answer from `url`; None: it has another origin, or is invalid."""
    from urllib.parse import quote, urljoin, urlsplit

    try:
        old, new = urlsplit(url), urlsplit(urljoin(url, location))
        if (old.scheme, old.hostname, old.port or 0) != (new.scheme, new.hostname, new.port or 0):
            return None
    except ValueError:
        return None
    # The same place: with the user and the password, which a header does not repeat.
    return new._replace(
        netloc=old.netloc,
        path=quote(new.path, safe=f"/{_SAFE}"),
        query=quote(new.query, safe=f"/?{_SAFE}"),
        fragment="",
    ).geturl()


def redirected_file(url: str, location: str) -> tuple[str, str] | None:
    """Return the URL and the server to which the answer from `url` redirects, which may be another server.

    None: it is not valid, or leads from https to http. User and password are sent only to the same origin.
    """
    from urllib.parse import urljoin, urlsplit

    same = redirected_url(url, location)
    if same is not None:
        return same, urlsplit(same).netloc.rpartition("@")[2]
    try:
        target = urljoin(url, location).partition("#")[0]
        address = parse_address(target, ("https",) if url.startswith("https:") else ("http", "https"))
    except (ConfigError, ValueError):
        return None
    address = address._replace(credentials="")
    return address.url("/" if target.partition("?")[0].endswith("/") else ""), address.place


def redirected_base(url: str, location: str, path: str) -> str | None:
    """Return the base URL to which a redirection of a request for `path` leads; None: it is invalid."""
    from urllib.parse import urljoin

    try:
        target = parse_address(urljoin(url, location).partition("#")[0], ("http", "https"))
    except (ConfigError, ValueError):
        return None
    return target.without(path)._replace(credentials="", query="").url("")


def proxy_of(url: str) -> str:
    """Return the proxy that libcurl uses for a URL, and the environment variable that sets it."""
    scheme = url.partition("://")[0]
    variables = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    variable = next((name for name in variables if name != "HTTP_PROXY" and os.environ.get(name)), None)
    if variable is None:
        return "of this system"
    return f"{one_line(os.environ[variable].rpartition('://')[2].rpartition('@')[2])} (${variable})"
