"""Speech assembly: utterances in, one stream of events out."""

import pytest

from support.player import FakeStream, numbered
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs.wav import wav_header
from voice_cli.errors import Interrupted, NetworkError, ServerError, TruncatedAudio
from voice_cli.script.line import Line
from voice_cli.speech.assembly import Speech
from voice_cli.speech.events import (
    Audio,
    Decoded,
    EncodedData,
    TextAwaited,
    Utterance,
    UtteranceEnded,
    UtteranceStarted,
)
from voice_cli.speech.narration import UtteranceSource

MONO = AudioFormat(8000, 1)


class Utterances(UtteranceSource):
    """Given utterances; text is awaited before those whose indexes are in `waits`."""

    def __init__(self, *streams, pauses=(), waits=()):
        pauses = pauses or [1.0] * len(streams)
        self.made = [
            Utterance(Line(f"{n}. ", f"{n}.", pause=pause), stream)
            for n, (stream, pause) in enumerate(zip(streams, pauses, strict=True))
        ]
        self._waits = set(waits)
        self._next = 0

    def __iter__(self):
        for utterance in self.made:
            self._next += 1
            yield utterance

    @property
    def waits_for_text(self):
        return self._next in self._waits

    def cancel(self):
        for utterance in self.made:
            utterance.stream.cancel()


def stream(*chunks, **options):
    return FakeStream(*chunks, end=True, **options)


def sound_of(events):
    return b"".join(event.chunk.data for event in events if isinstance(event, Audio))


def until_error(speech):
    """Return the events and the error that ends them."""
    events = []
    try:
        events.extend(speech)
    except Exception as error:
        return events, error
    return events, None


def test_the_events_of_an_utterance_are_in_order():
    source = Utterances(stream(numbered(100), numbered(50, first=101)))
    events = list(Speech(source))
    assert [type(event) for event in events] == [
        UtteranceStarted,
        *(EncodedData, Decoded, Audio),
        *(EncodedData, Decoded, Audio),
        UtteranceEnded,
    ]
    assert sound_of(events) == numbered(150)
    (utterance,) = source.made
    assert (utterance.start, utterance.end) == (0.0, pytest.approx(MONO.seconds(150)))


def test_encoded_data_is_unchanged_by_codec_detection():
    wav = wav_header(MONO, None) + numbered(100)
    source = Utterances(stream(*(wav[at : at + 1] for at in range(len(wav))), expected=Encoding("wav")))
    received = [event for event in Speech(source) if isinstance(event, EncodedData)]
    assert b"".join(event.data for event in received) == wav
    assert sum(event.chunks for event in received) == len(wav)
    assert {event.codec for event in received} == {"wav"}


def test_utterances_are_joined_by_pauses_and_have_positions():
    loud = numbered(800, first=1000)
    silence = bytes(1600)
    speech = Speech(Utterances(stream(loud + silence), stream(silence + loud), pauses=[0.5, 1.0]), pause=0.2)
    sound = sound_of(speech)
    assert sound == loud + bytes(2 * 800) + loud
    first, second = speech.utterances
    assert (first.start, first.end) == (0.0, pytest.approx(0.1))
    assert second.start == pytest.approx(0.1 + 0.1 - 0.01), "10 ms of its leading silence count as pause"
    assert second.lead == pytest.approx(0.09)
    assert speech.seconds == pytest.approx(second.end)


def test_silence_already_played_shortens_a_pause():
    loud = numbered(800, first=1000)
    speech = Speech(Utterances(stream(loud), stream(loud)), pause=0.3)
    sound = b""
    for event in speech:
        if isinstance(event, EncodedData) and speech.utterances:
            speech.silent_seconds = 0.25
        if isinstance(event, Audio):
            sound += event.chunk.data
    assert sound == loud + bytes(2 * 400) + loud


def test_all_audio_has_the_format_of_the_first_frames():
    stereo = AudioFormat(16000, 2)
    other = Encoding("pcm", stereo)
    speech = Speech(Utterances(stream(numbered(800)), stream(numbered(1600, channels=2), expected=other)))
    events = list(speech)
    assert {event.chunk.format for event in events if isinstance(event, Audio)} == {MONO}
    assert {event.chunk.format for event in events if isinstance(event, Decoded)} == {MONO, stereo}
    assert len(sound_of(events)) == 2 * 1600
    assert speech.seconds == pytest.approx(0.2)


def test_text_awaited_is_yielded_before_the_wait():
    events = list(Speech(Utterances(stream(numbered(10)), stream(numbered(10)), waits=[1])))
    at = [type(event) for event in events].index(TextAwaited)
    assert isinstance(events[at - 1], UtteranceEnded)
    assert isinstance(events[at + 1], UtteranceStarted)


def test_the_tail_of_a_truncated_stream_is_yielded():
    """The decoder held back the last bytes, because a header could begin there."""
    sound = numbered(100)[:-2] + b"RI"
    broken = FakeStream(wav_header(MONO, None) + sound, expected=Encoding("wav"), end=NetworkError("gone"))
    speech = Speech(Utterances(broken))
    events, error = until_error(speech)
    assert sound_of(events) == sound
    assert isinstance(error, NetworkError)
    assert speech.utterances[0].end is None


@pytest.mark.parametrize("size", [len(numbered(8000)) + 2, 10**6])
def test_unmarked_end_is_complete_only_if_the_transport_marks_it(size):
    data = wav_header(MONO, size) + numbered(8000)
    for is_marked in (True, False):
        shorter = stream(data)
        shorter.end_is_marked = is_marked
        speech = Speech(Utterances(shorter))
        events, error = until_error(speech)
        assert sound_of(events) == numbered(8000)
        (utterance,) = speech.utterances
        if is_marked:
            assert error is None
            assert "before the end of its data; it is complete" in utterance.notes[0]
        else:
            assert isinstance(error, TruncatedAudio)
            assert utterance.notes == []


def test_audio_kept_for_a_join_is_yielded_before_the_error():
    loud = numbered(800, first=1000)
    events, error = until_error(Speech(Utterances(FakeStream(loud + bytes(400), end=TruncatedAudio("cut"))), pause=0.3))
    assert sound_of(events) == loud + bytes(400)
    assert isinstance(error, TruncatedAudio)


@pytest.mark.parametrize(
    ("seconds", "rate", "is_noted"),
    [(1, None, True), (2, None, False), (2, 12.0, True), (5, 12.0, True), (6, 12.0, False), (5, 20.0, False)],
)
def test_speech_that_is_much_shorter_than_earlier_speech_is_noted(seconds, rate, is_noted):
    """150 letters at 14 a second are 11 s; twice the rate of earlier speeches is too fast."""
    source = Utterances(stream(numbered(8000 * seconds)))
    source.made[0].line = Line("word " * 38, "word " * 38)
    speech = Speech(source)
    speech.chars_per_second = rate
    list(speech)
    assert any("are too few for" in note for note in source.made[0].notes) == is_noted


def test_an_empty_utterance_is_an_error_unless_allowed():
    with pytest.raises(ServerError, match="no audio"):
        list(Speech(Utterances(stream())))
    events = list(Speech(Utterances(stream(), stream(numbered(10))), allow_empty=True))
    assert sound_of(events) == numbered(10)


def test_cancel_raises_interrupted():
    speech = Speech(Utterances(FakeStream(numbered(100))))
    events = iter(speech)
    while not isinstance(next(events), Audio):
        continue
    speech.cancel()
    with pytest.raises(Interrupted):
        next(events)
