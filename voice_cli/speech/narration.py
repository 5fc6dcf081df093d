"""Requests for the lines of a text, which may still be arriving::

    text source ─▶ reader (script) ─▶ lines ─▶ backend.synthesize ─▶ utterances ─▶ Speech

If its text is available, the first line's request is sent on the thread that calls `start`; a thread sends the others,
ahead of playback. The look-ahead limits the requests under way, so endless text gets back-pressure.
"""

import contextlib
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream
from voice_cli.errors import BackendError, Interrupted, VoiceError
from voice_cli.script.line import Line
from voice_cli.speech.events import Utterance
from voice_cli.speech.speeds import synthesize

if TYPE_CHECKING:
    from voice_cli.speech.recovery import Recovery


class UtteranceSource(ABC):
    """The utterances of a speech. One thread iterates, once; any thread may call the rest."""

    total: int | None = None
    """Code points of the whole text, if known."""
    recovery: "Recovery | None" = None
    """Sends requests that fail again; None: an error ends the speech. It may be set after the first request."""

    @abstractmethod
    def __iter__(self) -> Iterator[Utterance]:
        """Yield the utterances in order, each with a request under way. Wait for text that has not arrived.

        Raises:
            Interrupted: `cancel` was called.
            VoiceError: the text or a request failed; raised after the utterances before it.

        """

    @property
    @abstractmethod
    def waits_for_text(self) -> bool:
        """Whether no request is under way and the text has not ended."""

    @abstractmethod
    def cancel(self) -> None:
        """Cancel all requests. May be called again."""


class GivenStreams(UtteranceSource):
    """Given streams, without text."""

    def __init__(self, streams: Iterable[SpeechStream]) -> None:
        self._streams = streams
        self._current: SpeechStream | None = None

    def __iter__(self) -> Iterator[Utterance]:
        for stream in self._streams:
            self._current = stream
            yield Utterance(Line("", ""), stream)

    @property
    def waits_for_text(self) -> bool:
        return False

    def cancel(self) -> None:
        if self._current is not None:
            self._current.cancel()


class Narration(UtteranceSource):
    """The utterances of a text, one a line."""

    def __init__(
        self,
        backend: Backend,
        lines: Iterable[Line],
        make_request: Callable[[Line], SpeechRequest],
        *,
        lookahead: int = 1,
        total: int | None = None,
        is_one: bool = False,
        stop: Callable[[], None] | None = None,
    ) -> None:
        """Prepare the requests; `start` sends them.

        Args:
            backend: gets the requests. Its `max_requests` limits the look-ahead.
            lines: the lines of the text, which may still be arriving.
            make_request: returns the request for a line.
            lookahead: requests under way besides the one that is read.
            total: code points of the whole text, if known.
            is_one: there is exactly one line.
            stop: makes `lines` end after what has arrived.

        """
        self.total = total
        self.is_one = is_one
        self.utterances: list[Utterance] = []
        """Those that were requested, in order."""
        self._stop = stop
        self._thread: threading.Thread | None = None
        self._backend = backend
        self._lines = iter(lines)
        self._make_request = make_request
        self._wanted_ahead = lookahead
        self._changed = threading.Condition()
        self._waiting: deque[Utterance] = deque()
        self._reading: Utterance | None = None
        self._ended = False
        self._cancelled = False
        self._error: BaseException | None = None
        self._unasked: list[Line] = []
        """Lines that arrived after `cancel`."""

    def start(self, *, first: bool) -> None:
        """Send the first line's request if `first` (its text is available), and the others on another thread.

        Raises:
            BackendError: as `Backend.synthesize`, for the first line.

        """
        if first:
            line = next(self._lines, None)
            if line is None:
                self._ended = True
                return
            self._ask(line)
        self._thread = threading.Thread(target=self._run, name="voice-narration", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Utterance]:
        while True:
            with self._changed:
                self._reading = None
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._ended or self._cancelled)
                if self._cancelled:
                    raise Interrupted("interrupted")
                if not self._waiting:
                    if self._error is not None:
                        raise self._error
                    return
                self._reading = utterance = self._waiting.popleft()
                self._changed.notify_all()
            yield utterance

    @property
    def waits_for_text(self) -> bool:
        with self._changed:
            return not (self._waiting or self._ended)

    def progress(self) -> int | None:
        """Return the code points of the text whose utterances have ended; None if the text's length is not known."""
        with self._changed:
            complete = self._ended and self._error is None and not self._cancelled
        if self.total is None or (complete and all(each.end is not None for each in self.utterances)):
            return self.total
        return max((each.line.end for each in self.utterances if each.end is not None), default=0)

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            utterances = [*self._waiting, *([self._reading] if self._reading is not None else [])]
            self._changed.notify_all()
        for utterance in utterances:
            utterance.stream.cancel()

    def text(self) -> str:
        """Return, after `cancel`, the whole text that has arrived."""
        return "".join(utterance.line.text for utterance in self.utterances) + self.unspoken()

    def unspoken(self, patience: float = 1.0) -> str:
        """Return, after `cancel`, the text that arrived but was not requested."""
        if self._stop is not None:
            self._stop()
        if self._thread is not None:
            self._thread.join(patience)
            if self._thread.is_alive():
                return ""
        lines = self._unasked
        with contextlib.suppress(VoiceError):
            lines += self._lines
        return "".join(line.text for line in lines)

    def _run(self) -> None:
        try:
            for line in self._lines:
                if not self._wait_for_turn():
                    self._unasked.append(line)
                    return
                self._ask(line)
        except BaseException as exc:  # the reader raises it
            self._error = exc
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _wait_for_turn(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or not self._is_busy())
            return not self._cancelled

    def _is_busy(self) -> bool:
        most = self._backend.max_requests
        lookahead = self._wanted_ahead if most is None else min(self._wanted_ahead, most - 1)
        if lookahead == 0:
            return bool(self._waiting) or self._reading is not None
        return len(self._waiting) >= lookahead

    def _request(self, line: Line) -> SpeechStream:
        if self.recovery is not None and len(self.recovery.targets) > 1:
            return self.recovery.request(line)
        try:
            return synthesize(self._backend, self._make_request(line))
        except BackendError:
            if self.recovery is None:
                raise
            self.recovery.count_retry()
            return self.recovery.request(line)

    def _ask(self, line: Line) -> None:
        utterance = Utterance(line, self._request(line))
        with self._changed:
            self.utterances.append(utterance)
            self._waiting.append(utterance)
            cancelled = self._cancelled
            self._changed.notify_all()
        if cancelled:
            utterance.stream.cancel()
