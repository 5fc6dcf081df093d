"""Download a file over HTTP with libcurl: resumed after a break, checked, and never half at its place."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from voice_cli import __version__
from voice_cli.backends.remote.curl import pycurl
from voice_cli.backends.remote.http import trust_system_certificates
from voice_cli.errors import FileError, NetworkError, ServerError, UsageError, VoiceError, server_name
from voice_cli.folders import write_atomically
from voice_cli.printable import one_line
from voice_cli.voices.catalogue import RemoteFile

MAX_BYTES = 8 << 30
MAX_REDIRECTS = 10
ATTEMPTS = 5
"""Attempts in a row that bring no byte before the download fails."""

Progress = Callable[[int, int | None], object]
"""Called with the bytes that are there and those of the whole file, if known."""


def download(
    file: RemoteFile, path: str, *, on_progress: Progress = lambda *_: None, timeout: float = 30.0, pause: float = 1.0
) -> str:
    """Download a file to `path`, and return its SHA-256. Its folder must exist.

    What has arrived is kept at `path` + `.part`. Another call continues it, if the server still has the same file.

    Args:
        file: the address, and what is known of the content.
        path: the file to write.
        on_progress: called on this thread; what it raises ends the download.
        timeout: seconds without data after which the connection is closed, and another attempt made.
        pause: seconds before another attempt.

    Raises:
        UsageError: the address is neither HTTPS nor HTTP with a checksum.
        NetworkError, ServerError: the server was not reached, or sends another file than expected.
        FileError: the file cannot be written.

    """
    check_address(file)
    part = _Part(path, file)
    failures = 0
    while True:
        before = part.size
        try:
            part.fetch(on_progress, timeout, allows_http=bool(file.sha256))
            break
        except NetworkError:
            failures = failures + 1 if part.size <= before else 0
            if failures >= ATTEMPTS:
                raise
            time.sleep(pause)
    return part.finish()


def check_address(file: RemoteFile) -> None:
    """Raise UsageError unless the address is HTTPS, or HTTP with a checksum."""
    scheme = file.url.partition("://")[0].lower()
    if scheme != "https" and not (scheme == "http" and file.sha256):
        hint = "use https; http needs a SHA-256 of the file"
        raise UsageError(f"cannot download from {one_line(file.url)}", hint=hint)


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Part:
    """The part of a file that has arrived, and what identifies the file at the server."""

    def __init__(self, path: str, file: RemoteFile) -> None:
        self._path = path
        self._file = file
        self._where = server_name(file.url)
        self._part = f"{path}.part"
        self._about = f"{path}.part.json"
        self._validator = self._stored_validator()
        self._headers: dict[str, str] = {}
        self._status = 0
        self._error: BaseException | None = None

    @property
    def size(self) -> int:
        with contextlib.suppress(OSError):
            return os.path.getsize(self._part)
        return 0

    def _stored_validator(self) -> str:
        """Return the ETag, or the date, of the file that the part is of; empty: it cannot be continued."""
        try:
            with open(self._about, encoding="utf-8") as file:
                about = json.load(file)
            return str(about["validator"]) if about["url"] == self._file.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def fetch(self, on_progress: Progress, timeout: float, *, allows_http: bool) -> None:
        """Make one request: for the rest if there is a part that can be continued, else for all."""
        at = self.size if self._validator else 0
        if self._file.size is not None and at == self._file.size:
            return
        self._headers, self._status, self._error = {}, 0, None
        try:
            with open(self._part, "ab" if at else "wb") as output:
                code, reason = self._perform(output, at, on_progress, timeout, allows_http)
        except OSError as error:
            raise FileError(f"cannot write {self._part}: {error.strerror}") from error
        if isinstance(self._error, ServerError):  # what has arrived is of no use
            self._restart()
        if self._error is not None:
            raise self._error
        if code in (pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_TOO_MANY_REDIRECTS):
            raise ServerError(f"{self._where} redirects too often, or to an address that is not secure")
        if self._status == 416:  # the part is not of this file
            self._restart()
            raise NetworkError(f"{self._where} does not continue {self._file.name}")
        if self._status >= 300 or (not self._status and not code):
            raise ServerError(
                f"{self._where} has no {self._file.name} ({self._status})"
                if self._status == 404
                else f"{self._where} rejects the download of {self._file.name} ({self._status})",
                hint="check the address",
            )
        if code:
            raise _failure(code, reason, self._where)

    def _perform(
        self, output: BinaryIO, at: int, on_progress: Progress, timeout: float, allows_http: bool
    ) -> tuple[int, str]:
        easy = pycurl.Curl()
        protocols = pycurl.PROTO_HTTPS | (pycurl.PROTO_HTTP if allows_http else 0)
        options: dict[int, Any] = {
            pycurl.URL: self._file.url,
            pycurl.PROTOCOLS: protocols,
            pycurl.REDIR_PROTOCOLS: protocols,
            pycurl.FOLLOWLOCATION: True,
            pycurl.MAXREDIRS: MAX_REDIRECTS,
            pycurl.USERAGENT: f"voice-cli/{__version__}",
            pycurl.CONNECTTIMEOUT_MS: int(timeout * 1000),
            pycurl.HEADERFUNCTION: self._on_header,
            pycurl.NOPROGRESS: False,
            pycurl.HTTPHEADER: [f"Range: bytes={at}-", f"If-Range: {self._validator}"] if at else [],
        }
        done, heard = at, time.monotonic()

        def write(data: bytes) -> int | None:
            nonlocal done, heard
            try:
                if not 200 <= self._status < 300:
                    return None  # the page of an error
                if done == at:
                    done = self._begin(output, at)
                done, heard = done + len(data), time.monotonic()
                if done > (self._file.size if self._file.size is not None else MAX_BYTES):
                    raise ServerError(f"{self._where} sends another {self._file.name} than expected: it is too large")
                output.write(data)
            except BaseException as error:
                self._error = error
                return -1
            return None

        def progress(*_: float) -> int:
            """Stop a transfer that stalls: libcurl's own limit counts whole seconds."""
            try:
                total = self._headers.get("content-length", "")
                known = self._file.size or (done_at_start(total) if total.isdecimal() else None)
                on_progress(done, known)
            except BaseException as error:
                self._error = error
                return 1
            return int(time.monotonic() - heard > timeout)

        def done_at_start(total: str) -> int:
            return int(total) + (at if self._status == 206 else 0)

        trust_system_certificates(easy)
        easy.setopt(pycurl.WRITEFUNCTION, write)
        easy.setopt(pycurl.XFERINFOFUNCTION, progress)
        try:
            for option, value in options.items():
                easy.setopt(option, value)
            easy.perform()
        except pycurl.error as error:
            return int(error.args[0]), str(error.args[1])
        finally:
            easy.close()
        return 0, ""

    def _on_header(self, line: bytes) -> None:
        text = line.decode("latin-1").strip()
        if text.startswith("HTTP/"):
            self._headers.clear()
            words = text.split(None, 2)
            self._status = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
        elif text:
            name, _, value = text.partition(":")
            self._headers[name.lower()] = value.strip()

    def _begin(self, output: BinaryIO, at: int) -> int:
        """Note what the file is, and return where the body begins in it."""
        first = 0
        if self._status == 206:
            span = self._headers.get("content-range", "").removeprefix("bytes ")
            first = int(start) if (start := span.partition("-")[0]).isdecimal() else -1
            if first != at:
                self._validator = ""
                raise NetworkError(f"{self._where} continues {self._file.name} at another place")
        else:
            output.seek(0)
            output.truncate()
            etag = self._headers.get("etag", "")
            # A weak ETag does not promise the same bytes (RFC 9110 section 13.1.5).
            self._validator = (etag if etag.startswith('"') else "") or self._headers.get("last-modified", "")
            about = {"url": self._file.url, "validator": self._validator}
            write_atomically(self._about, json.dumps(about).encode())
        return first

    def _restart(self) -> None:
        """Forget what has arrived."""
        self._validator = ""
        for path in (self._about, self._part):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def finish(self) -> str:
        """Check the file, move it to its place, and return its SHA-256."""
        try:
            sums = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
            with open(self._part, "rb") as file:
                while data := file.read(1 << 20):
                    for each in sums.values():
                        each.update(data)
            wrong = self._wrong({name: each.hexdigest() for name, each in sums.items()})
            if wrong:
                self._restart()
                raise ServerError(
                    f"{self._where} sends another {self._file.name} than expected: {wrong}",
                    hint="the file was deleted; try again, or report it if it stays so",
                )
            os.replace(self._part, self._path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._about)
        except OSError as error:
            raise FileError(f"cannot write {self._path}: {error.strerror}") from error
        return sums["sha256"].hexdigest()

    def _wrong(self, sums: dict[str, str]) -> str:
        if self._file.size is not None and self.size != self._file.size:
            return f"it has {self.size} bytes instead of {self._file.size}"
        for name, found in sums.items():
            expected = getattr(self._file, name)
            if expected and found != expected:
                return f"its {name.upper().replace('SHA', 'SHA-')} is {found}"
        return "" if self.size else "it is empty"


def _failure(code: int, reason: str, where: str) -> VoiceError:
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return NetworkError(f"cannot resolve {where}", hint="check the name and the network")
    if code == pycurl.E_ABORTED_BY_CALLBACK:
        return NetworkError(f"{where} sends nothing more", hint="run it again to continue the download")
    return NetworkError(f"the download from {where} failed: {one_line(reason)}", hint="run it again to continue")
