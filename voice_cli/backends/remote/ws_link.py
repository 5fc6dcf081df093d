"""The connection of a session: a WebSocket, the thread that reads it, and the streams of audio.

::

    writer ──text──▶ session ──▶ WebSocket ──▶ server
                        ▲                        │
    reader ◀── streams ◀── the link's thread ◀───┘

The thread reads only while the streams have room, so that back-pressure reaches the server. The pings of `websockets`
are off: a server that generates on its event loop, as the Chatterbox document's does, answers them too late.
"""

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from voice_cli import __version__
from voice_cli.backends.base import PieceStream, TextStream, WordEvent
from voice_cli.backends.remote.ws_failures import failed, redirected_to
from voice_cli.backends.remote.ws_session import EXPECTED, Session
from voice_cli.backends.remote.ws_tls import TlsSocket, tls_context
from voice_cli.errors import Interrupted, RateLimitError, ServerError, VoiceError
from voice_cli.queues import BoundedQueue

AHEAD_BYTES = 1 << 20
"""Bytes of one utterance that are buffered."""
AHEAD_UTTERANCES = 4
"""Number of buffered utterances."""
KEEP_ALIVE_SECONDS = 10.0
"""vLLM-omni closes a session that is idle for 30 s."""
RETRY_SECONDS = 0.05
"""Pause between two attempts while the server is busy."""
SILENT_LOGGER = logging.Logger("voice.websockets", logging.CRITICAL + 1)  # noqa: LOG001  nothing may give it handlers
"""Discards the records of `websockets`: errors are raised."""
LARGEST_MESSAGE = 64 << 20
"""Bytes. The Chatterbox document's server sends speech that it cannot stream as one message."""
CLOSE_SECONDS = 1.0
"""Timeout of the closing handshake."""
STOPPED_SECONDS = 1.0  # a timeout that expired so long ago did so while this process was stopped
CANCEL_SECONDS = 0.05
"""Timeout of the closing handshake of a cancelled session; then the connection is shut down."""


class WsStream(PieceStream):
    """The audio of one utterance."""

    expected = EXPECTED

    def __init__(self, link: "Link", words: list[WordEvent], timestamps: dict[str, float], pieces: int) -> None:
        self.words = words
        self.timestamps = timestamps
        self.pieces = pieces
        self.received = 0
        """Bytes."""
        self.queue: BoundedQueue[bytes] = BoundedQueue(AHEAD_BYTES)
        self._link = link

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self.queue:  # noqa: UP028  closing a `yield from` would close the queue
                yield data
        finally:
            self.queue.cancel()
            if self.queue.cancelled:
                self._link.cancel()

    def cancel(self) -> None:
        self._link.cancel()


class Link(TextStream):
    """One session over one connection, which the constructor begins to open."""

    single: WsStream
    """The only utterance, if the text is not in pieces."""

    def __init__(
        self,
        session: Session,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        ahead: int | None = None,
        busy_seconds: float = 0.0,
    ) -> None:
        """Start the thread that connects.

        `timeout`: seconds in which a message must arrive while one is expected. `ahead`: see
        `Backend.open_text_stream`; None: the session is one utterance, whose stream is there at once, as `single`.
        `busy_seconds`: how long to retry while the server is busy; such a session must be stateless.
        """
        self._session = session
        self._url = url
        self._headers = headers
        self._timeout = timeout
        self._ahead = ahead or 0
        self._busy_seconds = busy_seconds
        self.ended_at: float | None = None
        """On `time.monotonic`."""
        self._connection: Any = None
        self._socket: Any = None
        """A socket, or a TlsSocket."""
        self._changed = threading.Condition()
        """Guards the session and the following attributes; released while sending and waiting."""
        self._sending = threading.Lock()
        """Held while the messages of one piece are sent; acquired before `_changed`."""
        self._streams: BoundedQueue[WsStream] = BoundedQueue(AHEAD_UTTERANCES, cost=lambda _stream: 1)
        self._unread = 0
        """Number of streams that the reader has not taken."""
        self._taken: WsStream | None = None
        """The stream that the reader took last."""
        self._arriving: WsStream | None = None
        self._silent_pieces = 0
        """Pieces without audio, counted to the next utterance."""
        self._finished = False
        self._cancelled = False
        self._active_at = time.monotonic()
        """When a message was last received, or text or a keep-alive sent."""
        self._timestamps: dict[str, float] = {}
        self.opened = threading.Event()
        """Set once the first messages were sent or the connection failed."""
        if ahead is None:
            self.single = self._arriving = self._taken = self._new_stream(self._timestamps)
        self.thread = threading.Thread(target=self._run, name="voice-websocket", daemon=True)
        """Ends when the connection is closed."""
        self.thread.start()

    # The writer's thread.

    def say(self, text: str) -> bool:
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_closed or (self._accepts_text and self._session.pending <= self._ahead)
            )
        with self._sending:
            with self._changed:
                if self._is_closed:
                    return False
                messages = self._session.say(text)
                self._active_at = time.monotonic()
                self._timestamps.setdefault("request_sent", self._active_at)
            _send(self._connection, messages)
        return True

    def finish(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._accepts_text)
        with self._sending:
            with self._changed:
                if self._is_closed:
                    return
                self._finished = True
                self._active_at = time.monotonic()
                messages = self._session.finish()
            _send(self._connection, messages)

    @property
    def _is_closed(self) -> bool:
        return self.ended_at is not None or self._cancelled

    @property
    def _accepts_text(self) -> bool:
        return self._connection is not None and self._session.is_ready

    # The reader's thread.

    @property
    def waits_for_text(self) -> bool:
        with self._changed:
            return not (self._is_closed or self._finished or self._unread or self._session.pending)

    def __iter__(self) -> Iterator[WsStream]:
        for stream in self._streams:
            with self._changed:
                if self._cancelled:  # `cancel` did not reach this stream
                    raise Interrupted("interrupted")
                self._taken = stream
                self._unread -= 1
            yield stream

    def cancel(self) -> None:
        with self._changed:
            if self._cancelled:
                return
            self._cancelled = True
            streams = [self._taken, self._arriving]
            is_connected = self._socket is not None and self.ended_at is None
            self._changed.notify_all()
        self._streams.cancel()
        for stream in streams:
            if stream is not None:
                stream.queue.cancel()
        if is_connected:
            threading.Thread(target=self._leave, name="voice-websocket-leave", daemon=True).start()

    def _leave(self) -> None:
        """Close a cancelled session."""
        guard = threading.Timer(CANCEL_SECONDS, self._shut_down)
        guard.daemon = True
        guard.start()
        connection = self._connection
        if connection is None:
            self._shut_down()
        else:
            with self._changed:
                messages = self._session.cancel()
            _send(connection, messages)
            with contextlib.suppress(Exception):
                connection.close()
        guard.cancel()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    # The link's thread.

    def _run(self) -> None:
        retry_until = time.monotonic() + self._busy_seconds
        try:
            while self._talk(may_retry=time.monotonic() < retry_until):
                with self._changed:
                    self._socket = self._connection = None
                    self._changed.wait_for(lambda: self._cancelled, RETRY_SECONDS)
        except Exception as exc:
            self._end(failed(exc, where=self._session.where, timeout=self._timeout))

    def _talk(self, *, may_retry: bool) -> bool:
        """Connect, and read to the end of the session. Return whether to retry because the server is busy."""
        if self._cancelled:
            raise Interrupted("interrupted")
        create_connection: Any = self._connected
        with connect(
            self._url,
            ssl=tls_context(self._session.where) if self._url.startswith("wss") else None,
            additional_headers=dict(self._headers),
            user_agent_header=f"voice/{__version__}",
            compression=None,
            open_timeout=self._timeout,
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            max_size=LARGEST_MESSAGE,
            logger=SILENT_LOGGER,
            create_connection=create_connection,
        ) as opened:
            error = None
            try:
                self._read(opened)
            except BaseException as exc:
                received = self._arriving.received if self._arriving is not None else 0
                error = failed(exc, where=self._session.where, timeout=self._timeout, received=received)
                if may_retry and isinstance(error, RateLimitError):
                    return True
            self._end(error)
        return False

    def _connected(self, sock: Any, protocol: Any, *arguments: Any, **options: Any) -> ClientConnection:
        """Keep the connected socket. Called by `websockets` before it requests the upgrade."""
        if self._socket is not None:  # `websockets` follows redirects
            raise redirected_to(protocol.uri, where=self._session.where, path=self._session.path)
        self._socket = TlsSocket(sock) if isinstance(sock, ssl.SSLSocket) else sock
        self._timestamps["connected"] = time.monotonic()
        if not self._session.opening():  # the URL is the request
            self._timestamps["request_sent"] = self._timestamps["connected"]
        if self._cancelled:
            self._shut_down()
        return ClientConnection(self._socket, protocol, *arguments, **options)

    def _read(self, connection: Any) -> None:
        """Send the first messages, and read until the session is finished."""
        session = self._session
        _send(connection, session.opening())
        with self._changed:
            self._connection = connection
            self._active_at = time.monotonic()
            if session.pending:
                self._timestamps.setdefault("request_sent", self._active_at)
            self._changed.notify_all()
        self.opened.set()
        while not session.is_finished:
            if self._cancelled:
                raise Interrupted("interrupted")
            try:
                message = connection.recv(timeout=self._patience())
            except TimeoutError:
                self._check_silence()
            except ConnectionClosed as closed:
                if closed.rcvd is None or not session.is_complete(closed.rcvd.code):
                    raise
                return
            else:
                self._process(message)

    def _patience(self) -> float:
        """Return how long to wait for a message."""
        with self._changed:
            if self._session.expects_message:
                return max(0.0, self._active_at + self._timeout - time.monotonic())
            return min(self._timeout, KEEP_ALIVE_SECONDS)  # then check whether a message is expected by now

    def _check_silence(self) -> None:
        """Send a keep-alive if one is due.

        Raises:
            TimeoutError: an expected message did not arrive in time.

        """
        with self._changed:
            silence = time.monotonic() - self._active_at
            if self._session.expects_message:
                if self._timeout <= silence <= self._timeout + STOPPED_SECONDS:
                    raise TimeoutError
                self._active_at += silence if silence > self._timeout else 0.0
                return
            if silence < KEEP_ALIVE_SECONDS:
                return
            self._active_at = time.monotonic()
            messages = self._session.keep_alive()
        if self._sending.acquire(blocking=False):
            try:
                _send(self._connection, messages)
            finally:
                self._sending.release()

    def _process(self, message: str | bytes) -> None:
        with self._changed:
            received = self._session.received(message)
        if received.audio:
            self._put(received.audio)
        with self._changed:
            if received.pieces and self._arriving is not None:
                self._arriving.pieces = self._silent_pieces + received.pieces
                self._silent_pieces = 0
                self._end_stream(None)
            else:
                self._silent_pieces += received.pieces
            self._active_at = time.monotonic()  # time in which the queues were full does not count as silence
            self._changed.notify_all()
        if received.must_resend:  # the server sends no audio, so a writer that is sending does not wait for this thread
            with self._sending:
                with self._changed:
                    messages = self._session.resend()
                _send(self._connection, messages)

    def _put(self, audio: bytes) -> None:
        stream = self._arriving if self._arriving is not None else self._begin_stream()
        encoding = self._session.encoding
        if stream.announced is None:
            stream.announced = encoding
            stream.timestamps["first_byte"] = time.monotonic()
        elif stream.announced != encoding:
            raise ServerError(f"{self._session.where} changed the audio format in the middle of an utterance")
        stream.received += len(audio)
        if not stream.queue.put(audio):
            raise Interrupted("interrupted")

    def _new_stream(self, timestamps: dict[str, float]) -> WsStream:
        return WsStream(self, self._session.words, timestamps, self._silent_pieces + self._session.pieces_begun)

    def _begin_stream(self) -> WsStream:
        with self._changed:
            timestamps, self._timestamps = self._timestamps, {}
            self._arriving = stream = self._new_stream(timestamps)
            self._unread += 1
        if not self._streams.put(stream):
            raise Interrupted("interrupted")
        return stream

    def _end_stream(self, error: VoiceError | None) -> None:
        stream, self._arriving = self._arriving, None
        if stream is not None:
            stream.timestamps["last_byte"] = time.monotonic()
            stream.queue.close(error)

    def _end(self, error: VoiceError | None) -> None:
        with self._changed:
            if error is None and self._silent_pieces and self._taken is None and not self._unread:
                error = ServerError("the response contains no audio", hint="does the server have this voice?")
            self.ended_at = time.monotonic()
            self._changed.notify_all()
        self.opened.set()
        self._end_stream(error)
        self._streams.close(error)


def _send(connection: Any, messages: list[str]) -> None:
    """Send the messages. Ignore a failure: the next read reports why the connection was closed."""
    with contextlib.suppress(Exception):
        for message in messages:
            connection.send(message)
