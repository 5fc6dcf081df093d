"""The first audio of one or two requests, with a deadline for each. Each is read on a thread until it has audio."""

import threading
import time
from collections.abc import Callable, Iterator

from voice_cli.backends.base import SpeechStream
from voice_cli.errors import Hint, Interrupted, NetworkError
from voice_cli.speech.recovery import Policy, Target

STOPPED_SECONDS = 1.0
"""A deadline that expired so long ago did so while this process was stopped, or the machine suspended."""


class Entrant:
    """A request that was sent, and its first bytes."""

    def __init__(
        self, target: Target, stream: SpeechStream, deadline: float | None, changed: threading.Condition
    ) -> None:
        self.target = target
        self.stream = stream
        self.deadline = deadline
        """On `time.monotonic`."""
        self.first: bytes | None = None
        self.rest: Iterator[bytes] = iter(())
        self.error: BaseException | None = None
        self.has_ended = False
        """It has audio, an error, or is empty."""
        self._changed = changed
        threading.Thread(target=self._read, name="voice-race", daemon=True).start()

    def _read(self) -> None:
        error: BaseException | None = None
        first: bytes | None = None
        try:
            self.rest = iter(self.stream)
            first = next(self.rest, None)
        except BaseException as exc:  # the thread that waits raises it
            error = exc
        with self._changed:
            self.first, self.error = first, self.error or error
            self.has_ended = True
            self._changed.notify_all()


def first_audio(
    target: Target, stream: SpeechStream, policy: Policy, hedge: Callable[[], tuple[Target, SpeechStream] | None]
) -> Entrant:
    """Return the request that has audio first, and cancel the others. `hedge` sends a second one.

    Raises:
        NetworkError: there is none in time.
        VoiceError: the requests failed; the last error.

    """
    changed = threading.Condition()

    def enter(target: Target, stream: SpeechStream) -> Entrant:
        limit = policy.first_byte_timeout
        return Entrant(target, stream, None if limit is None else time.monotonic() + limit, changed)

    entrants = [enter(target, stream)]
    hedge_at = None if policy.hedge is None else time.monotonic() + policy.hedge
    with changed:
        while True:
            winner = next((each for each in entrants if each.has_ended and each.error is None), None)
            if winner is not None:
                break
            waiting = [each for each in entrants if not each.has_ended and each.error is None]
            if not waiting:
                error = entrants[-1].error
                raise error if error is not None else Interrupted("interrupted")
            now = time.monotonic()
            for late in waiting:
                if late.deadline is not None and now >= late.deadline:
                    late.error = NetworkError(
                        f"{late.target.name} sent no audio within {policy.first_byte_timeout:g} s",
                        hint=Hint("raise {first_byte_timeout}"),
                        is_transient=True,
                    )
                    late.stream.cancel()
            if hedge_at is not None and now >= hedge_at:
                hedge_at = None
                second = hedge()
                if second is not None:
                    entrants.append(enter(*second))
            due = [each.deadline for each in entrants if not each.has_ended and each.error is None and each.deadline]
            due += [hedge_at] if hedge_at is not None else []
            if all(each.error is not None for each in entrants):
                continue
            if not due:
                changed.wait()
                continue
            changed.wait(max(0.0, min(due) - time.monotonic()))
            now = time.monotonic()
            if now > min(due) + STOPPED_SECONDS:  # wait anew
                hedge_at = None if hedge_at is None or policy.hedge is None else now + policy.hedge
                for each in entrants:
                    each.deadline = None if policy.first_byte_timeout is None else now + policy.first_byte_timeout
    for other in entrants:
        if other is not winner:
            other.stream.cancel()
    return winner
