"""The embedded voice: espeak-ng in this process, from the library that `espeakng-loader` ships.

One worker thread synthesizes, one request after another, and is gone when none is left: the library allows no more
(see `espeak_library`). Everything imported here lies between the start of the process and the first sound.
"""

import atexit
import contextlib
import threading
from collections.abc import Callable, Iterator

from voice_cli.audio import Encoding
from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, UnknownVoiceError, Voice, WordEvent
from voice_cli.backends.local.espeak_library import FORMAT, Job, Library, load_library
from voice_cli.backends.local.turns import Turns
from voice_cli.errors import EngineError, UsageError, VoiceError

__all__ = ["EspeakBackend", "EspeakStream", "WordEvent"]

DEFAULT_VOICE = "en-us"

_NORMAL_RATE = 175
"""Words a minute at speed 1 (espeakRATE_NORMAL)."""
_RATES = (80, 700)
"""Words a minute between which speech gets as fast as was asked, within 3 % (measured with 1.51 and 1.52).
Below 80 it gets no slower; 700 is speed 4, the most that the OpenAI interface has."""

_LONGEST_VOICE = 59
"""Bytes that espeak_SetVoiceByName looks at."""


class EspeakStream(SpeechStream):
    """PCM as espeak-ng makes it, in chunks of at most 60 ms, with its silence: 12 ms before, some 300 after.

    It may be iterated over once. An iterator that is closed or dropped before its end, like a stream that is
    dropped with nobody iterating, gives up the request.
    """

    words: list[WordEvent]
    """Grows while the engine speaks: a chunk's words are here before the chunk is. Any thread may read it."""

    def __init__(self, job: Job) -> None:
        self.expected = Encoding("pcm", FORMAT)
        self.timestamps = job.timestamps
        self.words = job.words
        self._job = job

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks.

        Raises:
            UsageError: there is no such voice.
            EngineError: the library or its data are missing, or it failed.
            Interrupted: `cancel` was called.

        """
        handoff = self._job.handoff
        try:
            for data in handoff:
                if self.announced is None:
                    self.announced = Encoding("pcm", self._job.format)
                yield data
        finally:
            handoff.cancel()

    def cancel(self) -> None:
        self._job.handoff.cancel()

    def __del__(self) -> None:
        self._job.handoff.cancel()


class EspeakBackend(Backend):
    """espeak-ng. Requests of all backends of the process wait for one another; see `turns`.

    One whose stream is not read holds up the others once it is `AHEAD_SECONDS` ahead of its reader. A thread
    that leaves a stream half read and waits for a younger one may wait for ever: let it cancel the older.

    `SpeechRequest.codec`, `model` and `instructions` mean nothing to it.
    """

    name = "espeak"
    packages = (("espeakng_loader", "espeakng-loader"),)

    def __init__(self) -> None:
        self._closed = False

    def synthesize(self, request: SpeechRequest) -> EspeakStream:
        """Begin to speak; return at once.

        `voice` is an id of `voices()`, a language of one, or its name, and may have a variant (`en-us+f3`, or
        `+f3` for the default voice). `speed` is from 0.46 to 4.

        Raises:
            UsageError: espeak-ng cannot speak at that speed, or that can be no voice's name. That there is no
                such voice is known only later: iteration says so.

        """
        if self._closed:
            raise RuntimeError("the backend is closed")
        job = Job(self, request.text, _voice_name(request.voice), _words_a_minute(request.speed))
        _engine.begin(job, request.due)
        return EspeakStream(job)

    def prepare(self) -> None:
        threading.Thread(target=_engine.prepare, name="espeak-ng-loading", daemon=True).start()

    def expected(self, codec: str) -> Encoding:  # noqa: ARG002
        return Encoding("pcm", FORMAT)

    def language(self, voice: str | None) -> str:
        tag = (voice or DEFAULT_VOICE).partition("+")[0] or DEFAULT_VOICE
        return tag if 2 <= len(tag.partition("-")[0]) <= 3 else ""  # else it is a voice's name

    def voices(self) -> list[Voice]:
        """List the voices, then the variants (`+f3`), which go with every voice.

        It reads the data files and waits for no request.

        Raises:
            EngineError: the library or its data are missing.

        """
        files = _engine.library().voice_files()
        return [
            Voice(
                id="+" + file.id if file.is_variant else file.id.lower(),
                name=file.name,
                language="" if file.is_variant else file.language,
                gender=file.gender,
            )
            for file in files
        ]

    def close(self) -> None:
        """Abandon what this backend still has under way. The library stays: see the module's docstring."""
        self._closed = True
        _engine.cancel(lambda job: job.owner is self)


def _voice_name(voice: str | None) -> str:
    """Return a name that espeak_SetVoiceByName may be asked for: it opens files by it."""
    if voice is None:
        return DEFAULT_VOICE
    outside = voice.startswith(("/", "!")) or ".." in voice or "\\" in voice
    if outside or not voice.isprintable() or not 0 < len(voice.encode()) <= _LONGEST_VOICE:
        raise UnknownVoiceError(
            f"{voice[:_LONGEST_VOICE]!r} is no name of a voice", hint="espeak-ng's are like en-us or de+f3"
        )
    return DEFAULT_VOICE + voice if voice.startswith("+") else voice


def _words_a_minute(speed: float | None) -> int:
    rate = _NORMAL_RATE * (1.0 if speed is None else speed)
    slowest, fastest = _RATES
    if not slowest - 0.5 <= rate <= fastest:  # false for NaN, too
        raise UsageError(
            f"espeak-ng cannot speak at {speed} times its pace",
            hint=f"a speed from {slowest / _NORMAL_RATE:.2f} to {fastest / _NORMAL_RATE:g}",
        )
    return round(rate)


class _Engine:
    """The process's one worker, and those who wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Turns[Job] = Turns()
        self._running: Job | None = None
        self._worker: threading.Thread | None = None
        self._loading = threading.Lock()
        self._library: Library | None = None

    def begin(self, job: Job, due: float | None = None) -> None:
        """Let it wait for its turn. Any thread."""
        with self._lock:
            self._waiting.add(job, due)
            # A forked child has the worker's object, but not its thread.
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="espeak-ng", daemon=True)
                self._worker.start()

    def cancel(self, which: Callable[[Job], bool]) -> None:
        """Cancel what waits or runs. Any thread; does not wait for it."""
        with self._lock:
            jobs = [job for job in (self._running, *self._waiting) if job is not None and which(job)]
        for job in jobs:
            job.handoff.cancel()

    def stop(self) -> None:
        """Cancel everything and wait for the worker: no thread may be in the library when Python ends."""
        self.cancel(lambda _: True)
        worker = self._worker
        if worker is not None:
            worker.join(timeout=1.0)

    def library(self) -> "Library":
        """Return the library, loaded and initialised at the first call. Any thread."""
        with self._loading:
            if self._library is None:
                self._library = load_library()
            return self._library

    def prepare(self) -> None:
        """Load the library; if it cannot be, the first job will say so."""
        with contextlib.suppress(VoiceError):
            self.library()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                if not job.handoff.cancelled:
                    job.run(self.library())
                job.handoff.close()
            except VoiceError as error:
                job.handoff.fail(error)
            except BaseException as error:
                failure = EngineError(f"espeak-ng failed: {error}")
                failure.__cause__ = error
                job.handoff.fail(failure)

    def _next(self) -> Job | None:
        with self._lock:
            self._running = self._waiting.take()
            if self._running is None:
                self._worker = None
            return self._running


_engine = _Engine()
begin = _engine.begin
"""For other jobs than speech that need the library to themselves."""
atexit.register(_engine.stop)
