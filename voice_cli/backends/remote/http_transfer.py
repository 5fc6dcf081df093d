"""Transfers over libcurl: one multi handle for several threads, and the body of a response as it arrives.

With the multi interface a stream is pulled: the socket is read only while the consumer iterates, so that the server
gets back-pressure, and `cancel` ends a wait at once.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from voice_cli.audio import Encoding
from voice_cli.backends.base import SpeechStream
from voice_cli.backends.remote import failures
from voice_cli.backends.remote.address import MAX_REDIRECTS, Address, proxy_of, redirected_base, redirected_url
from voice_cli.backends.remote.curl import pycurl
from voice_cli.backends.remote.descriptors import Waker, ready
from voice_cli.errors import BackendError, ConfigError, Interrupted, NetworkError, ServerError, VoiceError
from voice_cli.printable import one_line
from voice_cli.protocol import openai

MAX_DECODED = 16 << 20
"""Bytes of a compressed body that are decoded before they are read: what is larger is no speech."""

TLS_ERRORS = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_USE_SSL_FAILED,
    }
)


class Transfers:
    """libcurl's multi handle, which one thread at a time may use, for several threads.

    A thread that reads a stream drives all transfers; data of other streams is buffered in them. A thread that adds a
    stream drives it for a while, and then wakes the waiting threads so that they poll its sockets too.
    """

    def __init__(self) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._sockets: dict[int, int] = {}
        """libcurl's descriptors, and what it waits for at each."""
        self._lock = threading.RLock()
        self._streams: dict[Any, HttpStream] = {}

    def add(self, stream: "HttpStream") -> None:
        with self._lock:
            self._multi.add_handle(stream.easy)
            self._streams[stream.easy] = stream

    def hand_over(self, stream: "HttpStream") -> None:
        """Wake waiting threads so that they poll this stream's sockets too."""
        with self._lock:
            others = [other for other in self._streams.values() if other is not stream]
        for other in others:
            other.wake()

    def remove(self, stream: "HttpStream") -> None:
        with self._lock:
            if self._streams.pop(stream.easy, None) is not None:
                self._multi.remove_handle(stream.easy)
                stream.easy.close()

    def info(self, stream: "HttpStream", name: int) -> Any:
        """Return a number of `getinfo`, which pycurl refuses while another thread performs; 0 if closed."""
        with self._lock:
            return stream.easy.getinfo(name) if stream.easy in self._streams else 0

    def perform(self) -> None:
        """Transfer what can be transferred now; does not wait."""
        with self._lock:
            if not self._streams:  # closed
                return
            for descriptor in ready(self._sockets, 0):
                self._multi.socket_action(descriptor, 0)  # which looks itself for what is ready
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            for stream in self._streams.values():
                stream.note_timestamps()
            _, done, failed = self._multi.info_read()
            for easy in done:
                if self._streams[easy].follow():
                    self._multi.remove_handle(easy)
                    self._multi.add_handle(easy)
                else:
                    self._streams[easy].end(None)
            for easy, code, reason in failed:
                self._streams[easy].end((code, reason))

    def _on_socket(self, wanted: int, descriptor: int, _multi: Any, _data: Any) -> None:
        if wanted == pycurl.POLL_REMOVE:
            self._sockets.pop(descriptor, None)
        else:
            self._sockets[descriptor] = wanted

    def wait(self, waker: int, seconds: float) -> None:
        """Wait until a socket or the descriptor `waker` is ready, for at most that long."""
        with self._lock:
            if not self._streams:  # closed
                return
            due = self._multi.timeout()
            sockets = {**self._sockets, waker: pycurl.POLL_IN}
        if due >= 0:
            seconds = min(seconds, due / 1000)
        ready(sockets, max(0.0, seconds))

    def close(self) -> None:
        with self._lock:
            for stream in list(self._streams.values()):
                stream.cancel()  # its reader may be waiting
                self.remove(stream)
            self._multi.close()


class HttpStream(SpeechStream):
    """The body of one response, as it arrives."""

    _closed = True  # if the constructor fails

    def __init__(
        self, transfers: Transfers, easy: Any, address: Address, path: str, *, timeout: float, expected: Encoding
    ) -> None:
        self.expected = expected
        self.timestamps = {}
        self.easy = easy
        self._transfers = transfers
        self._where = address.place
        self._path = path
        self._url = address.url(path)
        self._redirects = 0
        self.pcm_is_defined = False
        """Whether PCM has its expected format unless a header says otherwise."""
        self.on_refusal: Callable[[bytes], bytes | None] | None = None
        """Called once, with the body of a refusal (400 or 422); returns the body to send instead, or None."""
        self._timeout = timeout
        self._waker = Waker()
        self._closed = False
        self._lock = threading.RLock()  # the collector may run __del__ anywhere
        self._iterated = False
        self._cancelled = False
        self._chunks: deque[bytes] = deque()
        self._error_body = bytearray()
        self._headers: dict[str, str] = {}
        self._status = 0
        self._has_head = False
        self._is_http1 = True
        self._sent = False
        self._received = 0
        self._curl_error: tuple[int, str] | None = None
        self._ended = False
        easy.setopt(pycurl.URL, self._url)
        easy.setopt(pycurl.WRITEFUNCTION, self._on_body)
        easy.setopt(pycurl.HEADERFUNCTION, self._on_header)
        self._began = self._received_at = time.monotonic()
        transfers.add(self)

    def send(self, seconds: float) -> None:
        """Drive the transfer until the request is sent, for at most that long. Call it before the iteration."""
        deadline = self._began + seconds
        while not self._ended:
            self._transfers.perform()
            left = deadline - time.monotonic()
            if left <= 0 or self._sent:
                break
            self._transfers.wait(self._waker.fd, left)
        self._transfers.hand_over(self)

    def __iter__(self) -> Generator[bytes, None, None]:
        with self._lock:
            self._iterated = True
        self._received_at = time.monotonic()
        try:
            while True:
                self._stop_if_cancelled()
                self._transfers.perform()
                if self._chunks and self.announced is None:
                    from voice_cli.codecs.media_types import encoding_in  # not needed for the request

                    self.announced = encoding_in(self._headers, self.expected if self.pcm_is_defined else None)
                    self.total_bytes = failures.body_length(self._headers)
                while self._chunks:
                    self._stop_if_cancelled()
                    yield self._chunks.popleft()
                    self._received_at = time.monotonic()
                if self._ended:
                    break
                self._transfers.wait(self._waker.fd, self._remaining_timeout())
                self._waker.clear()
            self._conclude()
        finally:
            self._close()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            unread = not self._iterated
        if unread:
            self._close()
        self.wake()

    def __del__(self) -> None:
        if not self._closed:
            self._close()

    def wake(self) -> None:
        """End the wait of the thread that reads this stream. Any thread."""
        with self._lock:
            if not self._closed:
                self._waker.wake()

    def _stop_if_cancelled(self) -> None:
        if self._cancelled:
            raise Interrupted("interrupted")

    def _close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True  # from here on `wake` does nothing
        self._transfers.remove(self)
        self._waker.close()

    # libcurl's side.

    def end(self, curl_error: tuple[int, str] | None) -> None:
        """Record the end of the transfer. `curl_error`: libcurl's code and message; None: it succeeded."""
        self._ended = True
        self._curl_error = curl_error
        self.timestamps["last_byte"] = time.monotonic()
        self.wake()

    def follow(self) -> bool:
        """Set what to request next, and return whether there is something.

        That is a redirection to the same origin, or another body after a refusal.
        """
        if self._status in (400, 422) and self.on_refusal is not None:
            body, self.on_refusal = self.on_refusal(bytes(self._error_body)), None
            if body is not None:
                self._error_body.clear()
                self.easy.setopt(pycurl.POSTFIELDS, body)
            return body is not None
        location = self._headers.get("location")
        statuses = (307, 308) if self._path == openai.SPEECH_PATH else (301, 302, 303, 307, 308)
        if self._status not in statuses or location is None or self._redirects >= MAX_REDIRECTS:
            return False
        url = redirected_url(self._url, location)
        if url is None:
            return False
        self._redirects += 1
        self._url = url
        self._error_body.clear()
        self.easy.setopt(pycurl.URL, url)
        return True

    def _remaining_timeout(self) -> float:
        silence = time.monotonic() - self._received_at
        if silence < self._timeout:
            return self._timeout - silence
        if self._status >= 300:
            self._conclude()  # refused: only the rest of the error message is missing
        raise failures.silent(self._where, self._timeout, self._received)

    @property
    def end_is_marked(self) -> bool:  # type: ignore[override]
        """Whether HTTP marked the end (RFC 9112 section 6.3), so that libcurl reports an early one."""
        return bool({"content-length", "transfer-encoding"} & self._headers.keys()) or not self._is_http1

    def _on_header(self, line: bytes) -> None:
        text = line.decode("latin-1").strip()
        if line in (b"\r\n", b"\n"):
            self._has_head = True  # to libcurl, a connection that is closed inside the head is no error
        elif text.startswith("HTTP/"):
            self._headers.clear()
            self._has_head = False
            self._is_http1 = text.startswith("HTTP/1")
            words = text.split(None, 2)
            self._status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        else:
            name, _, value = text.partition(":")
            self._headers[name.lower()] = value.strip()
        self._received_at = time.monotonic()

    def _on_body(self, data: bytes) -> int | None:
        """Keep the data. Returns -1 to abort."""
        self._received_at = time.monotonic()
        if not 200 <= self._status < 300:
            self._error_body += data[: failures.LARGEST_ERROR - len(self._error_body)]
            return -1 if len(self._error_body) == failures.LARGEST_ERROR else None
        if not self._received:
            self.timestamps["first_byte"] = self._received_at
        self._received += len(data)
        self._chunks.append(data)
        if "content-encoding" in self._headers and sum(map(len, self._chunks)) > MAX_DECODED:
            return -1
        return None

    def note_timestamps(self) -> None:
        """Read libcurl's timings, which is not allowed in a callback."""
        if not self._sent:
            self._sent = self.easy.getinfo(pycurl.REQUEST_SIZE) > 0
        if "request_sent" in self.timestamps or not self._headers:
            return
        for name, info in (
            ("resolved", pycurl.NAMELOOKUP_TIME_T),
            ("connected", pycurl.CONNECT_TIME_T),
            ("tls", pycurl.APPCONNECT_TIME_T),
            ("request_sent", getattr(pycurl, "POSTTRANSFER_TIME_T", pycurl.PRETRANSFER_TIME_T)),
        ):
            microseconds = self.easy.getinfo(info)
            if microseconds > 0:
                self.timestamps[name] = self._began + microseconds / 1e6

    # The result.

    def _conclude(self) -> None:
        if (self._status >= 300 or self._curl_error is not None) and (failure := self._proxy_failure()) is not None:
            raise failure
        if self._status >= 300 and not self._received:
            message = openai.error_message(bytes(self._error_body))
            headers = dict(self._headers)
            if "location" in headers and self._redirects == MAX_REDIRECTS:
                raise ServerError(f"{self._where} redirects without end ({self._status})")
            if "location" in headers:
                headers["location"] = redirected_base(self._url, headers["location"], self._path) or ""
            raise self._refusal(message, headers)
        if self._curl_error is not None:
            raise self._failure(*self._curl_error)
        if not self._has_head:
            raise failures.no_answer(self._where)

    def _refusal(self, message: str | None, headers: dict[str, str]) -> BackendError:
        """Return the error of a status that is not 2xx. `message`: the server's."""
        return failures.refusal(self._status, message, where=self._where, headers=headers)

    def _failure(self, code: int, reason: str) -> VoiceError:
        where = self._where
        if code == pycurl.E_WRITE_ERROR or (code == pycurl.E_BAD_CONTENT_ENCODING and not self._received):
            return failures.undecodable(where, self._headers.get("content-encoding", ""))
        if self._received:
            return failures.broken(where, self._received, self._headers if code == pycurl.E_PARTIAL_FILE else None)
        if code == pycurl.E_COULDNT_RESOLVE_HOST:
            return failures.no_address(where)
        if code == pycurl.E_COULDNT_CONNECT:
            return failures.nothing_answers(where)
        if code in TLS_ERRORS:
            return failures.not_secure(where, reason, is_cut=code == pycurl.E_SSL_CONNECT_ERROR)
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return failures.no_connection(where, self._timeout)
        if code == pycurl.E_URL_MALFORMAT:
            return ConfigError(f"base_url is not a valid address: {one_line(reason)}")
        if code == pycurl.E_UNSUPPORTED_PROTOCOL:  # the request is HTTP, so the response is not
            return failures.not_http(where)
        if code in (pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR, pycurl.E_PARTIAL_FILE):
            return failures.no_answer(where)
        return NetworkError(f"the request to {where} failed: {one_line(reason)}", is_transient=True)

    def _proxy_failure(self) -> VoiceError | None:
        """Return the error if the transfer's proxy has failed."""
        used = getattr(pycurl, "USED_PROXY", None)  # an old pycurl cannot tell
        if used is None or not self._transfers.info(self, used):
            return None
        code = self._curl_error[0] if self._curl_error is not None else None
        refused = self._transfers.info(self, pycurl.HTTP_CONNECTCODE) or self._status
        if refused == 407:
            problem = "needs a user and a password (407)"
        elif code == pycurl.E_COULDNT_RESOLVE_PROXY:
            problem = "cannot be resolved"
        elif code == pycurl.E_COULDNT_CONNECT:
            problem = f"refuses the tunnel ({refused})" if refused else "refused the connection"
        else:
            return None
        return failures.proxy_failed(proxy_of(self._url), problem)
