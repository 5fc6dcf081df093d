"""Narration: requests in order, limited lookahead, and no lost text."""

import threading

import pytest

from support.player import FakeStream
from support.threads import WAIT, happened, in_thread
from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.errors import Interrupted, NetworkError, UsageError
from voice_cli.script.line import Line
from voice_cli.speech.narration import Narration


class FakeBackend(Backend):
    """Records each request and its thread; `fails_at` is the index of the request that fails."""

    name = "fake"

    def __init__(self, *, fails_at=None, gate=None):
        self.requested = []
        self.threads = []
        self.streams = []
        self.changed = threading.Condition()
        self._fails_at = fails_at
        self._gate = gate
        """`synthesize` waits for it."""
        self.entered = threading.Event()

    def synthesize(self, request):
        self.entered.set()
        if self._gate is not None:
            happened(self._gate)
        with self.changed:
            if len(self.requested) == self._fails_at:
                raise NetworkError("connection closed")
            self.requested.append(request.text)
            self.threads.append(threading.current_thread())
            self.streams.append(FakeStream())
            self.changed.notify_all()
            return self.streams[-1]

    def voices(self):
        return []

    def wait_for(self, count):
        """Wait for `count` requests."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requested) >= count, WAIT)


class Source:
    """Lines that the test adds; `taken` counts the lines read."""

    def __init__(self, *lines, end=True):
        self._lines = list(lines)
        self._ended = end
        self._error = None
        self.taken = 0
        self.waits = threading.Event()
        """Set while a reader waits for a line."""
        self._changed = threading.Condition()

    def __iter__(self):
        return self

    def __next__(self):
        with self._changed:
            while not (self._lines or self._ended):
                self.waits.set()
                assert self._changed.wait(WAIT), "no line and no end arrived"
            if self._lines:
                self.taken += 1
                return self._lines.pop(0)
            if self._error is not None:
                raise self._error
            raise StopIteration

    def give(self, *lines):
        with self._changed:
            self.waits.clear()
            self._lines += lines
            self._changed.notify_all()

    def end(self, error=None):
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()


def lines(*texts):
    return [Line(text, text.strip()) for text in texts]


def narrate(backend, source, **options):
    return Narration(backend, source, lambda line: SpeechRequest(line.spoken), **options)


def endless():
    number = 0
    while True:
        number += 1
        yield Line(f"{number} ", str(number))


def test_each_line_is_requested_once_in_order():
    backend = FakeBackend()
    narration = narrate(backend, lines("one ", "two ", "three"))
    narration.start(first=True)
    given = list(narration)
    assert [one.stream for one in given] == backend.streams
    assert backend.requested == ["one", "two", "three"]
    assert [one.line.text for one in narration.utterances] == ["one ", "two ", "three"]
    assert narration.unspoken() == ""


def test_the_first_request_is_sent_on_the_callers_thread():
    backend = FakeBackend()
    narration = narrate(backend, lines("one", "two"))
    narration.start(first=True)
    assert backend.requested[0] == "one", "before start returns"
    assert len(list(narration)) == 2
    assert backend.threads[0] is threading.current_thread()
    assert backend.threads[1] is not threading.current_thread()


def test_start_does_not_wait_for_text():
    backend, source = FakeBackend(), Source(end=False)
    narration = narrate(backend, source)
    narration.start(first=False)
    happened(source.waits)
    assert narration.waits_for_text
    assert backend.requested == []
    streams = iter(narration)
    following = in_thread(lambda: next(streams))
    source.give(*lines("late"))
    assert following().stream is backend.streams[0]
    source.end()
    assert list(streams) == []
    assert not narration.waits_for_text


def test_narration_without_lines_is_empty():
    narration = narrate(FakeBackend(), [])
    narration.start(first=True)
    assert list(narration) == []
    assert not narration.waits_for_text


@pytest.mark.parametrize("lookahead", [1, 3])
def test_the_lookahead_limits_requests_and_lines_taken(lookahead):
    backend, source = FakeBackend(), Source(*lines(*(f"{number} " for number in range(50))))
    narration = narrate(backend, source, lookahead=lookahead)
    narration.start(first=True)
    streams = iter(narration)
    for read in range(1, 10):
        next(streams)
        backend.wait_for(read + lookahead)
        assert len(backend.requested) == read + lookahead
        assert source.taken <= read + lookahead + 1, "the thread holds one more line"
    narration.cancel()


def test_before_the_first_read_the_lookahead_limits_requests():
    backend, source = FakeBackend(), Source(*lines("a", "b", "c", "d"))
    narration = narrate(backend, source, lookahead=2)
    narration.start(first=True)
    backend.wait_for(2)
    assert backend.requested == ["a", "b"]
    narration.cancel()
    assert backend.requested == ["a", "b"]


def test_endless_text_is_requested_only_as_far_as_it_is_read():
    backend = FakeBackend()
    narration = narrate(backend, endless())
    narration.start(first=False)
    streams = iter(narration)
    for _ in range(100):
        next(streams)
    backend.wait_for(101)
    assert len(backend.requested) == 101
    narration.cancel()
    with pytest.raises(Interrupted):
        next(streams)


class TestProgress:
    """Progress counts characters up to the end of the last ended line."""

    def started(self, source, *, total=100):
        narration = narrate(FakeBackend(), source, total=total, lookahead=3)
        narration.start(first=True)
        return narration

    @staticmethod
    def source(**options):
        ends = (30, 30, 80)
        return Source(*(line._replace(end=end) for line, end in zip(lines("one ", "two ", "three"), ends, strict=True)))

    def test_progress_grows_with_each_ended_utterance(self):
        source = Source(*list(self.source()), end=False)
        narration = self.started(source)
        narration._backend.wait_for(3)
        seen = [narration.progress()]
        for utterance in narration.utterances:
            utterance.end = 1.0
            seen.append(narration.progress())
        assert seen == [0, 30, 30, 80], "there may be more lines"
        source.end()
        assert len(list(narration)) == 3
        assert narration.progress() == 100

    def test_a_cancelled_narration_is_not_complete(self):
        source = Source(*list(self.source()), end=False)
        narration = self.started(source)
        narration._backend.wait_for(3)
        narration.cancel()
        source.end()
        narration.unspoken()
        for utterance in narration.utterances:
            utterance.end = 1.0
        assert narration.progress() == 80

    def test_a_failed_narration_is_not_complete(self):
        source = Source(lines("one ")[0]._replace(end=30), end=False)
        source.end(UsageError("not text"))
        narration = self.started(source)
        with pytest.raises(UsageError):
            list(narration)
        narration.utterances[0].end = 1.0
        assert narration.progress() == 30

    def test_a_text_of_unknown_length_has_no_progress(self):
        assert self.started(lines("one"), total=None).progress() is None


def test_max_requests_of_one_waits_for_the_last_stream():
    backend, source = FakeBackend(), Source(*lines("one", "two", "three"), end=True)
    backend.max_requests = 1
    narration = narrate(backend, source, lookahead=4)
    narration.start(first=True)
    asked = []
    for utterance in narration:
        asked.append(list(backend.requested))
        assert utterance.stream is backend.streams[-1]
    assert asked == [["one"], ["one", "two"], ["one", "two", "three"]]


def test_cancel_while_waiting_for_text_interrupts():
    source = Source(end=False)
    narration = narrate(FakeBackend(), source, stop=source.end)
    narration.start(first=False)
    waiting = in_thread(lambda: list(narration))
    happened(source.waits)
    narration.cancel()
    assert isinstance(waiting(), Interrupted)
    assert narration.unspoken() == ""


def test_cancel_cancels_all_streams():
    backend = FakeBackend()
    narration = narrate(backend, lines("one", "two", "three"), lookahead=2)
    narration.start(first=True)
    streams = iter(narration)
    next(streams)
    backend.wait_for(3)
    narration.cancel()
    assert [stream.cancelled for stream in backend.streams] == [True, True, True]
    narration.cancel()


def test_cancel_during_a_request_cancels_its_stream():
    gate = threading.Event()
    backend = FakeBackend(gate=gate)
    narration = narrate(backend, lines("one ", "two ", "three"))
    narration.start(first=False)
    happened(backend.entered)
    narration.cancel()
    gate.set()
    assert narration.unspoken() == "two three", "the first was requested"
    assert [one.line.text for one in narration.utterances] == ["one "]
    assert backend.streams[0].cancelled


def test_unspoken_returns_lines_that_were_not_requested():
    backend, source = FakeBackend(), Source(*lines("one ", "two ", "three ", "four "), end=False)
    narration = narrate(backend, source, stop=source.end)
    narration.start(first=False)
    streams = iter(narration)
    next(streams)
    backend.wait_for(2)
    narration.cancel()
    assert "".join(one.line.text for one in narration.utterances) + narration.unspoken() == "one two three four "


def test_unspoken_returns_the_lines_before_a_text_error():
    source = Source(*lines("one ", "two ", "three "), end=False)
    source.end(UsageError("no text"))
    narration = narrate(FakeBackend(), source)
    narration.start(first=True)
    narration.cancel()
    assert "".join(one.line.text for one in narration.utterances) + narration.unspoken() == "one two three "


def test_unspoken_waits_at_most_patience_seconds():
    source = Source(end=False)
    narration = narrate(FakeBackend(), source)
    narration.start(first=False)
    happened(source.waits)
    narration.cancel()
    assert narration.unspoken(patience=0.01) == ""
    source.end()


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_failed_request_is_raised_after_the_streams_before_it(fails_at):
    backend = FakeBackend(fails_at=fails_at)
    narration = narrate(backend, lines("one", "two", "three"), lookahead=3)
    narration.start(first=True)
    streams = iter(narration)
    assert [next(streams).stream for _ in range(fails_at)] == backend.streams
    with pytest.raises(NetworkError, match="closed"):
        next(streams)


def test_start_raises_the_error_of_the_first_request():
    with pytest.raises(NetworkError):
        narrate(FakeBackend(fails_at=0), lines("one")).start(first=True)


def test_a_text_error_is_raised_after_the_streams_before_it():
    source = Source(*lines("one"), end=False)
    narration = narrate(FakeBackend(), source)
    narration.start(first=True)
    source.end(UsageError("not text"))
    streams = iter(narration)
    next(streams)
    with pytest.raises(UsageError, match="not text"):
        next(streams)


def test_waits_for_text_only_without_pending_requests():
    backend, source = FakeBackend(), Source(*lines("one", "two"), end=False)
    narration = narrate(backend, source)
    narration.start(first=True)
    streams = iter(narration)
    next(streams)
    backend.wait_for(2)
    assert not narration.waits_for_text, "the second was requested"
    next(streams)
    assert narration.waits_for_text
    source.end()
    assert list(streams) == []
