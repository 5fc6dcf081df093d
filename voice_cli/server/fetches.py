"""Downloads of voices, shared by all who wait for the same one, few at once, and given up when nobody waits."""

import threading
import time
from collections.abc import Callable

from voice_cli.errors import Interrupted, NetworkError, ServerError, VoiceError
from voice_cli.queues import BoundedQueue
from voice_cli.server.errors import OverloadError, VoiceNotFoundError

MOST_FETCHES = 8
"""Downloads at once."""
FAILED_SECONDS = 5.0
"""For so long a failed download is not tried again."""
MOST_FAILURES = 1024
"""Failures that are remembered."""
MOST_BYTES = 32 << 20
"""Size limit of one fetched voice."""
FETCH_SECONDS = 15.0

Waiter = BoundedQueue[None]
"""Ends when the download ends, and raises its error. `cancel` it to wait no longer."""


class Fetches:
    """Any thread."""

    def __init__(self, fetch: Callable[[str, Callable[[], bool]], None]) -> None:
        """`fetch` downloads a voice; it is given a function that returns whether anybody still waits."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._waiters: dict[str, list[Waiter]] = {}
        """By voice: those that wait for the download under way."""
        self._failures: dict[str, tuple[float, VoiceError]] = {}
        """By voice: until when it is not tried again, and why."""

    def join(self, voice: str) -> Waiter:
        """Wait for a download, and start it if it is not under way.

        Raises:
            OverloadError: too many others are under way.
            VoiceError: it failed a moment ago.

        """
        waiter: Waiter = BoundedQueue(1)
        with self._lock:
            until, failure = self._failures.get(voice, (0.0, None))
            if failure is not None and time.monotonic() < until:
                raise failure.with_traceback(None)
            if voice in self._waiters:
                self._waiters[voice].append(waiter)
                return waiter
            if len(self._waiters) >= MOST_FETCHES:
                raise OverloadError(f"{MOST_FETCHES} voices are being fetched", hint="retry later")
            self._waiters[voice] = waiters = [waiter]
        threading.Thread(target=self._run, args=(voice, waiters), name="voice-fetch", daemon=True).start()
        return waiter

    def _run(self, voice: str, waiters: list[Waiter]) -> None:
        def is_wanted() -> bool:
            with self._lock:
                if all(waiter.cancelled for waiter in waiters):
                    self._forget(voice, waiters)
                    return False
            return True

        failure: VoiceError | None = None
        try:
            self._fetch(voice, is_wanted)
        except VoiceError as exc:
            failure = exc
        except Exception as exc:
            failure = ServerError("the server failed to fetch the voice")
            failure.__cause__ = exc
        with self._lock:
            self._forget(voice, waiters)
            if failure is not None and not isinstance(failure, Interrupted):
                self._failures.pop(voice, None)
                self._failures[voice] = (time.monotonic() + FAILED_SECONDS, failure)
                if len(self._failures) > MOST_FAILURES:
                    del self._failures[next(iter(self._failures))]
        for waiter in waiters:
            waiter.close(failure)

    def _forget(self, voice: str, waiters: list[Waiter]) -> None:
        """Make the next `join` start a new download. The caller holds the lock."""
        if self._waiters.get(voice) is waiters:
            del self._waiters[voice]


def download(url: str, is_wanted: Callable[[], bool]) -> bytes:
    """Return the body at a URL. Redirects are not followed, since the settings allow only this host.

    Raises:
        VoiceNotFoundError, ServerError, NetworkError: it was not sent.
        Interrupted: it is not wanted any more.

    """
    from voice_cli.backends.remote.curl import pycurl
    from voice_cli.backends.remote.http import trust_system_certificates

    body = bytearray()

    def take(data: bytes) -> int:
        body.extend(data)
        return len(data) if len(body) <= MOST_BYTES else 0

    easy = pycurl.Curl()
    try:
        easy.setopt(pycurl.URL, url)
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.FOLLOWLOCATION, 0)
        easy.setopt(pycurl.TIMEOUT_MS, int(1000 * FETCH_SECONDS))
        easy.setopt(pycurl.WRITEFUNCTION, take)
        easy.setopt(pycurl.NOPROGRESS, 0)
        easy.setopt(pycurl.XFERINFOFUNCTION, lambda *_: int(not is_wanted()))
        if url.startswith("https"):
            trust_system_certificates(easy)
        easy.perform()
        status = easy.getinfo(pycurl.RESPONSE_CODE)
    except pycurl.error as exc:
        if exc.args[0] == pycurl.E_ABORTED_BY_CALLBACK:
            raise Interrupted("nobody waits for the voice") from None
        if len(body) > MOST_BYTES:
            raise ServerError(f"the voice is larger than {MOST_BYTES} bytes") from exc
        raise NetworkError("the voice server was not reached") from exc
    finally:
        easy.close()
    if status in (403, 404, 410):
        raise VoiceNotFoundError
    if status != 200 or not body:
        raise ServerError(f"the voice server answered {status}")
    return bytes(body)
