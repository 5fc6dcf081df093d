"""`voice serve`'s app on its own host, in a thread and on a free port; and an engine for it that a test steps."""

import http.client
import json
import logging
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from websockets.sync.client import ClientConnection, connect

from support.threads import WAIT
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
"""How long the made engine works before it looks whether somebody still listens."""


def sound_of(text: str, seconds: float = 0.2, audio_format: AudioFormat = MONO24) -> bytes:
    """Give what the made engine says a text with: loud in every sample, so that no join takes any of it for silence."""
    rng = np.random.default_rng(zlib.crc32(text.encode("utf-8", "surrogatepass")))
    shape = (audio_format.frames(seconds), audio_format.channels)
    return (rng.integers(1_000, 8_000, shape) * rng.choice((-1, 1), shape)).astype("<i2").tobytes()


class MadeEngine(EngineBackend):
    """An engine whose every piece a test may hold back. One generation at a time, as all of them."""

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
        """Take what it gives for a request; an exception among it is raised. None: `sound_of` the text, in pieces."""
        super().__init__()
        self.requests: list[SpeechRequest] = []
        """What it turned to, the warm-up's left out."""
        self.notes: list[str] = []
        """What it says of each generation."""
        self.audio_format = audio_format
        self.given = 0
        """Pieces that were handed over."""
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
        self.begin_anew()

    # What a test does.

    def give(self, pieces: Callable[[SpeechRequest], Iterable[bytes | Exception]] | None) -> None:
        """Give this from now on for a request, as the constructor has it."""
        self._pieces = pieces

    def begin_anew(self) -> None:
        """Wait until nothing is under way, held back no more; and forget what was asked for, and how."""
        self.let_go()
        self.wait_until_idle()
        self._pieces = self._made_with
        self.requests.clear()
        self.given = 0

    def hold(self) -> None:
        """Give nothing from now on but what is released."""
        with self._changed:
            self._allowed = 0

    def release(self, pieces: float = 1) -> None:
        """Let so many more pieces go."""
        with self._changed:
            self._allowed += pieces
            self._changed.notify_all()

    def let_go(self) -> None:
        """Hold nothing back any more."""
        self.release(float("inf"))

    @property
    def live(self) -> int:
        """Generations that are under way."""
        with self._changed:
            return self._live

    def wait_for_requests(self, count: int) -> None:
        """Wait until it has turned to so many."""
        self._wait_until(lambda: len(self.requests) >= count, f"{count} requests have not come")

    def wait_until_idle(self) -> None:
        """Wait until no generation is under way."""
        self._wait_until(lambda: not self._live, "a generation is still under way")

    def wait_for_given(self, pieces: int) -> None:
        """Wait until so many pieces were handed over."""
        self._wait_until(lambda: self.given >= pieces, f"{pieces} pieces were not given")

    def _wait_until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        with self._changed:
            assert self._changed.wait_for(is_so, WAIT), otherwise

    # What an engine does.

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
    """Their names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class SpeechApp:
    """The server; `with` it, or `close` it. It fails at its end if a fault of the server was logged meanwhile."""

    def __init__(
        self,
        backend: Backend | None = None,
        *,
        keys: Sequence[str] = (),
        settings: ServerSettings | None = None,
        **server: Any,
    ) -> None:
        """Start it, and wait until it serves: with an engine (None: espeak), and fields of `[server]`.

        `settings`: all else that is settled, with whatever is in its `server` under what is said here.
        """
        self.backend: Any = backend
        settings = settings or ServerSettings(Server())
        named = {"port": 0, "drain_timeout": 0, **server}
        self.settings = settings._replace(server=settings.server._replace(**named), api_keys=tuple(keys))
        self.reports: list[Report] = []
        """Of the streams that ended."""
        self.faults: list[str] = []
        """What was logged as the server's own fault, as it is told to a person who debugs."""
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
        assert self._started.wait(WAIT), "the server has not started"
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> "SpeechApp":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def service(self) -> Any:
        return self.app.state.service

    def wait_for_reports(self, count: int) -> list[Report]:
        """Wait until so many streams have ended; give what became of them."""
        with self._ended:
            assert self._ended.wait_for(lambda: len(self.reports) >= count, WAIT), f"{len(self.reports)} have ended"
            return list(self.reports)

    def begin_anew(self) -> None:
        """Wait until no stream is under way, and forget those that ended, and what a made engine was asked for."""
        if isinstance(self.backend, MadeEngine):
            self.backend.begin_anew()
        with self._ended:
            assert self._ended.wait_for(lambda: not self.service.active, WAIT), "a stream is still under way"
            self.reports.clear()

    def request(self, method: str, path: str, content: Any = None, *, key: str | None = None, **headers: str) -> Answer:
        """Ask it, with something as JSON (bytes: as they are)."""
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
        """Open a WebSocket. It has a context."""
        headers = {**(headers or {}), **({} if key is None else {"Authorization": f"Bearer {key}"})}
        options = {"open_timeout": WAIT, "close_timeout": WAIT, "compression": None, "max_size": None, **options}
        return connect(self.ws_url + path, additional_headers=headers, proxy=None, **options)

    def stop(self) -> None:
        """Begin to stop, as at a first signal."""
        if not self._stopping and self._thread.is_alive():
            self._stopping = True
            self._host.handle_exit(0, None)

    def close(self) -> None:
        """Stop it, the streams that are under way too, and wait for its end."""
        self.stop()
        self._thread.join(WAIT)
        assert not self._thread.is_alive(), "the server does not stop"
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
        told = self.service.on_end

        def on_end(report: Report) -> None:
            told(report)
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
