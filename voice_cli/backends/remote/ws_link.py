"""A session's connection: one WebSocket, the thread that reads it, and the streams of sound that come out.

::

    writer ──text──▶ session ──▶ WebSocket ──▶ server
                        ▲                        │
    reader ◀── streams ◀── the link's thread ◀───┘

The thread reads only what the streams have room for: the server then gets back-pressure. The package's own
pings are off: a server that generates on its event loop, as the Chatterbox document's does, answers none until it is
done.
"""

import contextlib
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from voice_cli import __version__
from voice_cli.audio import Encoding
from voice_cli.backends.base import PieceStream, TextStream, WordEvent
from voice_cli.backends.remote.failures import not_secure
from voice_cli.backends.remote.ws_failures import connecting_failed, failed
from voice_cli.backends.remote.ws_session import EXPECTED, Session
from voice_cli.errors import Hint, Interrupted, RateLimitError, ServerError, VoiceError
from voice_cli.queues import BoundedQueue

AHEAD_BYTES = 1 << 20
"""Bytes of one utterance that are buffered before the server has to wait."""
AHEAD_UTTERANCES = 4
"""How many utterances are buffered."""
LARGEST_MESSAGE = 64 << 20
"""Bytes: the Chatterbox document's server sends speech that it cannot stream as one message."""
BEAT_SECONDS = 10.0
"""vLLM-omni closes a session in which nothing came for 30."""
CLOSE_SECONDS = 1.0
"""How long a server may take to answer a close."""
BUSY_STEP_SECONDS = 0.05
"""Between two attempts while the server is busy."""
LEAVE_SECONDS = 0.05
"""How long a cancelled session may take to close; then the connection is cut."""


class WsStream(PieceStream):
    """The sound of one utterance of the server, as it arrives."""

    expected = EXPECTED

    def __init__(self, link: "Link", words: list[WordEvent], timestamps: dict[str, float], pieces: int) -> None:
        self.words = words
        self.timestamps = timestamps
        self.pieces = pieces
        self.received = 0
        """Bytes."""
        self.handoff: BoundedQueue[bytes] = BoundedQueue(AHEAD_BYTES)
        self._link = link

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self.handoff:  # noqa: UP028  closing a `yield from` would close the queue
                yield data
        finally:
            self.handoff.cancel()
            if self.handoff.cancelled:
                self._link.cancel()

    def cancel(self) -> None:
        self._link.cancel()


class Link(TextStream):
    """One session over one connection. It is under way when it is made."""

    def __init__(
        self,
        session: Session,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        is_one: bool,
        ahead: int = 0,
        busy_seconds: float = 0.0,
    ) -> None:
        """Connect on a thread of its own.

        `timeout`: seconds of silence after which the server is given up. `is_one`: what comes is one utterance, which
        is there at once, as `first`. `ahead`: see `Backend.open_text_stream`.
        `busy_seconds`: how long to retry while the server is busy; a session that retries keeps no state.
        """
        self._session = session
        self._url = url
        self._headers = headers
        self._timeout = timeout
        self._ahead = ahead
        self._busy_seconds = busy_seconds
        self.ended_at: float | None = None
        """On `time.monotonic`."""
        self._connection: Any = None
        self._socket: Any = None
        """A socket, or a TlsSocket."""
        self._changed = threading.Condition()
        """Held for the session and for what follows; never while anything is sent or waited for."""
        self._sending = threading.Lock()
        """Held while the messages of one piece are sent; taken before `_changed`."""
        self._row: deque[WsStream] = deque()
        """Not yet taken by the reader."""
        self._taken: WsStream | None = None
        self._current: WsStream | None = None
        """The one that arrives."""
        self._silent = 0
        """Pieces in which there was no sound; they go to the next utterance."""
        self._said_all = False
        self._ended = False
        self._cancelled = False
        self._error: VoiceError | None = None
        self._heard_at = self._beaten_at = time.monotonic()
        self._timestamps: dict[str, float] = {}
        self._asked = threading.Event()
        if is_one:
            self._current = self._taken = self._begun(self._timestamps)
        self._thread = threading.Thread(target=self._run, name="voice-websocket", daemon=True)
        self._thread.start()

    @property
    def first(self) -> WsStream:
        """The one utterance, where `is_one`."""
        if self._taken is None:
            raise RuntimeError("the utterances come one by one")
        return self._taken

    def wait_until_asked(self, seconds: float) -> None:
        """Wait until the request was sent or has failed, for at most that long."""
        self._asked.wait(seconds)

    # The writer's thread.

    def say(self, text: str) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._may_say)
        with self._sending:
            with self._changed:
                if self._is_closed:
                    return False
                messages = self._session.say(text)
                self._heard_at = time.monotonic()  # silence counts from here on
                self._timestamps.setdefault("request_sent", self._heard_at)
            _send(self._connection, messages)
        return True

    def finish(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or (self._connection is not None and self._session.is_ready))
        with self._sending:
            with self._changed:
                if self._is_closed:
                    return
                self._said_all = True
                self._heard_at = time.monotonic()
                messages = self._session.finish()
            _send(self._connection, messages)

    @property
    def _is_closed(self) -> bool:
        return self._ended or self._cancelled

    @property
    def _may_say(self) -> bool:
        return self._connection is not None and self._session.is_ready and self._session.owed <= self._ahead

    # The reader's thread.

    @property
    def waits_for_text(self) -> bool:
        with self._changed:
            return not (self._is_closed or self._said_all or self._row or self._session.owed)

    def __iter__(self) -> Iterator[WsStream]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._row or self._is_closed)
                if self._cancelled:
                    raise Interrupted("interrupted")
                if not self._row:
                    if self._error is not None:
                        raise self._error
                    return
                self._taken = utterance = self._row.popleft()
                self._changed.notify_all()
            yield utterance

    def cancel(self) -> None:
        with self._changed:
            if self._cancelled:
                return
            self._cancelled = True
            utterances = [one for one in (self._taken, self._current, *self._row) if one is not None]
            is_connected = self._socket is not None and not self._ended
            self._changed.notify_all()
        for utterance in utterances:
            utterance.handoff.cancel()
        if is_connected:
            threading.Thread(target=self._leave, name="voice-websocket-leave", daemon=True).start()

    def join(self, seconds: float) -> None:
        """Wait until the connection is closed, or that long."""
        self._thread.join(seconds)

    def _leave(self) -> None:
        """Close the session; cut the connection if the server does not answer soon."""
        guard = threading.Timer(LEAVE_SECONDS, self._cut)
        guard.daemon = True
        guard.start()
        connection = self._connection
        if connection is None:
            self._cut()
        else:
            with self._changed:
                farewell = self._session.farewell()
            _send(connection, farewell)
            with contextlib.suppress(Exception):
                connection.close()
        guard.cancel()

    def _cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    # The link's thread.

    def _run(self) -> None:
        try:
            busy = self._talk()
            retry_until = time.monotonic() + self._busy_seconds
            while busy is not None and time.monotonic() < retry_until and self._wait_before_retry():
                busy = self._talk()
            if busy is not None:
                self._end(Interrupted("interrupted") if self._cancelled else busy)
        except Exception as exc:
            self._end(connecting_failed(exc, where=self._session.where, timeout=self._timeout))

    def _wait_before_retry(self) -> bool:
        with self._changed:
            self._socket = self._connection = None
            return not self._changed.wait_for(lambda: self._cancelled, BUSY_STEP_SECONDS)

    def _talk(self) -> RateLimitError | None:
        """Connect and read to the end of the session. Return the error if the server was busy before any sound."""
        import ssl

        from websockets.sync.client import ClientConnection, connect

        from voice_cli.backends.remote.ws_tls import TlsSocket

        def connected(sock: Any, *arguments: Any, **more: Any) -> ClientConnection:
            if self._socket is not None:  # the package goes where it is sent; so far, nothing has been said there
                raise ServerError(
                    f"{self._session.where} sends us on to another address",
                    hint=Hint("use that address as {base_url}, if you trust it with the key"),
                )
            if isinstance(sock, ssl.SSLSocket):
                sock = TlsSocket(sock)
            self._socket = sock
            self._timestamps["connected"] = time.monotonic()
            if not self._session.opening():  # the address says it all
                self._timestamps["request_sent"] = self._timestamps["connected"]
            if self._cancelled:
                self._cut()
            return ClientConnection(sock, *arguments, **more)

        options: dict[str, Any] = {"create_connection": connected}  # it is called as the class would be
        if self._url.startswith("wss"):
            options["ssl"] = self._trust()
        with connect(
            self._url,
            additional_headers=dict(self._headers),
            user_agent_header=f"voice/{__version__}",
            compression=None,
            open_timeout=self._timeout,
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            max_size=LARGEST_MESSAGE,
            logger=_quiet_logger(),
            **options,
        ) as connection:
            try:
                self._converse(connection)
            except BaseException as exc:
                error = self._broke_off(exc)
                if isinstance(error, RateLimitError) and self._busy_seconds:
                    return error
                self._end(error)
            else:
                self._end(None)
        return None

    def _trust(self) -> Any:
        import ssl

        from voice_cli.backends.remote.certificates import bundle_of_system

        try:
            return ssl.create_default_context(cafile=bundle_of_system())
        except OSError as exc:
            raise not_secure(self._session.where, f"no certificate authorities: {exc.strerror or exc}") from exc

    def _converse(self, connection: Any) -> None:
        session = self._session
        with self._changed:
            opening = session.opening()
        _send(connection, opening)
        with self._changed:
            self._connection = connection
            self._heard_at = time.monotonic()
            if session.owed:
                self._timestamps.setdefault("request_sent", self._heard_at)
            self._changed.notify_all()
        self._asked.set()
        while not session.is_over:
            if self._cancelled:
                raise Interrupted("interrupted")
            received = self._receive(connection)
            if received is None:
                return
            self._take(received)

    def _receive(self, connection: Any) -> str | bytes | None:
        """Wait for a message; None: the server has closed, and nothing is missing."""
        from websockets.exceptions import ConnectionClosed

        while True:
            try:
                message: str | bytes = connection.recv(timeout=self._patience())
            except TimeoutError:
                self._look_after_silence()
                continue
            except ConnectionClosed as closed:
                if closed.rcvd is not None and self._session.is_complete(closed.rcvd.code):
                    return None
                raise
            return message

    def _patience(self) -> float:
        with self._changed:
            if self._session.is_waiting:
                return max(0.0, self._heard_at + self._timeout - time.monotonic())
            return min(self._timeout, BEAT_SECONDS)  # meanwhile, there may be something to wait for

    def _look_after_silence(self) -> None:
        with self._changed:
            now = time.monotonic()
            if self._session.is_waiting:
                if now - self._heard_at >= self._timeout:
                    raise TimeoutError
                return
            if now - max(self._heard_at, self._beaten_at) < BEAT_SECONDS:
                return
            self._beaten_at = now
            beat = self._session.heartbeat()
        if self._sending.acquire(blocking=False):
            try:
                _send(self._connection, beat)
            finally:
                self._sending.release()

    def _take(self, message: str | bytes) -> None:
        session = self._session
        with self._changed:
            heard = session.received(message)
            encoding = session.encoding
        if heard.sound:
            self._give(heard.sound, encoding)
        with self._changed:
            if heard.pieces and self._current is not None:
                self._close(self._current, heard.pieces)
            else:
                self._silent += heard.pieces
            self._heard_at = time.monotonic()  # after the reader has made room
            self._changed.notify_all()
        if heard.is_refused:  # nothing but refusals comes, so whoever is sending will not be held up
            with self._sending:
                with self._changed:
                    amends = session.amends()
                _send(self._connection, amends)

    def _give(self, sound: bytes, encoding: Encoding | None) -> None:
        utterance = self._current if self._current is not None else self._begin()
        if utterance.announced is None:
            utterance.announced = encoding
            utterance.timestamps["first_byte"] = time.monotonic()
        elif utterance.announced != encoding:
            raise ServerError(f"{self._session.where} changes the sound's format in the middle of it")
        utterance.received += len(sound)
        if not utterance.handoff.put(sound):
            raise Interrupted("interrupted")

    def _begun(self, timestamps: dict[str, float]) -> WsStream:
        return WsStream(self, self._session.words, timestamps, self._silent + self._session.pieces_begun)

    def _begin(self) -> WsStream:
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or len(self._row) < AHEAD_UTTERANCES)
            timestamps, self._timestamps = self._timestamps, {}
            self._current = utterance = self._begun(timestamps)
            self._row.append(utterance)
            self._changed.notify_all()
        return utterance

    def _close(self, utterance: WsStream, pieces: int) -> None:
        utterance.pieces = self._silent + pieces
        self._silent = 0
        self._current = None
        utterance.timestamps["last_byte"] = time.monotonic()
        utterance.handoff.close()

    def _end(self, error: VoiceError | None) -> None:
        with self._changed:
            if error is None and self._silent and self._taken is None and not self._row:
                error = ServerError("the answer is empty: there is no audio in it", hint="does it know this voice?")
            self._ended = True
            self.ended_at = time.monotonic()
            self._error = error
            utterance, self._current = self._current, None
            self._changed.notify_all()
        self._asked.set()
        if utterance is not None:
            utterance.timestamps["last_byte"] = time.monotonic()
            if error is None:
                utterance.handoff.close()
            else:
                utterance.handoff.fail(error)

    def _broke_off(self, exc: BaseException) -> VoiceError:
        if self._cancelled:
            return Interrupted("interrupted")
        received = self._current.received if self._current is not None else 0
        return failed(exc, where=self._session.where, timeout=self._timeout, received=received)


def _send(connection: Any, messages: list[str]) -> None:
    """Send. A failure is ignored: the read that follows reports why the connection was closed."""
    with contextlib.suppress(Exception):
        for message in messages:
            connection.send(message)


def _quiet_logger() -> logging.Logger:
    """Return a logger without output: errors are raised, and nothing else belongs on standard error."""
    logger = logging.Logger("voice.websockets")  # noqa: LOG001  a registered one may get handlers from anybody
    logger.addHandler(logging.NullHandler())
    return logger
