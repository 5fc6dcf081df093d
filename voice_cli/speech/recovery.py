"""Requests that are sent again: a retry, a failover or a hedge before any audio, and a resumption after a cut.

::

    Narration ─▶ Recovery.request ─▶ RecoveringStream ─▶ Speech
                     ▲      ▲               │ before audio: the next try, in the same iteration
                  targets  breaker          └ after a cut: `resume`, then `splice` joins the new take

A *target* is a profile that can be asked; the first one is asked until it fails. Backends only say what an error is
(`VoiceError.is_transient`, `retry_after`); the decisions are here and in
`recovering_stream`:

- A transient error is retried after a random part of 0.2 s, 0.4 s, 0.8 s, … (exponential backoff with full jitter), or
  after the time that the server demands. There are at most `Policy.tries`, and none begins later than
  `Policy.timeout` after the first failure is known. With a target left, there is one quick retry.
- Any error of a backend leads to the next target, if there is one. The rest of the speech stays with it, so that the
  voice changes once.
- `UsageError` and `ConfigError` of the first target are never retried, nor is a refusal of the request (4xx).

This module is imported after the first request was sent, unless there are fallback profiles or hedging.
"""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream
from voice_cli.errors import VoiceError
from voice_cli.script.line import Line
from voice_cli.speech.breaker import Breaker
from voice_cli.speech.events import Utterance
from voice_cli.speech.recovering_stream import RecoveringStream
from voice_cli.speech.speeds import synthesize


class Policy(NamedTuple):
    """When a request is sent again. Times are in seconds."""

    timeout: float = 60.0
    """No try begins later than this after the first failure."""
    tries: int = 5
    """Of one target, without any audio between them."""
    first_byte_timeout: float | None = None
    """A try without audio for so long has failed; None: the backend's own timeout."""
    hedge: float | None = None
    """After so long without audio, a second request is sent, and the first one to send audio is used."""
    resume: bool = True
    """Request an utterance again if its stream is cut."""


class Target:
    """A backend that can be asked, with the voice of a profile."""

    def __init__(
        self,
        name: str,
        open_backend: Callable[[], Backend],
        make_request: Callable[[Line], SpeechRequest],
        *,
        key: str | None = None,
    ) -> None:
        """Set how to ask it.

        Args:
            name: for people.
            open_backend: called once, when the target is first asked. It may raise.
            make_request: returns the request for a line.
            key: the name of its circuit, which targets with the same server share; None: `name`.

        """
        self.name = name
        self.key = key or name
        self._open = open_backend
        self._make_request = make_request
        self._lock = threading.Lock()
        self._backend: Backend | None = None

    def backend(self) -> Backend:
        with self._lock:
            if self._backend is None:
                self._backend = self._open()
            return self._backend

    def synthesize(self, line: Line) -> SpeechStream:
        return synthesize(self.backend(), self._make_request(line))


class Resumed(NamedTuple):
    """A place where two takes were joined."""

    at: float
    """Seconds of the speech."""
    by: str
    """The name of the target that spoke the rest."""


class Recovery:
    """The state of one speech: which target speaks, and what has happened. Any thread."""

    def __init__(self, targets: Sequence[Target], policy: Policy = Policy(), breaker: Breaker | None = None) -> None:  # noqa: B008  a constant
        """Choose the first target whose circuit is closed. `breaker` None: none is skipped."""
        self.policy = policy
        self.targets = targets
        self.breaker = breaker
        self.retries = 0
        """Requests that were sent again, also to another target."""
        self.resumed: list[Resumed] = []
        self._lock = threading.Lock()
        self._index = 0
        self._notes: list[str] = []
        if breaker is not None:
            skipped = [breaker.seconds_left(target.key) for target in targets]
            self._index = next((index for index, seconds in enumerate(skipped) if not seconds), 0)
            for target, seconds in zip(targets[: self._index], skipped, strict=False):
                self._notes.append(
                    f"{target.name} has failed before and is not asked for {seconds:.0f} s: {self.current.name} speaks"
                )

    @property
    def current(self) -> Target:
        return self.targets[self._index]

    @property
    def fallback(self) -> str | None:
        """The name of the target that speaks instead of the first; None: the first one speaks."""
        return self.current.name if self._index else None

    def following(self, target: Target) -> Target | None:
        """Return the target to ask after this one."""
        index = self.targets.index(target) + 1
        return self.targets[index] if index < len(self.targets) else None

    def request(self, line: Line) -> RecoveringStream:
        """Request a line of the current target. Errors are raised by the stream's iteration, except UsageError.

        Raises:
            UsageError: the request is not possible.

        """
        target = self.current
        stream = RecoveringStream(self, line, target, None)
        stream.send_first()
        return stream

    def watch(self, utterance: Utterance) -> RecoveringStream:
        """Return the utterance's stream as one that recovers, and set it."""
        if not isinstance(utterance.stream, RecoveringStream):
            utterance.stream = RecoveringStream(self, utterance.line, self.targets[0], utterance.stream)
        return utterance.stream

    def take_notes(self) -> list[str]:
        with self._lock:
            notes, self._notes = self._notes, []
            return notes

    def count_retry(self) -> None:
        with self._lock:
            self.retries += 1

    def note_joint(self, at: float, target: Target) -> None:
        """Note that a take of this target continues the speech at so many seconds of it."""
        self.resumed.append(Resumed(at, target.name))

    def move_to(self, target: Target, reason: str) -> None:
        """Make a later target the current one, and add a note."""
        with self._lock:
            index = self.targets.index(target)
            if index > self._index:
                self._index = index
                self._notes.append(f"{reason}: {target.name} speaks")

    def failed(self, target: Target, error: VoiceError) -> None:
        if self.breaker is not None and error.is_transient:
            self.breaker.failed(target.key)

    def succeeded(self, target: Target) -> None:
        if self.breaker is not None:
            self.breaker.succeeded(target.key)
