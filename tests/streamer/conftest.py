"""Threads with results, stepped clocks, and a model that calls a streamer as VibeVoice's models do."""

import asyncio
import math
import selectors
import threading

import numpy as np
import pytest

from voice_cli.streamer.sample_queues import Condition

PATIENCE_S = 10.0
"""Timeout of a thread, in seconds."""


class Worker:
    """A function in a thread; `result()` returns its result or raises its exception."""

    def __init__(self, work, *args):
        self._outcome = None
        self.thread = threading.Thread(target=self._run, args=(work, args), daemon=True)
        self.thread.start()

    def _run(self, work, args):
        try:
            self._outcome = (work(*args), None)
        except BaseException as exc:
            self._outcome = (None, exc)

    @property
    def running(self):
        return self.thread.is_alive()

    def result(self):
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "the thread is hung"
        value, error = self._outcome
        if error is not None:
            raise error
        return value


@pytest.fixture
def work():
    return Worker


class SteppedClock:
    """A clock and `Condition.wait` under the test's control: time passes only in `advance`.

    `waits` lists the timeouts of all waits, so that polling shows as a growing list.
    """

    def __init__(self, real_wait):
        self.now = 0.0
        self.waits = []
        self._real_wait = real_wait
        self._sleepers = []
        self._fell_asleep = threading.Semaphore(0)

    def time(self):
        return self.now

    def wait(self, condition, timeout=None):
        # The caller holds the condition's lock until the real wait has begun.
        self.waits.append(timeout)
        sleeper = (math.inf if timeout is None else self.now + timeout, condition)
        self._sleepers.append(sleeper)
        self._fell_asleep.release()
        self._real_wait(condition)
        self._sleepers.remove(sleeper)
        return True

    def until_asleep(self):
        """Wait until one more wait has begun."""
        assert self._fell_asleep.acquire(timeout=PATIENCE_S), "no thread waits"

    def advance(self, seconds):
        self.now += seconds
        for wakes_at, condition in list(self._sleepers):
            if wakes_at <= self.now:
                with condition:
                    condition.notify_all()


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock in the waits of a streamer's queues."""
    stepped = SteppedClock(Condition.wait)
    monkeypatch.setattr(threading, "_time", stepped.time)  # of `Condition.wait_for`
    monkeypatch.setattr(Condition, "wait", lambda self, timeout=None: stepped.wait(self, timeout))
    return stepped


class SteppedSelector(selectors.SelectSelector):
    """A selector that advances the time to the next timer instead of sleeping."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.selects = 0

    def select(self, timeout=None):
        self.selects += 1
        if timeout is not None and timeout > 0:
            ready = super().select(0)
            if ready:
                return ready
            self.now += timeout
            timeout = 0
        return super().select(timeout)


class SteppedLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.stepped = SteppedSelector()
        super().__init__(self.stepped)

    def time(self):
        return self.stepped.now


@pytest.fixture
def run_stepped():
    """Return a function that runs a coroutine in a loop with stepped time; the coroutine gets the loop's selector."""

    def run(main):
        with asyncio.Runner(loop_factory=SteppedLoop) as runner:
            return runner.run(main(runner.get_loop().stepped))

    return run


@pytest.fixture
def run():
    """Return a function that runs a coroutine in a real loop, with a timeout."""

    def run(main):
        return asyncio.run(asyncio.wait_for(main, PATIENCE_S))

    return run


class ReplayedModel:
    """Calls a streamer as `VibeVoiceStreamingForConditionalGenerationInference.generate` does.

    Windows of six chunks of (1, 3200), 133 ms each; `stop_check_fn` is called before each window; at the end
    of speech `end(indices)` is called *within* a window, whose remaining chunks are still put; then
    `end()`. It modifies the prompt and reuses one buffer for all chunks. If `stepped`, each chunk
    waits for `step()`.
    """

    WINDOW = 6

    def __init__(self, speech_chunks, fails_at=None, *, stepped=False):
        self.speech_chunks = speech_chunks
        self.fails_at = fails_at
        self.made = 0
        self.stopped = False
        self._steps = threading.Semaphore(0) if stepped else None
        self._buffer = np.empty((1, 3200), np.float32)

    def step(self, chunks=1):
        self._steps.release(chunks)

    def process_input_with_cached_prompt(self, text, cached_prompt, return_tensors):
        assert return_tensors == "pt"
        return {"tts_text_ids": np.array([[ord(letter) for letter in text]])}

    def generate(self, *, audio_streamer, tokenizer, all_prefilled_outputs, stop_check_fn=None, tts_text_ids=None):
        all_prefilled_outputs["lm"].append("a key written by generate")
        indices = np.array([0])
        finished = False
        while not finished:
            if stop_check_fn is not None and stop_check_fn():
                audio_streamer.end()
                self.stopped = True
                break
            for _ in range(self.WINDOW):
                if self._steps is not None:
                    assert self._steps.acquire(timeout=PATIENCE_S), "the model is not stepped"
                if self.made == self.fails_at:
                    raise RuntimeError("CUDA out of memory")
                self._buffer[:] = self.made
                audio_streamer.put(self._buffer, indices)
                self.made += 1
                if self.made == self.speech_chunks:
                    audio_streamer.end(indices)
                    finished = True
        audio_streamer.end()
        return "outputs"

    tokenizer = None


@pytest.fixture
def replayed_model():
    return ReplayedModel
