"""Text that may still be arriving, as streams of speech: what comes next is asked for while this is heard.

::

    text source ─▶ reading (script) ─▶ lines ─▶ backend.synthesize ─▶ streams ─▶ player
    ▲ the line after the next waits until a stream was read to its end

The first line's request leaves on the thread that calls `start`, if the text is there; all else is asked for by a
thread of the narration's own. `lookahead` bounds how many requests are under way besides the one that is read, so a
text without end costs no more memory than a short one, and whoever writes it is held back.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream
from voice_cli.errors import Interrupted, VoiceError
from voice_cli.script.line import Line


class Narration:
    """The streams of a text, one a line, in order; iterate over it once, on the player's pump."""

    def __init__(
        self,
        backend: Backend,
        lines: Iterable[Line],
        make_request: Callable[[Line], SpeechRequest],
        *,
        lookahead: int = 1,
        total: int | None = None,
        taken: Callable[[], int] = lambda: 0,
        is_one: bool = False,
        stop: Callable[[], None] | None = None,
    ) -> None:
        """Take the lines, which may come as slowly as they like, and how a line is asked for.

        `total`: characters of the whole text, if it is known. `taken`: how many of them the lines that were given
        come from. `is_one`: there is one line. `stop`: lets `lines` end after what has come.
        """
        self.total = total
        self._taken = taken
        self.is_one = is_one
        self._stop = stop
        self._thread: threading.Thread | None = None
        self._backend = backend
        self._lines = iter(lines)
        self._make_request = make_request
        self._lookahead = lookahead
        self._changed = threading.Condition()
        self._streams: deque[SpeechStream] = deque()
        self._reading: SpeechStream | None = None
        self._ended = False
        self._cancelled = False
        self._error: BaseException | None = None
        self._late: list[Line] = []
        """Those that came when it was cancelled already."""
        self.lines: list[Line] = []
        """Those that were asked for, in the order of the streams."""
        self._ends: list[int] = []
        """Of each of them: characters of the text that were taken by its end."""

    def start(self, *, first: bool) -> None:
        """Ask for the first line now, if `first` (its text is there), and for the others behind the caller's back.

        Raises:
            BackendError: as `Backend.synthesize`, for the first.

        """
        if first:
            line = next(self._lines, None)
            if line is None:
                self._ended = True
                return
            self._ask(line)
        self._thread = threading.Thread(target=self._run, name="voice-narration", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[SpeechStream]:
        """Give the streams; wait for the text where there is none.

        Raises:
            Interrupted: `cancel` was called.
            VoiceError: the text, or a request, failed: after the streams that did not.

        """
        while True:
            with self._changed:
                self._reading = None
                while not (self._streams or self._ended or self._cancelled):
                    self._changed.wait()
                if self._cancelled:
                    raise Interrupted("interrupted")
                if not self._streams:
                    if self._error is not None:
                        raise self._error
                    return
                self._reading = stream = self._streams.popleft()
                self._changed.notify_all()
            yield stream

    @property
    def waits_for_text(self) -> bool:
        """Nothing more was asked for yet, and the text is not over: a silence is its writer's."""
        with self._changed:
            return not (self._streams or self._ended)

    def done(self, count: int) -> int | None:
        """Give the characters of the text that so many lines come from; None: its length is not known."""
        with self._changed:
            all_came = self._ended and self._error is None and not self._cancelled
            if self.total is None or (all_came and count == len(self.lines)):
                return self.total
            return self._ends[count - 1] if count else 0

    def cancel(self) -> None:
        """Give up what was asked for. Any thread."""
        with self._changed:
            self._cancelled = True
            streams = [*self._streams, *([self._reading] if self._reading is not None else [])]
            self._changed.notify_all()
        for stream in streams:
            stream.cancel()

    def unspoken(self, patience: float = 1.0) -> str:
        """Give, after `cancel`, the text that came and was not asked for."""
        if self._stop is not None:
            self._stop()
        if self._thread is not None:
            self._thread.join(patience)
            if self._thread.is_alive():
                return ""
        lines = self._late
        with contextlib.suppress(VoiceError):
            lines += self._lines
        return "".join(line.text for line in lines)

    def _run(self) -> None:
        try:
            for line in self._lines:
                if not self._wait_for_turn():
                    self._late.append(line)
                    return
                self._ask(line)
        except BaseException as exc:  # it is the pump that raises it
            self._error = exc
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _wait_for_turn(self) -> bool:
        with self._changed:
            while len(self._streams) >= self._lookahead and not self._cancelled:
                self._changed.wait()
            return not self._cancelled

    def _ask(self, line: Line) -> None:
        stream = self._backend.synthesize(self._make_request(line))
        with self._changed:
            self.lines.append(line)
            self._ends.append(self._taken())
            self._streams.append(stream)
            cancelled = self._cancelled
            self._changed.notify_all()
        if cancelled:
            stream.cancel()
