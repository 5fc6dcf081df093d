"""StreamedNarration: the lines of each stream of a text stream, and no lost text."""

import threading
from collections import deque

import pytest

from support.player import FakeStream, numbered
from support.threads import WAIT, happened, in_thread
from voice_cli.backends.base import Backend, SpeechRequest, TextStream
from voice_cli.errors import AuthenticationError, Interrupted, NetworkError, TruncatedAudio, UsageError
from voice_cli.script.line import Line
from voice_cli.speech.assembly import Speech
from voice_cli.speech.events import Audio
from voice_cli.speech.recovery import Recovery, Target
from voice_cli.speech.streamed_narration import StreamedNarration


class FakeTextStream(TextStream):
    """Yields the streams that the test adds; records the text sent to it."""

    def __init__(self):
        self.said = []
        self.finished = threading.Event()
        self.cancelled = False
        self.changed = threading.Condition()
        self.refuses_text = False
        self._streams = deque()
        self._end = None

    def say(self, text):
        with self.changed:
            if self.refuses_text or self.cancelled:
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
        self.text_stream = FakeTextStream()
        self.request = None
        self.ahead = None

    def open_text_stream(self, request, *, ahead):
        self.request, self.ahead = request, ahead
        return self.text_stream

    def synthesize(self, request):
        raise AssertionError

    def voices(self):
        return []


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def text_stream(backend):
    return backend.text_stream


def line(text):
    return Line(text, text.strip())


def streamed(backend, lines, **options):
    narration = StreamedNarration(backend, lines, lambda one: SpeechRequest(one.spoken, voice="ann"), **options)
    narration.start(first=False)
    return narration


def texts(narration):
    return [one.line.text for one in narration.utterances]


def test_the_text_stream_opens_before_text_arrives(backend):
    waits = threading.Event()

    def lines():
        waits.wait(WAIT)
        yield from ()

    narration = streamed(backend, lines(), lookahead=3)
    assert backend.request == SpeechRequest("", voice="ann")
    assert backend.ahead == 3
    assert narration.waits_for_text
    waits.set()


def test_each_line_is_sent_and_the_text_is_finished(backend, text_stream):
    narration = streamed(backend, [line("One. "), line("Two. ")])
    happened(text_stream.finished)
    assert text_stream.said == ["One.", "Two."]
    assert not narration.waits_for_text
    streams = [text_stream.give(1), text_stream.give(1)]
    text_stream.end()
    assert [one.stream for one in narration] == streams
    assert texts(narration) == ["One. ", "Two. "]
    assert narration.unspoken() == ""
    assert not narration.is_one
    assert narration.total is None
    assert narration.progress() is None


def test_utterance_has_its_line_when_yielded(backend, text_stream):
    narration = streamed(backend, [line("One. "), line("Two. ")])
    text_stream.wait_for(2)
    text_stream.give(1)
    text_stream.end()
    for _ in narration:
        assert texts(narration) == ["One. "]


def test_stream_of_several_pieces_has_the_joined_lines(backend, text_stream):
    narration = streamed(backend, [line("One. "), line("Two. "), line("Three. ")])
    text_stream.wait_for(3)
    text_stream.give(2)
    text_stream.give(1)
    text_stream.end()
    assert len(list(narration)) == 2
    assert [one.line for one in narration.utterances] == [Line("One. Two. ", "One. Two."), Line("Three. ", "Three.")]


def test_streams_that_grow_or_have_no_piece(backend, text_stream):
    narration = streamed(backend, [line("One. "), line("Two. "), line("Three. ")])
    text_stream.wait_for(3)
    growing = text_stream.give(1)
    text_stream.give(1)
    text_stream.give(0)
    text_stream.end()
    for utterance in narration:
        if utterance.stream is growing:
            growing.pieces = 2
    assert texts(narration) == ["One. Two. ", "Three. ", ""]


def test_lines_without_a_stream_are_added_to_the_last_utterance(backend, text_stream):
    narration = streamed(backend, [line("One. "), line("… ")])
    happened(text_stream.finished)
    text_stream.give(1)
    text_stream.end()
    assert len(list(narration)) == 1
    assert texts(narration) == ["One. … "]


def test_a_text_error_is_raised_after_the_streams_before_it(backend, text_stream):
    def lines():
        yield line("One. ")
        raise UsageError("no more")

    narration = streamed(backend, lines())
    happened(text_stream.finished)
    stream = text_stream.give(1)
    text_stream.end()
    given = iter(narration)
    assert next(given).stream is stream
    with pytest.raises(UsageError, match="no more"):
        next(given)


def test_a_backend_error_is_raised_after_the_streams_before_it(backend, text_stream):
    narration = streamed(backend, [line("One. "), line("Two. ")])
    text_stream.wait_for(2)
    text_stream.give(1)
    text_stream.end(NetworkError("gone"))
    given = iter(narration)
    next(given)
    with pytest.raises(NetworkError, match="gone"):
        next(given)
    narration.cancel()
    assert texts(narration) == ["One. "]
    assert narration.unspoken() == "Two. "


def test_refused_text_is_unspoken(backend, text_stream):
    text_stream.refuses_text = True
    narration = streamed(backend, [line("One. "), line("Two. "), line("Three. ")])
    happened(text_stream.finished)
    narration.cancel()
    assert narration.unspoken() == "One. Two. Three. "
    assert text_stream.said == []


def test_cancel_ends_the_iteration_and_pending_lines_are_unspoken(backend, text_stream):
    stopped = threading.Event()
    waits = threading.Event()

    def lines():
        yield line("One. ")
        yield line("Two. ")
        waits.set()
        stopped.wait(WAIT)
        yield line("Three. ")

    narration = streamed(backend, lines(), stop=stopped.set)
    happened(waits)
    text_stream.give(1)
    given = iter(narration)
    next(given)
    ended = in_thread(lambda: next(given))
    narration.cancel()
    assert isinstance(ended(), Interrupted)
    assert text_stream.cancelled
    assert texts(narration) == ["One. "]
    assert narration.unspoken() == "Two. Three. "


class RequestsToo(FakeBackend):
    """Answers requests as well."""

    def __init__(self):
        super().__init__()
        self.requested = []

    def synthesize(self, request):
        self.requested.append(request.text)
        return FakeStream(numbered(100), end=True)


def recovering(backend, lines):
    narration = StreamedNarration(backend, lines, lambda one: SpeechRequest(one.spoken, voice="ann"))
    narration.recovery = Recovery([Target("ann", lambda: backend, lambda one: SpeechRequest(one.spoken))])
    narration.start(first=False)
    return narration


def test_after_a_failure_the_lines_are_requested_one_by_one():
    backend = RequestsToo()
    narration = recovering(backend, [line("One. "), line("Two. "), line("Three.")])
    backend.text_stream.wait_for(3)
    backend.text_stream.end(NetworkError("gone", is_transient=True))
    assert [one.line.text for one in narration] == ["One. ", "Two. ", "Three."]
    assert backend.requested == ["One.", "Two.", "Three."]
    assert narration.unspoken() == ""


def test_lines_after_a_failure_are_requested_too():
    backend = RequestsToo()
    failed = threading.Event()

    def lines():
        yield line("One. ")
        happened(failed)
        yield line("Two. ")
        yield line("Three.")

    narration = recovering(backend, lines())
    backend.text_stream.wait_for(1)
    backend.text_stream.refuses_text = True
    backend.text_stream.end(TruncatedAudio("cut"))
    spoken = iter(narration)
    assert next(spoken).line.text == "One. "
    failed.set()
    assert [one.line.text for one in spoken] == ["Two. ", "Three."]


def test_an_utterance_that_was_cut_is_resumed_and_the_rest_requested():
    backend = RequestsToo()
    narration = recovering(backend, [line("One. "), line("Two.")])
    backend.text_stream.wait_for(2)
    stream = backend.text_stream.give(1)
    stream.give(numbered(40))
    stream.end(TruncatedAudio("cut"))
    backend.text_stream.end(TruncatedAudio("cut"))
    events = list(Speech(narration))
    assert b"".join(event.chunk.data for event in events if isinstance(event, Audio)) == 2 * numbered(100)
    assert backend.requested == ["One.", "Two."]
    assert texts(narration) == ["One. ", "Two."]


def test_an_error_that_is_not_transient_ends_the_speech():
    backend = RequestsToo()
    narration = recovering(backend, [line("One.")])
    backend.text_stream.end(AuthenticationError("the key is wrong"))
    with pytest.raises(AuthenticationError):
        list(narration)
    assert backend.requested == []
