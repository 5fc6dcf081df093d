"""`voice serve`'s app in a thread on a free port, and an engine that a test steps."""

import http.client
import json
import logging
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from websockets.sync.client import ClientConnection, connect

from support.threads import WAIT, wait_until
from voice_cli.audio import AudioFormat
from voice_cli.backends.base import Backend, SpeechRequest, Voice
from voice_cli.backends.local.chatterbox_presets import preset_named
from voice_cli.backends.local.worker import EngineBackend, Generation
from voice_cli.server.app import create_app
from voice_cli.server.hosting import Host, _ErrorFilter, listen
from voice_cli.server.report import Report
from voice_cli.server.settings import Server, ServerSettings

MONO24 = AudioFormat(24_000, 1)
VOICES = (Voice("alice", "Alice", "en"), Voice("bob", "Bob", "de"))

STEP_SECONDS = 0.005
"""How often the waiting engine checks for cancellation."""


def sound_of(text: str, seconds: float = 0.2, audio_format: AudioFormat = MONO24) -> bytes:
    """Return the engine's audio for a text: loud in every sample, so that none of it is trimmed as silence."""
    rng = np.random.default_rng(zlib.crc32(text.encode("utf-8", "surrogatepass")))
    shape = (audio_format.frames(seconds), audio_format.channels)
    return (rng.integers(1_000, 8_000, shape) * rng.choice((-1, 1), shape)).astype("<i2").tobytes()


class SteppedEngine(EngineBackend):
    """An engine whose pieces a test can hold back. It runs one generation at a time."""

    name = "made"
    has_speed = True

    def check_options(self, options):
        if "preset" in options:
            preset_named(options["preset"])

    def __init__(
        self,
        pieces: Callable[[SpeechRequest], Iterable[bytes | Exception]] | None = None,
        *,
        audio_format: AudioFormat = MONO24,
        piece_frames: int = 1_000,
        voices: Sequence[Voice] = VOICES,
    ) -> None:
        """`pieces` returns the audio for a request; exceptions in it are raised. None: `sound_of` the text."""
        super().__init__()
        self.requests: list[SpeechRequest] = []
        """Requests it has started, without the warm-up."""
        self.notes: list[str] = []
        """Notes added to each generation."""
        self.audio_format = audio_format
        self.given = 0
        """Pieces written."""
        self._pieces = self._made_with = pieces
        self._piece_frames = piece_frames
        self._voices = list(voices)
        self._changed = threading.Condition()
        self._allowed: float = float("inf")
        self._live = 0

    @property
    def expected_format(self) -> AudioFormat:
        return self.audio_format

    def voices(self) -> list[Voice]:
        return self._voices

    def warm_up(self) -> None:
        super().warm_up()
        self.reset()

    # Called by tests.

    def give(self, pieces: Callable[[SpeechRequest], Iterable[bytes | Exception]] | None) -> None:
        """Set `pieces`, as in the constructor."""
        self._pieces = pieces

    def reset(self) -> None:
        """Release all pieces, wait until idle, and reset to the initial state."""
        self.let_go()
        self.wait_until_idle()
        self._pieces = self._made_with
        self.requests.clear()
        self.given = 0

    def hold(self) -> None:
        """Hold back pieces until they are released."""
        with self._changed:
            self._allowed = 0

    def release(self, pieces: float = 1) -> None:
        """Release this many more pieces."""
        with self._changed:
            self._allowed += pieces
            self._changed.notify_all()

    def let_go(self) -> None:
        """Release all pieces."""
        self.release(float("inf"))

    @property
    def live(self) -> int:
        """The number of running generations."""
        with self._changed:
            return self._live

    def wait_for_requests(self, count: int) -> None:
        """Wait until this many requests have started."""
        self._wait_until(lambda: len(self.requests) >= count, f"fewer than {count} requests have started")

    def wait_until_idle(self) -> None:
        """Wait until no generation is running."""
        self._wait_until(lambda: not self._live, "a generation is still running")

    def wait_for_given(self, pieces: int) -> None:
        """Wait until this many pieces have been written."""
        self._wait_until(lambda: self.given >= pieces, f"fewer than {pieces} pieces were written")

    def _wait_until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        with self._changed:
            assert self._changed.wait_for(is_so, WAIT), otherwise

    # Called by the server.

    def load(self) -> None:
        pass

    def speak(self, generation: Generation) -> None:
        with self._changed:
            self.requests.append(generation.request)
            self._live += 1
            self._changed.notify_all()
        try:
            generation.format = self.audio_format
            generation.notes.extend(self.notes)
            for piece in self._pieces_of(generation.request):
                if not self._wait_for_turn(generation):
                    return
                if isinstance(piece, Exception):
                    raise piece
                if not generation.write(piece):
                    return
                with self._changed:
                    self.given += 1
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._live -= 1
                self._changed.notify_all()

    def _pieces_of(self, request: SpeechRequest) -> Iterable[bytes | Exception]:
        if self._pieces is not None:
            return self._pieces(request)
        pcm = sound_of(request.text, audio_format=self.audio_format)
        step = self._piece_frames * self.audio_format.frame_bytes
        return [pcm[at : at + step] for at in range(0, len(pcm), step)]

    def _wait_for_turn(self, generation: Generation) -> bool:
        with self._changed:
            while self._allowed < 1 and not generation.cancelled:
                self._changed.wait(STEP_SECONDS)
            self._allowed -= 1
        return not generation.cancelled


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    """Names are in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class SpeechApp:
    """A running server; use it as a context manager or close it. Closing fails if the server logged an error."""

    def __init__(
        self,
        backend: Backend | None = None,
        *,
        keys: Sequence[str] = (),
        settings: ServerSettings | None = None,
        **server: Any,
    ) -> None:
        """Start it with an engine (None: espeak) and fields of `[server]`, and wait until it is ready.

        `settings`: the other settings; `server` overrides its fields.
        """
        self.backend: Any = backend
        settings = settings or ServerSettings(Server())
        named = {"port": 0, "drain_timeout": 0, **server}
        self.settings = settings._replace(server=settings.server._replace(**named), api_keys=tuple(keys))
        self.reports: list[Report] = []
        """Reports of finished streams."""
        self.faults: list[str] = []
        """Internal errors logged by the server, with debug details."""
        self._ended = threading.Condition()
        self._started = threading.Event()
        self._listening = listen(self.settings.server)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self.app = create_app(self.settings, backend)
        self._host = Host(self.app, self.settings.server, self._began)
        self._failure: BaseException | None = None
        self._stopping = False
        self._watch = _Faults(self.faults)
        self._loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
        for logger in self._loggers:
            logger.addHandler(self._watch)
        self._thread = threading.Thread(target=self._run, name="speech-app", daemon=True)
        self._thread.start()
        assert self._started.wait(WAIT), "the server did not start"
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> "SpeechApp":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def service(self) -> Any:
        return self.app.state.service

    @property
    def connections(self) -> Any:
        """The server's open connections."""
        return self._host.config.bounded

    def wait_for_reports(self, count: int) -> list[Report]:
        """Wait until this many streams have ended and return their reports."""
        with self._ended:
            assert self._ended.wait_for(lambda: len(self.reports) >= count, WAIT), f"{len(self.reports)} have ended"
            return list(self.reports)

    def reset(self) -> None:
        """Wait until every connection and request has ended, then reset the reports and the engine."""
        if isinstance(self.backend, SteppedEngine):
            self.backend.let_go()
        running = self._host.server_state.tasks  # a session with queued texts runs on while no stream is active
        wait_until(lambda: not self.connections and not running, "a connection or a request has not ended")
        if isinstance(self.backend, SteppedEngine):
            self.backend.reset()
        with self._ended:
            self.reports.clear()

    def request(self, method: str, path: str, content: Any = None, *, key: str | None = None, **headers: str) -> Answer:
        """Send a request; content other than bytes is encoded as JSON."""
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        sent = {"content-type": "application/json"} if body is not None else {}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            connection.request(method, path, body, sent | headers)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def connect(
        self, path: str, *, key: str | None = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> ClientConnection:
        """Open a WebSocket; a context manager."""
        headers = {**(headers or {}), **({} if key is None else {"Authorization": f"Bearer {key}"})}
        options = {"open_timeout": WAIT, "close_timeout": WAIT, "compression": None, "max_size": None, **options}
        return connect(self.ws_url + path, additional_headers=headers, proxy=None, **options)

    def stop(self) -> None:
        """Start to shut down, as after the first signal."""
        if not self._stopping and self._thread.is_alive():
            self._stopping = True
            self._host.handle_exit(0, None)

    def close(self) -> None:
        """Stop the server and its streams, and wait until it has ended."""
        self.stop()
        self._thread.join(WAIT)
        assert not self._thread.is_alive(), "the server did not stop"
        assert self._failure is None, self._failure
        assert not self.faults, self.faults

    def _run(self) -> None:
        try:
            self._host.run([self._listening])
        except BaseException as error:
            self._failure = error
            self._listening.close()
        finally:
            for logger in self._loggers:
                logger.removeHandler(self._watch)
            self._started.set()

    def _began(self) -> None:
        original = self.service.on_end

        def on_end(report: Report) -> None:
            original(report)
            with self._ended:
                self.reports.append(report)
                self._ended.notify_all()

        self.service.on_end = on_end
        self._started.set()


class _Faults(logging.Handler):
    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults
        self.addFilter(_ErrorFilter(debug=True))

    def emit(self, record: logging.LogRecord) -> None:
        self._faults.append(logging.Formatter().format(record))
