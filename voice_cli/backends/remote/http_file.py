"""A file of an HTTP server, as a stream that a speech can have."""

from voice_cli.audio import Encoding
from voice_cli.backends.remote import failures
from voice_cli.backends.remote.address import MAX_REDIRECTS, parse_address, redirected_file
from voice_cli.backends.remote.curl import pycurl
from voice_cli.backends.remote.http import new_handle, trust_system_certificates
from voice_cli.backends.remote.http_transfer import HttpStream, Transfers
from voice_cli.errors import BackendError, ServerError

REDIRECTIONS = (301, 302, 303, 307, 308)


def open_file(transfers: Transfers, url: str, expected: Encoding, *, timeout: float) -> "HttpFile":
    """Request a file, and return its stream.

    `expected`: the encoding, if its name states one. `timeout`: seconds without data after which it fails.

    Raises:
        ConfigError: the URL is not valid.

    """
    address = parse_address(url.partition("#")[0], ("http", "https"))
    ends_in_slash = url.partition("#")[0].partition("?")[0].endswith("/")
    easy = new_handle(timeout)
    trust_system_certificates(easy)  # a redirection may lead to https
    easy.setopt(pycurl.HTTPHEADER, ["Accept-Encoding:"])
    stream = HttpFile(transfers, easy, address, "/" if ends_in_slash else "", timeout=timeout, expected=expected)
    stream.send(0)
    return stream


class HttpFile(HttpStream):
    """The body of a file, as it arrives."""

    def follow(self) -> bool:
        """Follow a redirection, to any server, but not from https to http. No key is sent that it could reveal."""
        location = self._headers.get("location")
        if self._status not in REDIRECTIONS or location is None or self._redirects >= MAX_REDIRECTS:
            return False
        target = redirected_file(self._url, location)
        if target is None:
            return False
        self._redirects += 1
        self._url, self._where = target
        self._error_body.clear()
        self._headers.clear()
        self._status, self._has_head = 0, False  # so that a failed connection is not taken for the redirection
        self.easy.setopt(pycurl.URL, self._url)
        return True

    def _refusal(self, message: str | None, headers: dict[str, str]) -> BackendError:
        del message  # a page for people
        if self._status in (404, 410):
            return ServerError(f"{self._where} does not have this file ({self._status})")
        if self._status in (401, 403):
            return ServerError(f"{self._where} does not give access to this file ({self._status})")
        if self._status in REDIRECTIONS:
            return ServerError(f"{self._where} redirects to an address that is not followed ({self._status})")
        return failures.refusal(self._status, None, where=self._where, headers=headers)
