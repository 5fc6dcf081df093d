"""The stream of an utterance whose request is sent again if it fails: see `recovery`, which has the rules."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from voice_cli.audio import Encoding
from voice_cli.backends.base import SpeechStream, WordEvent
from voice_cli.errors import BackendError, Interrupted, TruncatedAudio, UsageError, VoiceError
from voice_cli.script.line import Line

if TYPE_CHECKING:
    from voice_cli.speech.recovery import Recovery, Target

FIRST_DELAY, LONGEST_DELAY = 0.2, 8.0
"""Seconds: the limits of the backoff."""
QUICK_TRIES, QUICK_SECONDS = 2, 1.0
"""With another target left: the tries of each, and how long a try may take for another one to be worth it."""


class RecoveringStream(SpeechStream):
    """The stream of an utterance, whose request is sent again if it fails. One thread iterates; any may cancel.

    It may be iterated again after `resume`.
    """

    def __init__(self, recovery: "Recovery", line: Line, target: "Target", stream: SpeechStream | None) -> None:
        """`stream`: of the request that was sent to the target; None: `send_first` sends it."""
        self.target = target
        self._recovery = recovery
        self._line = line
        self._take: SpeechStream | None = stream
        self._error: VoiceError | None = None
        """Why there is no take."""
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._others: list[SpeechStream] = []
        """Streams of a race, besides the take."""
        self._sent_at = time.monotonic()
        self._tries = 1
        """Of the target, since there was new audio."""
        self._tried = 1
        """Of all targets."""
        self._deadline: float | None = None
        self._notes: list[str] = []
        self._words: list[WordEvent] = []
        """Of the takes before."""
        self._shift: float | None = 0.0
        """Seconds from the take's time to the utterance's; None: not known yet."""
        self.has_begun = False
        """Whether the take has sent bytes."""
        self.has_ended = False
        """Whether the take has ended without an error of its transport."""

    # What the takes have.

    @property
    def take(self) -> SpeechStream:
        """The stream that is read."""
        if self._take is None:
            raise RuntimeError("no request was sent")
        return self._take

    @property
    def expected(self) -> Encoding:  # type: ignore[override]
        return self._take.expected if self._take is not None else Encoding(None)

    @property
    def announced(self) -> Encoding | None:  # type: ignore[override]
        return self._take.announced if self._take is not None else None

    @property
    def timestamps(self) -> dict[str, float]:  # type: ignore[override]
        return self._take.timestamps if self._take is not None else {"request_sent": self._sent_at}

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        return [*self._notes, *(self._take.notes if self._take is not None else ())]

    @property
    def is_external(self) -> bool:  # type: ignore[override]
        return self._take is None or self._take.is_external

    @property
    def total_bytes(self) -> int | None:  # type: ignore[override]
        return self._take.total_bytes if self._take is not None else None

    @property
    def is_cached(self) -> bool:  # type: ignore[override]
        return self._take is not None and self._take.is_cached

    @property
    def cache_key(self) -> str:  # type: ignore[override]
        return self._take.cache_key if self._take is not None else ""

    @property
    def end_is_marked(self) -> bool:  # type: ignore[override]
        return self._take is not None and self._take.end_is_marked

    @property
    def words(self) -> Sequence[WordEvent]:  # type: ignore[override]
        shift, take = self._shift, self._take
        if shift is None or take is None:
            return self._words
        if not (self._words or shift):
            return take.words
        after = self._words[-1].text_start if self._words else -1
        coming = [word._replace(seconds=word.seconds + shift) for word in tuple(take.words) if word.text_start > after]
        return [*self._words, *coming]

    # The requests.

    def send_first(self) -> None:
        try:
            self._send(self.target)
        except UsageError:
            raise
        except VoiceError as exc:  # the iteration handles it
            self._error = exc

    def __iter__(self) -> Iterator[bytes]:
        recovery = self._recovery
        self._sent_at = max(self._sent_at, time.monotonic())  # before, the utterances before this one were read
        if self.target is not recovery.current and self._tried == 1:  # it has failed meanwhile
            self._leave()
            self._send_or_keep(recovery.current)
        while True:
            try:
                if self._error is not None:
                    raise self._error
                first, rest = self._answer()
            except (TruncatedAudio, Interrupted):
                raise
            except VoiceError as exc:
                self._try_again(exc)
            else:
                break
        self._note()
        if first is not None:
            if not self.is_cached:
                recovery.succeeded(self.target)
            self.has_begun = True
            yield first
            yield from rest
        self.has_ended = True

    def _answer(self) -> tuple[bytes | None, Iterator[bytes]]:
        """Return the first bytes (None: there are none) and the iterator of the rest."""
        policy = self._recovery.policy
        if policy.first_byte_timeout is None and policy.hedge is None:
            chunks = iter(self.take)
            return next(chunks, None), chunks
        from voice_cli.speech.race import first_audio

        winner = first_audio(self.target, self.take, policy, self._hedge)
        self._take, target = winner.stream, winner.target
        if target is not self.target:
            self._recovery.move_to(target, f"{self.target.name} sent nothing for {policy.hedge:g} s")
            self.target = target
        return winner.first, winner.rest

    def _hedge(self) -> "tuple[Target, SpeechStream] | None":
        """Send a second request; None: it cannot be sent."""
        target = self._recovery.following(self.target) or self.target
        try:
            if target is self.target and target.backend().max_requests == 1:
                return None
            stream = target.synthesize(self._line)
        except VoiceError:
            return None
        self._recovery.count_retry()
        self._tried += 1
        with self._lock:
            self._others.append(stream)
        if self._cancelled.is_set():
            stream.cancel()
        return target, stream

    def resume(self, error: VoiceError, *, has_new_audio: bool) -> None:
        """Request the utterance again, because its stream was cut by `error`. Then iterate again.

        `has_new_audio`: the take that was cut had more than those before it.

        Raises:
            VoiceError: the error; there is no other try.

        """
        if not self._recovery.policy.resume:
            raise error
        kept = list(self.words)
        self.has_begun = self.has_ended = False
        if has_new_audio:
            self._tries, self._deadline = 0, None
        self._try_again(error, is_cut=True)
        self._words, self._shift = kept, None

    def joined(self, at: float, position: float, at_of_speech: float | None) -> None:
        """Set where the new take continues the utterance: after `at` seconds of it, from `position` of the take.

        `at_of_speech`: the same place in seconds of the speech, to be reported; None: nothing was joined.
        """
        self._words = [word for word in self._words if word.seconds < at]
        self._shift = at - position
        if at_of_speech is not None:
            self._recovery.note_joint(at_of_speech, self.target)
            self._notes.append(f"the speech was cut at {at_of_speech:.1f} s, and {self.target.name} continued it")

    def _try_again(self, error: VoiceError, *, is_cut: bool = False) -> None:
        """Send the request again, or to the next target.

        Raises:
            VoiceError: the error; there is no other try. Its message has their number.
            Interrupted: `cancel` was called.

        """
        recovery, policy = self._recovery, self._recovery.policy
        now = time.monotonic()
        self._deadline = self._deadline or now + policy.timeout
        following = recovery.following(self.target)
        delay = self._delay(error, now, has_next=following is not None, is_cut=is_cut)
        if delay is not None:
            if self._cancelled.wait(delay):
                raise Interrupted("interrupted")
            target = self.target
            self._tries += 1
        elif following is not None and isinstance(error, BackendError | TruncatedAudio):
            recovery.failed(self.target, error)
            recovery.move_to(following, f"{self.target.name} failed ({error.message})")
            target, self._tries = following, 1
        else:
            recovery.failed(self.target, error)
            if self._tried > 1:
                error.message = f"{error.message}; tried {self._tried} times"
                error.args = (error.message,)
            raise error
        self._tried += 1
        recovery.count_retry()
        self._leave()
        self._send_or_keep(target)

    def _delay(self, error: VoiceError, now: float, *, has_next: bool, is_cut: bool) -> float | None:
        """Return the seconds until the next try at this target; None: there is none."""
        tries, policy = self._tries, self._recovery.policy
        if not (error.is_transient or is_cut) or tries >= (QUICK_TRIES if has_next else policy.tries):
            return None
        quick = min(QUICK_SECONDS, 0.9 * (policy.first_byte_timeout or QUICK_SECONDS))
        if has_next and not is_cut and now - self._sent_at > quick:
            return None
        if error.retry_after is not None:
            delay = error.retry_after
        elif is_cut and not tries:
            delay = 0.0
        else:
            import random  # imported after a failure only

            delay = random.uniform(0.0, min(LONGEST_DELAY, FIRST_DELAY * 2 ** max(0, tries - 1)))  # noqa: S311
        is_late = now + delay > (self._deadline or 0.0) or (has_next and delay > QUICK_SECONDS)
        return None if is_late else delay

    def _leave(self) -> None:
        if self._take is not None:
            self._take.cancel()

    def _send_or_keep(self, target: "Target") -> None:
        """Send the request, and keep an error for the next try."""
        self._error = None
        self.target = target
        try:
            self._send(target)
        except Interrupted:
            raise
        except VoiceError as exc:
            self._error = exc if isinstance(exc, BackendError) else _unusable(target, exc)

    def _send(self, target: "Target") -> None:
        self._sent_at = time.monotonic()
        stream = target.synthesize(self._line)
        with self._lock:
            self._take = stream
        if self._cancelled.is_set():
            stream.cancel()
            raise Interrupted("interrupted")

    def _note(self) -> None:
        self._notes += self._recovery.take_notes()

    def keep(self) -> None:
        self.take.keep()

    def cancel(self) -> None:
        self._cancelled.set()
        with self._lock:
            streams = [self._take, *self._others]
        for stream in streams:
            if stream is not None:
                stream.cancel()


def _unusable(target: "Target", error: VoiceError) -> BackendError:
    """Return the error for a target that cannot be asked."""
    failure = BackendError(f"{target.name} cannot be asked: {error.message}", hint=error.hint)
    failure.exit_code, failure.kind = error.exit_code, error.kind
    failure.__cause__ = error
    return failure
