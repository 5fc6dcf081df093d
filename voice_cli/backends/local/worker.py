"""The base of the engines in this process: one model and one worker thread, which generates one request at a time.

An engine is a subclass with three hooks (`load`, `speak`, `unload`), all called on the worker thread, one at a time;
what they raise is raised by the stream's iteration. A request returns at once: the worker loads the model, too, so that
the device opens meanwhile. Of the waiting requests, the one whose sound is needed first is next.
"""

import atexit
import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import Iterator, Mapping

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, UnknownVoiceError, WordEvent
from voice_cli.errors import EngineError, Hint, Interrupted, UsageError, VoiceError, nearest
from voice_cli.printable import one_line
from voice_cli.queues import BoundedQueue

AHEAD_BYTES = 320 * 24000 * 2
"""Speech that is buffered before the engine waits for the reader: five minutes at the rate of most models. That is more
than any utterance of the splitter, so that a slow reader does not block other requests."""

BATCH_BYTES = 16 << 10
"""Speech that a reader gets at once from an engine that is faster: each chunk costs the reader a decoder's call, a
conversion and a message."""

PIECE_SECONDS = 0.25
"""The longest chunk: a whole sentence is split into chunks of this length."""

MAX_STEPS = 100
"""The most diffusion steps for a chunk."""

LOAD_ONLY = SpeechRequest("")
"""Loads the model and generates nothing."""

EXIT_SECONDS = 5.0
"""The timeout for running engines when the process exits: a thread that returns from C++ into a finalized interpreter
crashes the process."""


class Generation:
    """One request and its output. It has no reference to its stream, which cancels it when garbage collected."""

    def __init__(self, request: SpeechRequest) -> None:
        self.request = request
        self.queue: BoundedQueue[bytes] = BoundedQueue(AHEAD_BYTES)
        self.timestamps = {"request_sent": time.monotonic()}
        self.format: AudioFormat | None = None
        """Set before the first `write`."""
        self.words: list[WordEvent] = []
        self.notes: list[str] = []
        """See `SpeechStream.notes`."""

    @property
    def cancelled(self) -> bool:
        """Whether to stop at the next step. Any thread; does not wait."""
        return self.queue.cancelled

    def stop_if_cancelled(self) -> None:
        if self.cancelled:
            raise Interrupted("the request was cancelled")

    def write(self, pcm: bytes) -> bool:
        """Queue whole frames of PCM; wait while the queue is full. Return False if the engine is to stop."""
        if pcm:
            self.timestamps.setdefault("first_byte", time.monotonic())
        if self.format is None:
            raise RuntimeError("write() before the format is known")
        step = self.format.frames(PIECE_SECONDS) * self.format.frame_bytes
        return all(self.queue.put(pcm[at : at + step]) for at in range(0, len(pcm), step)) and not self.cancelled


class EngineStream(SpeechStream):
    """PCM as the engine generates it. It may be iterated over once.

    Closing or garbage collecting the iterator or the stream before its end cancels the request.
    """

    is_external = False

    def __init__(self, generation: Generation, expected: Encoding) -> None:
        self.expected = expected
        self.timestamps = generation.timestamps
        self.words = generation.words
        self.notes = generation.notes
        self._generation = generation

    def __iter__(self) -> Iterator[bytes]:
        queue = self._generation.queue
        try:
            while chunks := queue.get_many(BATCH_BYTES):
                if self.announced is None:
                    self.announced = Encoding("pcm", self._generation.format)
                yield b"".join(chunks)
        finally:
            queue.cancel()

    def cancel(self) -> None:
        self._generation.queue.cancel()

    def __del__(self) -> None:
        self._generation.queue.cancel()


class EngineBackend(Backend):
    """A model in this process. It generates one request at a time.

    A constructor raises UsageError for a missing model or a wrong setting, and EngineError for a missing package. A
    stream that is not read blocks later requests once five minutes of it are buffered: cancel a stream before waiting
    for a later one. `SpeechRequest.codec`, `model` and `instructions` are ignored: there is one model, and PCM.
    """

    has_speed = False
    """Whether `SpeechRequest.speed` can be other than 1."""
    speeds = (0.25, 4.0)
    expected_format: AudioFormat | None = None
    """The format of the speech, if it is known before the model is loaded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, Generation]] = []
        """(due, serial number, generation), sorted."""
        self._count = 0
        self._running: Generation | None = None
        self._worker: threading.Thread | None = None
        self._loaded = False
        self._closed = False
        _open.add(self)

    # To be implemented by an engine. Called on the worker thread.

    @abstractmethod
    def load(self) -> None:
        """Import the library and load the model. Called before the first generation, and again after it failed."""

    @abstractmethod
    def speak(self, generation: Generation) -> None:
        """Set `generation.format` and pass all speech to `generation.write`; return early once it is cancelled."""

    def unload(self) -> None:
        """Free the model. Called once after `close`, if it was loaded."""

    # May be overridden. Any thread.

    @property
    def own_speeds(self) -> tuple[float, float] | None:
        return self.speeds if self.has_speed else None

    def expected(self, codec: str) -> Encoding:
        """Return the encoding of the speech: PCM for every codec."""
        del codec
        return Encoding("pcm", self.expected_format)

    def check(self, request: SpeechRequest) -> None:
        """Raise UsageError if the request is not possible, as far as is known without the model."""

    def synthesize(self, request: SpeechRequest) -> EngineStream:
        """Queue the request; return at once. Errors that need the model are raised by iteration."""
        if self._closed:
            raise RuntimeError("the backend is closed")
        if not request.text.strip():  # some models would generate up to their limit
            raise UsageError("there is nothing to say: the text is blank")
        self._check_speed(request.speed)
        self.check_options(request.options)
        self.check(request)
        generation = Generation(request)
        self._begin(generation)
        return EngineStream(generation, self.expected(request.codec))

    def prepare(self) -> None:
        self._begin(Generation(LOAD_ONLY))

    def _begin(self, generation: Generation) -> None:
        with self._lock:
            due = generation.request.due
            self._count += 1
            self._waiting.append((time.monotonic() if due is None else due, self._count, generation))
            self._waiting.sort()
            # A forked child has the worker's object, but not its thread.
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name=f"voice-{self.name}", daemon=True)
                self._worker.start()

    def warm_up(self) -> None:
        """Generate a word and discard it, so that all that is loaded or compiled at first use is."""
        for _ in self.synthesize(SpeechRequest("Hi.")):
            continue

    def _check_speed(self, speed: float | None) -> None:
        if speed is None or speed == 1:
            return
        if not self.has_speed:
            raise UsageError(f"{self.name} has no speed setting", hint="leave the speed out")
        slowest, fastest = self.speeds
        if not slowest <= speed <= fastest:  # false for NaN, too
            hint = f"a speed from {slowest:g} to {fastest:g}"
            raise UsageError(f"{self.name} cannot speak at speed {speed}", hint=hint)

    def close(self) -> None:
        """Cancel all requests, and free the model after the engine's current step. Does not wait."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            generations = [generation for _, _, generation in self._waiting]
            if self._running is not None:
                generations.append(self._running)
            idle = self._worker is None or not self._worker.is_alive()
        for generation in generations:
            generation.queue.cancel()
        if idle:
            self._free()

    def join(self, seconds: float) -> None:
        """Wait until no request is left, for at most so many seconds."""
        if (worker := self._worker) is not None:
            worker.join(seconds)

    def _work(self) -> None:
        while (generation := self._next()) is not None:
            queue = generation.queue
            try:
                if not queue.cancelled:
                    if not self._loaded:
                        self.load()
                        self._loaded = True
                    generation.timestamps["engine_ready"] = time.monotonic()
                    if generation.request is not LOAD_ONLY and not queue.cancelled:
                        self.speak(generation)
                if not queue.cancelled:
                    generation.timestamps["last_byte"] = time.monotonic()
                queue.close()
            except VoiceError as error:
                queue.close(error)
            except BaseException as error:
                queue.close(failed(self.name, error))
            del generation, queue

    def _next(self) -> Generation | None:
        with self._lock:
            self._running = self._waiting.pop(0)[2] if self._waiting else None
            if self._running is None:
                if self._closed:
                    self._free()
                self._worker = None
            return self._running

    def _free(self) -> None:
        if self._loaded:
            self._loaded = False
            self.unload()


def missing_model(backend: type[EngineBackend], hint: str) -> UsageError:
    return UsageError(f"{backend.name} needs a model: {backend.model_is}", hint=Hint(hint))


def speaker_number(voice: str, names: Mapping[str, int], count: int | None) -> int:
    """Return the number of the speaker with that name or number; `count` is None if unknown."""
    number = names.get(voice, int(voice) if voice.isdecimal() else -1)
    if number < 0 or (count is not None and number >= max(count, 1)):
        known = ", ".join(names) or (f"0 to {max(count, 1) - 1}" if count is not None else "numbers from 0")
        raise UnknownVoiceError(
            f"the model has no speaker {voice!r}{nearest(voice, names)}", hint=f"it has: {known[:200]}"
        )
    return number


def check_steps(steps: float | None) -> int | None:
    """Return the number of diffusion steps as an integer, or raise UsageError."""
    if steps is not None and steps not in range(1, MAX_STEPS + 1):  # NaN is in no range
        raise UsageError(f"steps cannot be {steps:g}", hint=f"a whole number from 1 to {MAX_STEPS}")
    return None if steps is None else int(steps)


def failed(name: str, error: BaseException) -> EngineError:
    """Convert a library's exception to an EngineError."""
    reason = one_line(str(error)) or type(error).__name__
    hint = None
    # torch has a class of that name for CUDA; for MPS it raises a RuntimeError.
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in reason.lower():
        hint = "the device has too little free memory for the model: try compute = 'cpu', or a smaller model"
    failure = EngineError(f"{name} failed: {reason}", hint=hint)
    failure.__cause__ = error
    return failure


_open: "weakref.WeakSet[EngineBackend]" = weakref.WeakSet()


def _stop_all() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for backend in list(_open):
        backend.close()
    for backend in list(_open):
        backend.join(max(0.0, deadline - time.monotonic()))


atexit.register(_stop_all)
