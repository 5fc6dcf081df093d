"""What the engines in this process share: one model, one generation at a time, in a thread that is only there for it.

An engine is a subclass with three hooks (`load`, `speak`, `unload`), all called on the worker's thread and never two at
once; what they raise reaches the reader of the stream. A request returns at once: even the model is loaded by the
worker, so that the device opens meanwhile.
"""

import atexit
import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import Iterator

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, WordEvent
from voice_cli.backends.local.turns import Turns
from voice_cli.errors import EngineError, UsageError, VoiceError, one_line
from voice_cli.queues import BoundedQueue

AHEAD_BYTES = 320 * 24000 * 2
"""How much speech waits for its listener before the engine does: five minutes at the rate that most models have. That
is more than any utterance of the splitter's, so that one who listens slowly holds up nobody else."""

PIECE_SECONDS = 0.25
"""An engine that gives a sentence at once has it put in pieces of this length: a reader that is told the start of a
sentence need not take all of it."""

MOST_STEPS = 100
"""In which a model may be asked to refine a chunk."""

NOTHING = SpeechRequest("")
"""What is asked for to have the model loaded, and no more."""

EXIT_SECONDS = 5.0
"""How long the end of the process waits for a step of an engine: a thread that comes back from C++ into an interpreter
that is gone takes the process down with it."""


class Generation:
    """One request on its way through the engine. It does not know its stream, whose end is its cancellation."""

    def __init__(self, request: SpeechRequest) -> None:
        self.request = request
        self.handoff: BoundedQueue[bytes] = BoundedQueue(AHEAD_BYTES)
        self.timestamps = {"request_sent": time.monotonic()}
        self.format: AudioFormat | None = None
        """Set before the first `give`."""
        self.words: list[WordEvent] = []
        self.notes: list[str] = []
        """What the listener should be told: see `SpeechStream.notes`."""

    @property
    def cancelled(self) -> bool:
        """Nobody will listen any more: stop at the next step. Any thread; never waits."""
        return self.handoff.cancelled

    def give(self, pcm: bytes) -> bool:
        """Hand over a chunk of whole frames. Waits while the listener is far behind.

        False: it was cancelled, and the engine is to stop.
        """
        if pcm:
            self.timestamps.setdefault("first_byte", time.monotonic())
        if self.format is None:
            raise RuntimeError("give() before the format is known")
        step = self.format.frames(PIECE_SECONDS) * self.format.frame_bytes
        return all(self.handoff.put(pcm[at : at + step]) for at in range(0, len(pcm), step)) and not self.cancelled


class EngineStream(SpeechStream):
    """PCM as the engine makes it.

    It may be iterated over once. An iterator that is closed or dropped before its end, like a stream that is dropped
    with nobody iterating, gives up the request.
    """

    def __init__(self, generation: Generation, expected: Encoding) -> None:
        self.expected = expected
        self.timestamps = generation.timestamps
        self.words = generation.words
        self.notes = generation.notes
        self._generation = generation

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks.

        Raises:
            UsageError: there is no such voice, or the request cannot be.
            EngineError: the model does not load, or the engine failed.
            Interrupted: `cancel` was called.

        """
        handoff = self._generation.handoff
        try:
            for data in handoff:
                if self.announced is None:
                    self.announced = Encoding("pcm", self._generation.format)
                yield data
        finally:
            handoff.cancel()

    def cancel(self) -> None:
        self._generation.handoff.cancel()

    def __del__(self) -> None:
        self._generation.handoff.cancel()


class EngineBackend(Backend):
    """A model in this process. Requests wait for one another; see `turns`.

    One whose stream is not read holds up the others once it is five minutes ahead of its reader. A thread that leaves a
    stream half read and waits for a younger one may wait for ever: let it cancel the older.

    `SpeechRequest.codec`, `model` and `instructions` mean nothing to it: it has one model, and gives PCM.
    """

    has_speed = False
    """Whether `SpeechRequest.speed` can be other than 1."""
    speeds = (0.25, 4.0)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Turns[Generation] = Turns()
        self._running: Generation | None = None
        self._worker: threading.Thread | None = None
        self._loaded = False
        self._closed = False
        _open.add(self)

    # What an engine fills in. All on the worker's thread.

    @abstractmethod
    def load(self) -> None:
        """Import the library and load the model. Called before the first generation, and again after it failed."""

    @abstractmethod
    def speak(self, generation: Generation) -> None:
        """Set `generation.format`, and give all of the speech; return early once it is cancelled."""

    def unload(self) -> None:
        """Drop the model and what it holds. Called once, by `close`, if `load` was."""

    # What an engine may fill in. Any thread.

    @property
    def expected_format(self) -> AudioFormat | None:
        """What the speech will be, as far as it is known without the model."""
        return None

    def expected(self, codec: str) -> Encoding:
        """Return what will come: PCM, whatever was asked for."""
        del codec
        return Encoding("pcm", self.expected_format)

    def check(self, request: SpeechRequest) -> None:
        """Check that the request can be, as far as it can be told without the model.

        Raises:
            UsageError: it cannot.

        """

    def synthesize(self, request: SpeechRequest) -> EngineStream:
        """Begin to speak; return at once.

        Raises:
            UsageError: there is nothing to say, or not like that. What only the model knows, iteration says.

        """
        if self._closed:
            raise RuntimeError("the backend is closed")
        if not request.text.strip():  # some models would speak to their maximum length, others of something else
            raise UsageError("there is nothing to say: the text is blank")
        self._check_speed(request.speed)
        self.check_options(request.options)
        self.check(request)
        generation = Generation(request)
        self._begin(generation)
        return EngineStream(generation, self.expected(request.codec))

    def prepare(self) -> None:
        self._begin(Generation(NOTHING))

    def _begin(self, generation: Generation) -> None:
        with self._lock:
            self._waiting.add(generation, generation.request.due)
            # A forked child has the worker's object, but not its thread.
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name=f"voice-{self.name}", daemon=True)
                self._worker.start()

    def warm_up(self) -> None:
        """Let it say a word to nobody: what is loaded and compiled at first use then is."""
        for _ in self.synthesize(SpeechRequest("Hi.")):
            continue

    def _check_speed(self, speed: float | None) -> None:
        if speed is None or speed == 1:
            return
        if not self.has_speed:
            raise UsageError(f"{self.name} has one pace: it knows no speed", hint="leave the speed out")
        slowest, fastest = self.speeds
        if not slowest <= speed <= fastest:  # false for NaN, too
            raise UsageError(
                f"{self.name} cannot speak at {speed} times its pace", hint=f"a speed from {slowest:g} to {fastest:g}"
            )

    def close(self) -> None:
        """Abandon what is under way, and free the model as soon as the engine's step allows; does not wait for it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            generations = [*self._waiting] if self._running is None else [self._running, *self._waiting]
            idle = self._worker is None or not self._worker.is_alive()
        for generation in generations:
            generation.handoff.cancel()
        if idle:
            self._free()

    def _wait(self, seconds: float) -> None:
        worker = self._worker
        if worker is not None:
            worker.join(seconds)

    def _work(self) -> None:
        while (generation := self._next()) is not None:
            handoff = generation.handoff
            try:
                if not handoff.cancelled:
                    if not self._loaded:
                        self.load()
                        self._loaded = True
                    generation.timestamps["engine_ready"] = time.monotonic()
                    if generation.request is not NOTHING and not handoff.cancelled:
                        self.speak(generation)
                if not handoff.cancelled:
                    generation.timestamps["last_byte"] = time.monotonic()
                handoff.close()
            except VoiceError as error:
                handoff.fail(error)
            except BaseException as error:
                handoff.fail(failed(self.name, error))
            del generation, handoff

    def _next(self) -> Generation | None:
        with self._lock:
            self._running = self._waiting.take()
            if self._running is None:
                if self._closed:
                    self._free()
                self._worker = None
            return self._running

    def _free(self) -> None:
        if self._loaded:
            self._loaded = False
            self.unload()


def check_steps(steps: float | None) -> int | None:
    """Check that it is a number of steps that a model can take.

    Raises:
        UsageError: it is none.

    """
    if steps is not None and steps not in range(1, MOST_STEPS + 1):  # NaN is in no range
        raise UsageError(f"there is no speech in {steps:g} steps", hint=f"a whole number from 1 to {MOST_STEPS}")
    return None if steps is None else int(steps)


def failed(name: str, error: BaseException) -> EngineError:
    """Make of what a library raised one line about the engine."""
    reason = one_line(str(error)) or type(error).__name__
    hint = None
    if "out of memory" in reason.lower():
        hint = "the model needs more memory than this device has free: try compute = 'cpu', or a smaller model"
    failure = EngineError(f"{name} failed: {reason}", hint=hint)
    failure.__cause__ = error
    return failure


_open: "weakref.WeakSet[EngineBackend]" = weakref.WeakSet()


def _stop_all() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for backend in list(_open):
        backend.close()
    for backend in list(_open):
        backend._wait(max(0.0, deadline - time.monotonic()))  # noqa: SLF001  this module's own


atexit.register(_stop_all)
