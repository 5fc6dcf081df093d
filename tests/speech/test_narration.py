"""Lines in, streams out: in order, a bounded number ahead, and nothing of the text lost when it ends early."""

import threading

import pytest

from support.player import FakeStream
from support.threads import WAIT, happened, in_thread
from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.errors import Interrupted, NetworkError, UsageError
from voice_cli.script.line import Line
from voice_cli.speech.narration import Narration


class FakeBackend(Backend):
    """Notes what it is asked for, on which thread; fails where it is told to."""

    name = "fake"

    def __init__(self, *, fails_at=None, gate=None):
        self.asked = []
        self.threads = []
        self.streams = []
        self.changed = threading.Condition()
        self._fails_at = fails_at
        self._gate = gate
        """Waited for within `synthesize`."""
        self.entered = threading.Event()

    def synthesize(self, request):
        self.entered.set()
        if self._gate is not None:
            happened(self._gate)
        with self.changed:
            if len(self.asked) == self._fails_at:
                raise NetworkError("the server has gone")
            self.asked.append(request.text)
            self.threads.append(threading.current_thread())
            self.streams.append(FakeStream())
            self.changed.notify_all()
            return self.streams[-1]

    def voices(self):
        return []

    def wait_for(self, count):
        """Wait until so many were asked for."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= count, WAIT)


class Source:
    """Lines that come when the test says so, and an account of how many were taken."""

    def __init__(self, *lines, end=True):
        self._lines = list(lines)
        self._ended = end
        self._error = None
        self.taken = 0
        self.waits = threading.Event()
        """Somebody wants a line, and there is none."""
        self._changed = threading.Condition()

    def __iter__(self):
        return self

    def __next__(self):
        with self._changed:
            while not (self._lines or self._ended):
                self.waits.set()
                assert self._changed.wait(WAIT), "the test has left its source"
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


def narration(backend, source, **options):
    return Narration(backend, source, lambda line: SpeechRequest(line.spoken), **options)


def endless():
    number = 0
    while True:
        number += 1
        yield Line(f"{number} ", str(number))


def test_each_line_is_asked_for_once_and_given_in_its_order():
    backend = FakeBackend()
    told = narration(backend, lines("one ", "two ", "three"))
    told.start(first=True)
    given = list(told)
    assert [one.stream for one in given] == backend.streams
    assert backend.asked == ["one", "two", "three"]
    assert [one.line.text for one in told.utterances] == ["one ", "two ", "three"]
    assert told.unspoken() == ""


def test_the_first_is_asked_for_by_the_caller_and_the_others_are_not():
    backend = FakeBackend()
    told = narration(backend, lines("one", "two"))
    told.start(first=True)
    assert backend.asked[0] == "one", "before start returns"
    assert len(list(told)) == 2
    assert backend.threads[0] is threading.current_thread()
    assert backend.threads[1] is not threading.current_thread()


def test_a_text_that_has_yet_to_come_does_not_hold_up_the_caller():
    backend, source = FakeBackend(), Source(end=False)
    told = narration(backend, source)
    told.start(first=False)
    happened(source.waits)
    assert told.waits_for_text
    assert backend.asked == []
    streams = iter(told)
    following = in_thread(lambda: next(streams))
    source.give(*lines("late"))
    assert following().stream is backend.streams[0]
    source.end()
    assert list(streams) == []
    assert not told.waits_for_text


def test_no_lines_at_all():
    told = narration(FakeBackend(), [])
    told.start(first=True)
    assert list(told) == []
    assert not told.waits_for_text


@pytest.mark.parametrize("lookahead", [1, 3])
def test_only_so_many_are_asked_for_ahead_and_the_writer_is_held_back(lookahead):
    backend, source = FakeBackend(), Source(*lines(*(f"{number} " for number in range(50))))
    told = narration(backend, source, lookahead=lookahead)
    told.start(first=True)
    streams = iter(told)
    for read in range(1, 10):
        next(streams)
        backend.wait_for(read + lookahead)
        assert len(backend.asked) == read + lookahead
        assert source.taken <= read + lookahead + 1, "the line after those waits in the narration's hand"
    told.cancel()


def test_before_anything_is_read_no_more_than_the_lookahead_is_asked_for():
    backend, source = FakeBackend(), Source(*lines("a", "b", "c", "d"))
    told = narration(backend, source, lookahead=2)
    told.start(first=True)
    backend.wait_for(2)
    assert backend.asked == ["a", "b"]
    told.cancel()
    assert backend.asked == ["a", "b"]


def test_an_endless_text_costs_no_more_than_what_is_read():
    backend = FakeBackend()
    told = narration(backend, endless())
    told.start(first=False)
    streams = iter(told)
    for _ in range(100):
        next(streams)
    backend.wait_for(101)
    assert len(backend.asked) == 101
    told.cancel()
    with pytest.raises(Interrupted):
        next(streams)


class TestProgress:
    """How much of the text has ended, whatever was passed over between its lines."""

    def told(self, source, *, total=100):
        told = narration(FakeBackend(), source, total=total, lookahead=3)
        told.start(first=True)
        return told

    @staticmethod
    def source(**options):
        ends = (30, 30, 80)
        return Source(*(line._replace(end=end) for line, end in zip(lines("one ", "two ", "three"), ends, strict=True)))

    def test_up_to_the_end_of_each_utterance_and_all_with_the_last(self):
        source = Source(*list(self.source()), end=False)
        told = self.told(source)
        told._backend.wait_for(3)
        seen = [told.progress()]
        for utterance in told.utterances:
            utterance.end = 1.0
            seen.append(told.progress())
        assert seen == [0, 30, 30, 80], "there may be more lines"
        source.end()
        assert len(list(told)) == 3
        assert told.progress() == 100

    def test_what_was_cancelled_is_not_complete(self):
        source = Source(*list(self.source()), end=False)
        told = self.told(source)
        told._backend.wait_for(3)
        told.cancel()
        source.end()
        told.unspoken()
        for utterance in told.utterances:
            utterance.end = 1.0
        assert told.progress() == 80

    def test_what_failed_is_not_complete(self):
        source = Source(lines("one ")[0]._replace(end=30), end=False)
        source.end(UsageError("the text is no text"))
        told = self.told(source)
        with pytest.raises(UsageError):
            list(told)
        told.utterances[0].end = 1.0
        assert told.progress() == 30

    def test_a_text_of_unknown_length_has_no_progress(self):
        assert self.told(lines("one"), total=None).progress() is None


def test_a_backend_that_takes_one_request_is_asked_for_the_next_when_the_last_was_read():
    backend, source = FakeBackend(), Source(*lines("one", "two", "three"), end=True)
    backend.max_requests = 1
    told = narration(backend, source, lookahead=4)
    told.start(first=True)
    asked = []
    for utterance in told:
        asked.append(list(backend.asked))
        assert utterance.stream is backend.streams[-1]
    assert asked == [["one"], ["one", "two"], ["one", "two", "three"]]


def test_cancel_while_the_text_is_waited_for():
    source = Source(end=False)
    told = narration(FakeBackend(), source, stop=source.end)
    told.start(first=False)
    waiting = in_thread(lambda: list(told))
    happened(source.waits)
    told.cancel()
    assert isinstance(waiting(), Interrupted)
    assert told.unspoken() == ""


def test_cancel_gives_up_what_is_read_and_what_waits():
    backend = FakeBackend()
    told = narration(backend, lines("one", "two", "three"), lookahead=2)
    told.start(first=True)
    streams = iter(told)
    next(streams)
    backend.wait_for(3)
    told.cancel()
    assert [stream.cancelled for stream in backend.streams] == [True, True, True]
    told.cancel()


def test_cancel_while_a_line_is_being_asked_for():
    gate = threading.Event()
    backend = FakeBackend(gate=gate)
    told = narration(backend, lines("one ", "two ", "three"))
    told.start(first=False)
    happened(backend.entered)
    told.cancel()
    gate.set()
    assert told.unspoken() == "two three", "of the first there is a stream"
    assert [one.line.text for one in told.utterances] == ["one "]
    assert backend.streams[0].cancelled


def test_what_came_and_was_not_asked_for_is_told():
    backend, source = FakeBackend(), Source(*lines("one ", "two ", "three ", "four "), end=False)
    told = narration(backend, source, stop=source.end)
    told.start(first=False)
    streams = iter(told)
    next(streams)
    backend.wait_for(2)
    told.cancel()
    assert "".join(one.line.text for one in told.utterances) + told.unspoken() == "one two three four "


def test_a_text_that_fails_while_the_rest_is_told():
    source = Source(*lines("one ", "two ", "three "), end=False)
    source.end(UsageError("no text"))
    told = narration(FakeBackend(), source)
    told.start(first=True)
    told.cancel()
    assert "".join(one.line.text for one in told.utterances) + told.unspoken() == "one two three "


def test_a_source_that_does_not_stop_is_left_behind():
    source = Source(end=False)
    told = narration(FakeBackend(), source)
    told.start(first=False)
    happened(source.waits)
    told.cancel()
    assert told.unspoken(patience=0.01) == ""
    source.end()


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_request_that_fails_is_told_after_the_streams_that_did_not(fails_at):
    backend = FakeBackend(fails_at=fails_at)
    told = narration(backend, lines("one", "two", "three"), lookahead=3)
    told.start(first=True)
    streams = iter(told)
    assert [next(streams).stream for _ in range(fails_at)] == backend.streams
    with pytest.raises(NetworkError, match="gone"):
        next(streams)


def test_a_first_request_that_fails_is_told_at_once():
    with pytest.raises(NetworkError):
        narration(FakeBackend(fails_at=0), lines("one")).start(first=True)


def test_a_text_that_fails_is_told_after_the_streams_of_what_came():
    source = Source(*lines("one"), end=False)
    told = narration(FakeBackend(), source)
    told.start(first=True)
    source.end(UsageError("the text is no text"))
    streams = iter(told)
    next(streams)
    with pytest.raises(UsageError, match="no text"):
        next(streams)


def test_it_waits_for_text_only_when_nothing_is_under_way():
    backend, source = FakeBackend(), Source(*lines("one", "two"), end=False)
    told = narration(backend, source)
    told.start(first=True)
    streams = iter(told)
    next(streams)
    backend.wait_for(2)
    assert not told.waits_for_text, "the second was asked for"
    next(streams)
    assert told.waits_for_text
    source.end()
    assert list(streams) == []
