"""Pieces in, streams out, of one conversation: which line each stream is, and nothing of the text lost."""

import threading
from collections import deque

import pytest

from support.player import FakeStream
from support.threads import WAIT, happened, in_thread
from voice_cli.backends.base import Backend, SpeechRequest, TextStream
from voice_cli.errors import Interrupted, NetworkError, UsageError
from voice_cli.script.line import Line
from voice_cli.speech.streamed_narration import StreamedNarration


class FakeConversation(TextStream):
    """Its streams are the test's: `give` them. Notes what it is told."""

    def __init__(self):
        self.said = []
        self.finished = threading.Event()
        self.cancelled = False
        self.changed = threading.Condition()
        self.is_deaf = False
        self._streams = deque()
        self._end = None

    def say(self, text):
        with self.changed:
            if self.is_deaf or self.cancelled:
                return False
            self.said.append(text)
            self.changed.notify_all()
            return True

    def finish(self):
        self.finished.set()

    @property
    def waits_for_text(self):
        return not self.said

    def give(self, pieces):
        stream = FakeStream()
        stream.pieces = pieces
        with self.changed:
            self._streams.append(stream)
            self.changed.notify_all()
        return stream

    def end(self, error=None):
        with self.changed:
            self._end = error or StopIteration
            self.changed.notify_all()

    def __iter__(self):
        while True:
            with self.changed:
                assert self.changed.wait_for(lambda: self._streams or self._end or self.cancelled, WAIT)
                if self.cancelled:
                    raise Interrupted("interrupted")
                if not self._streams:
                    if self._end is StopIteration:
                        return
                    raise self._end
                stream = self._streams.popleft()
            yield stream

    def cancel(self):
        with self.changed:
            self.cancelled = True
            self.changed.notify_all()

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.said) >= count, WAIT)


class FakeBackend(Backend):
    name = "fake"
    supports_streaming_text = True

    def __init__(self):
        self.conversation = FakeConversation()
        self.request = None
        self.ahead = None

    def open_text_stream(self, request, *, ahead):
        self.request, self.ahead = request, ahead
        return self.conversation

    def synthesize(self, request):
        raise AssertionError

    def voices(self):
        return []


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def conversation(backend):
    return backend.conversation


def line(text):
    return Line(text, text.strip())


def streamed(backend, lines, **options):
    told = StreamedNarration(backend, lines, lambda one: SpeechRequest(one.spoken, voice="ann"), **options)
    told.start(first=False)
    return told


def texts(told):
    return [one.line.text for one in told.utterances]


def test_the_conversation_begins_before_there_is_text(backend):
    waits = threading.Event()

    def lines():
        waits.wait(WAIT)
        yield from ()

    told = streamed(backend, lines(), lookahead=3)
    assert backend.request == SpeechRequest("", voice="ann")
    assert backend.ahead == 3
    assert told.waits_for_text
    waits.set()


def test_each_line_is_said_and_the_end_is_told(backend, conversation):
    told = streamed(backend, [line("One. "), line("Two. ")])
    happened(conversation.finished)
    assert conversation.said == ["One.", "Two."]
    assert not told.waits_for_text
    streams = [conversation.give(1), conversation.give(1)]
    conversation.end()
    assert [one.stream for one in told] == streams
    assert texts(told) == ["One. ", "Two. "]
    assert told.unspoken() == ""
    assert not told.is_one
    assert told.total is None
    assert told.progress() is None


def test_a_line_is_there_before_its_stream_is_given(backend, conversation):
    told = streamed(backend, [line("One. "), line("Two. ")])
    conversation.wait_for(2)
    conversation.give(1)
    conversation.end()
    for _ in told:
        assert texts(told) == ["One. "]


def test_what_is_spoken_as_one_is_one_line(backend, conversation):
    told = streamed(backend, [line("One. "), line("Two. "), line("Three. ")])
    conversation.wait_for(3)
    conversation.give(2)
    conversation.give(1)
    conversation.end()
    assert len(list(told)) == 2
    assert [one.line for one in told.utterances] == [Line("One. Two. ", "One. Two."), Line("Three. ", "Three.")]


def test_a_stream_that_has_grown_and_one_that_is_what_is_left(backend, conversation):
    told = streamed(backend, [line("One. "), line("Two. "), line("Three. ")])
    conversation.wait_for(3)
    growing = conversation.give(1)
    conversation.give(1)
    conversation.give(0)
    conversation.end()
    for utterance in told:
        if utterance.stream is growing:
            growing.pieces = 2
    assert texts(told) == ["One. Two. ", "Three. ", ""]


def test_what_made_no_sound_goes_with_the_last_line(backend, conversation):
    told = streamed(backend, [line("One. "), line("… ")])
    happened(conversation.finished)
    conversation.give(1)
    conversation.end()
    assert len(list(told)) == 1
    assert texts(told) == ["One. … "]


def test_a_text_that_fails_does_so_after_what_was_said_of_it(backend, conversation):
    def lines():
        yield line("One. ")
        raise UsageError("no more")

    told = streamed(backend, lines())
    happened(conversation.finished)
    stream = conversation.give(1)
    conversation.end()
    given = iter(told)
    assert next(given).stream is stream
    with pytest.raises(UsageError, match="no more"):
        next(given)


def test_a_backend_that_fails(backend, conversation):
    told = streamed(backend, [line("One. "), line("Two. ")])
    conversation.wait_for(2)
    conversation.give(1)
    conversation.end(NetworkError("gone"))
    given = iter(told)
    next(given)
    with pytest.raises(NetworkError, match="gone"):
        next(given)
    told.cancel()
    assert texts(told) == ["One. "]
    assert told.unspoken() == "Two. "


def test_what_nobody_hears_any_more_is_not_said_but_accounted_for(backend, conversation):
    conversation.is_deaf = True
    told = streamed(backend, [line("One. "), line("Two. "), line("Three. ")])
    happened(conversation.finished)
    told.cancel()
    assert told.unspoken() == "One. Two. Three. "
    assert conversation.said == []


def test_cancel_ends_it_and_what_was_under_way_is_unspoken(backend, conversation):
    stopped = threading.Event()
    waits = threading.Event()

    def lines():
        yield line("One. ")
        yield line("Two. ")
        waits.set()
        stopped.wait(WAIT)
        yield line("Three. ")

    told = streamed(backend, lines(), stop=stopped.set)
    happened(waits)
    conversation.give(1)
    given = iter(told)
    next(given)
    ended = in_thread(lambda: next(given))
    told.cancel()
    assert isinstance(ended(), Interrupted)
    assert conversation.cancelled
    assert texts(told) == ["One. "]
    assert told.unspoken() == "Two. Three. "
