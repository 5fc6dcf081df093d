"""A stream of speech: joined audio, word times, live text, errors and cancellation."""

import asyncio
import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import material
from support.loops import run
from support.speech_app import SteppedEngine, sound_of
from support.threads import in_thread
from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream
from voice_cli.backends.local.espeak import EspeakBackend
from voice_cli.config import Defaults
from voice_cli.errors import BackendError, DecodeError, EngineError, Interrupted, TruncatedAudio, UsageError
from voice_cli.pcm.convert import Converter
from voice_cli.pcm.joins import ONSET_SECONDS, Joins
from voice_cli.script.pauses import Flush, LiveText
from voice_cli.server.report import STAGES
from voice_cli.server.service import Service
from voice_cli.server.settings import Server, ServerSettings
from voice_cli.server.speech import CHARACTERS_A_SECOND, Began, Ended, SpeechOrder

MONO = AudioFormat(24_000, 1)
PAUSE = 0.3
THREE = "First one.\n\nSecond one, with a clause.\n\nThird."
SPOKEN = ("First one.", "Second one, with a clause.", "Third.")
SETTINGS = ServerSettings(Server(max_streams=8), defaults=Defaults(pause=PAUSE))


@contextlib.contextmanager
def service_of(backend, settings=SETTINGS):
    service = Service(settings, backend)
    try:
        yield service
    finally:
        service.close()


async def events_of(service, order):
    """Take all events of a stream; return them and the speech."""
    events = []
    async with service.speak(order) as speech:
        while more := await speech.take():
            events += more
    return events, speech


def speak_order(backend, order, settings=SETTINGS):
    """Speak an order; return its events and the speech."""

    async def main():
        with service_of(backend, settings) as service:
            return await events_of(service, order)

    return run(main)


def sound_in(events):
    return b"".join(event for event in events if isinstance(event, bytes))


def between(parts, text):
    """Return audio with silence before and after it."""
    head, tail = parts
    return bytes(2 * head) + sound_of(text) + bytes(2 * tail)


def joined(utterances, pauses=(PAUSE,) * 10):
    """Join whole utterances as players do."""
    joins, out = Joins(), []
    for index, pcm in enumerate(utterances):
        joins.begin(pauses[index - 1] if index else None)
        out += joins.push(PcmChunk(MONO, pcm))
    return b"".join(chunk.data for chunk in [*out, *joins.finish()])


def cut(pcm, sizes):
    """Yield PCM in pieces of the given numbers of frames, repeated."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(pcm):
            return
        yield pcm[at : at + 2 * size]
        at += 2 * size


# Audio.


def test_a_single_utterance_is_sent_unchanged():
    pcm = between((500, 900), "Hello there.")
    events, speech = speak_order(SteppedEngine(lambda _: cut(pcm, [333])), SpeechOrder("Hello there.", "test"))
    began = events[0]
    assert isinstance(began, Began)
    (ended,) = (event for event in events if isinstance(event, Ended))
    assert (began.line.text, began.encoding) == ("Hello there.", Encoding("pcm", MONO))
    assert ended.seconds == pytest.approx(MONO.seconds(len(pcm) // 2))
    assert sound_in(events) == pcm
    assert speech.is_over


def test_utterances_are_joined_as_one_stream():
    pcm = {text: between((700, 1100), text) for text in SPOKEN}
    events, _ = speak_order(SteppedEngine(lambda request: cut(pcm[request.text], [251])), SpeechOrder(THREE, "test"))
    sound = sound_in(events)
    assert sound == joined([pcm[text] for text in SPOKEN])
    loud = np.flatnonzero(np.frombuffer(sound, "<i2"))
    silences = np.diff(loud)[np.diff(loud) > 1] - 1
    assert silences.tolist() == [MONO.frames(PAUSE)] * 2
    assert [event.line.spoken for event in events if isinstance(event, Began)] == [*SPOKEN]
    assert [event.line.spoken for event in events if isinstance(event, Ended)] == [*SPOKEN]
    assert [event.seconds for event in events if isinstance(event, Ended)] == pytest.approx(
        [MONO.seconds(len(pcm[text]) // 2) for text in SPOKEN]
    )


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=5),
    st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
    st.sampled_from(["pcm", "wav", "flac", "mulaw"]),
)
def test_the_engines_chunk_sizes_make_no_difference(sizes, silences, codec):
    def engine(sizes):
        return SteppedEngine(lambda request: cut(between(silences, request.text), sizes))

    pieces, _ = speak_order(engine(sizes), SpeechOrder(THREE, "test", codec=codec))
    whole, _ = speak_order(engine([10**6]), SpeechOrder(THREE, "test", codec=codec))
    assert sound_in(pieces) == sound_in(whole)
    if codec == "pcm":
        assert sound_in(whole) == joined([between(silences, text) for text in SPOKEN])


def test_a_requested_rate_is_converted_as_one_stream():
    events, _ = speak_order(SteppedEngine(), SpeechOrder(THREE, "test", rate=16_000))
    converter = Converter(MONO, AudioFormat(16_000, 1))
    whole = joined([sound_of(text) for text in SPOKEN])
    assert sound_in(events) == converter.convert(whole) + converter.flush()


class Changing(SteppedEngine):
    """An engine whose format changes with each utterance."""

    FORMATS = (MONO, AudioFormat(44_100, 2), AudioFormat(16_000, 1))

    def speak(self, generation):
        self.audio_format = self.FORMATS[len(self.requests) % 3]
        super().speak(generation)


def test_an_utterance_of_another_format_is_converted_to_the_first_ones():
    events, speech = speak_order(Changing(), SpeechOrder(THREE, "test"))
    encodings = {event.encoding for event in events if isinstance(event, Began)}
    assert encodings == {Encoding("pcm", MONO)}
    converted = []
    for text, audio_format in zip(SPOKEN, Changing.FORMATS, strict=True):
        pcm = sound_of(text, audio_format=audio_format)
        pause = bytes(audio_format.frames(PAUSE) * audio_format.frame_bytes) if converted else b""
        converter = Converter(audio_format, MONO)
        converted.append(converter.convert(pause + pcm) + converter.flush())
    assert sound_in(events) == b"".join(converted)
    assert speech.report.audio_seconds == pytest.approx(3 * 0.2 + 2 * PAUSE)


def test_separate_utterances_are_whole_streams():
    pcm = {text: between((700, 1100), text) for text in SPOKEN}
    order = SpeechOrder(THREE, "test", codec="wav", separate=True)
    events, _ = speak_order(SteppedEngine(lambda request: cut(pcm[request.text], [251])), order)
    streams = []
    for event in events:
        if isinstance(event, Began):
            streams.append(b"")
        elif isinstance(event, bytes):
            streams[-1] += event
    decoded = [material.reference(stream, "wav") for stream in streams]
    assert decoded == [(MONO, pcm[text]) for text in SPOKEN]


def test_all_parameters_reach_the_engine():
    engine = SteppedEngine()
    order = SpeechOrder(
        "Hi.",
        "test",
        voice="bob",
        speed=1.5,
        instructions="calmly",
        options={"preset": "fast", "steps": 7, "cfg_scale": 2.5},
    )
    speak_order(engine, order)
    (request,) = engine.requests
    wanted = SpeechRequest(
        "Hi.", "bob", speed=1.5, instructions="calmly", options={"preset": "fast", "steps": 7, "cfg_scale": 2.5}
    )
    assert request._replace(due=None) == wanted


def test_utterances_are_due_at_their_estimated_playback_time():
    """`due` is the start of the order, then the estimated end of playback of the text before."""
    engine = SteppedEngine()
    _, speech = speak_order(engine, SpeechOrder(THREE, "test"))
    report, (first, *others) = speech.report, engine.requests
    assert first.due == report.began
    lengths = list(itertools.accumulate(len(text) for text in (SPOKEN[0], SPOKEN[1])))
    for request, characters in zip(others, lengths, strict=True):
        assert request.due is not None
        assert request.due >= report.began + characters / CHARACTERS_A_SECOND


def test_the_default_voice_is_that_of_the_settings():
    engine = SteppedEngine()
    speak_order(engine, SpeechOrder("Hi.", "test"), SETTINGS._replace(voice="alice"))
    assert engine.requests[0].voice == "alice"


def test_pronunciations_and_markdown_are_applied():
    def spoken(order, settings):
        engine = SteppedEngine()
        speak_order(engine, order, settings)
        return [request.text for request in engine.requests]

    pronounced = SETTINGS._replace(pronounce={"nginx": "engine x"})
    assert spoken(SpeechOrder("# nginx *runs*", "test"), pronounced) == ["engine x runs."]
    assert spoken(SpeechOrder("a *b* c", "test"), SETTINGS) == ["a b c"]
    assert spoken(SpeechOrder("a *b* c", "test"), SETTINGS._replace(defaults=Defaults(markdown="off"))) == ["a *b* c"]


def test_a_note_of_the_engine_is_reported_once():
    engine = SteppedEngine()
    engine.notes = ["it does not stream"]
    _, speech = speak_order(engine, SpeechOrder(THREE, "test"))
    assert speech.notes == ["it does not stream"]


# Word times.


def test_word_times_match_the_audio():
    """espeak reports the times; silence that is cut at a join moves them earlier."""
    speak_order(EspeakBackend(), SpeechOrder("Hi.", "test"))  # after phonemes, the first request lacks a word's event
    events, _ = speak_order(EspeakBackend(), SpeechOrder("Hello my dear friend.\n\nAnd hello again.", "test"))
    rate = 22_050
    utterances = []
    for event in events:
        if isinstance(event, Began):
            utterances.append([b"", None])
        elif isinstance(event, Ended):
            utterances[-1][1] = event
        else:
            utterances[-1][0] += event
    spoken = [[word.text for word in ended.words] for _, ended in utterances]
    assert spoken == [["Hello", "my", "dear", "friend"], ["And", "hello", "again"]]
    for sound, ended in utterances:
        samples = np.abs(np.frombuffer(sound, "<i2").astype(int))
        onset = np.flatnonzero(samples > 300)[0] / rate
        assert ended.words[0].start <= onset + 0.02
        assert onset - ended.words[0].start < 0.35, "the word includes the silence before it"
        for word, following in itertools.pairwise(ended.words):
            assert word.start < word.end == following.start
        assert ended.words[-1].end > ended.words[-1].start
        for word in ended.words:
            part = samples[round(word.start * rate) : round(word.end * rate)]
            assert part.size == 0 or part.max() > 300, f"{word} is silent"
    assert utterances[1][1].words[0].start >= PAUSE - ONSET_SECONDS - 0.01, "the pause before it is missing"


def test_an_engine_without_word_times_yields_none():
    events, _ = speak_order(SteppedEngine(), SpeechOrder("Hi.", "test"))
    assert [event.words for event in events if isinstance(event, Ended)] == [()]


# Live text.


def test_text_is_spoken_as_it_arrives():
    engine = SteppedEngine()

    async def main():
        with service_of(engine) as service:
            text = LiveText(1000, 60)
            order = SpeechOrder(text, "test")
            async with service.speak(order) as speech:
                text.put_nowait("This is said at once. And thi")
                events = []
                while not any(isinstance(event, Ended) for event in events):
                    events += await speech.take()
                assert events[0].line.text == "This is said at once."
                text.put_nowait("s is said,")
                text.put_nowait(Flush())
                while sum(isinstance(event, Ended) for event in events) < 2:
                    events += await speech.take()
                text.put_nowait(" but later.")
                text.close()
                while more := await speech.take():
                    events += more
            return events

    events = run(main)
    texts = [event.line.text for event in events if isinstance(event, Began)]
    assert texts == ["This is said at once.", " And this is said,", " but later."]
    half = PAUSE / 2  # the pause after a clause is half that after a sentence
    spoken = [sound_of(request.text) for request in engine.requests]
    assert sound_in(events) == joined(spoken, [PAUSE, half])


def test_an_empty_live_text_is_not_an_error():
    async def main():
        with service_of(SteppedEngine()) as service:
            text = LiveText(1000, 60)
            text.close()
            return await events_of(service, SpeechOrder(text, "test"))

    events, speech = run(main)
    assert events == []
    assert speech.report.outcome is None


# Errors and cancellation.


def failing(order, engine, settings=SETTINGS):
    """Speak an order that fails; return the events before, the error, and the report."""

    async def main():
        with service_of(engine, settings) as service:
            events = []
            async with service.speak(order) as speech:
                try:
                    while more := await speech.take():
                        events += more
                except Exception as error:
                    return events, error, speech.report
            raise AssertionError("it did not fail")

    return run(main)


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "---", "😀"])
def test_blank_text_is_an_error(text):
    events, error, report = failing(SpeechOrder(text, "test"), SteppedEngine(lambda _: []))
    assert isinstance(error, UsageError)
    assert "blank" in error.message
    assert (events, report.outcome) == ([], "failed")


def test_an_engine_without_audio_is_an_error():
    events, error, report = failing(SpeechOrder("Say this.", "test"), SteppedEngine(lambda _: []))
    assert isinstance(error, EngineError)
    assert error.message == "made gave no sound"
    assert (events, report.outcome, report.reason) == ([], "failed", "engine")


def test_an_utterance_without_audio_is_skipped():
    events, speech = speak_order(
        SteppedEngine(lambda request: [] if request.text == SPOKEN[1] else [sound_of(request.text)]),
        SpeechOrder(THREE, "test"),
    )
    assert sound_in(events) == joined([sound_of(SPOKEN[0]), sound_of(SPOKEN[2])])
    assert [event.line.spoken for event in events if isinstance(event, Ended)] == [SPOKEN[0], SPOKEN[2]]
    assert speech.report.utterances == 2


def test_an_engine_error_before_any_audio_is_a_failure():
    events, error, report = failing(SpeechOrder("Hi.", "test"), SteppedEngine(lambda _: [EngineError("out of breath")]))
    assert (events, error.message) == ([], "out of breath")
    assert (report.outcome, report.reason, report.bytes) == ("failed", "engine", 0)


def test_an_engine_error_in_the_middle_keeps_the_audio_before_it():
    pieces = [sound_of("a"), EngineError("out of breath")]
    events, error, report = failing(SpeechOrder("Hi.", "test"), SteppedEngine(lambda _: pieces))
    assert sound_in(events) == sound_of("a")
    assert isinstance(error, EngineError)
    assert (report.outcome, report.reason) == ("truncated", "engine")


def test_an_engine_error_in_the_second_utterance_keeps_the_first():
    def speak(request):
        return [EngineError("out of breath")] if request.text == SPOKEN[1] else [between((0, 900), request.text)]

    events, error, report = failing(SpeechOrder(THREE, "test"), SteppedEngine(speak))
    assert sound_in(events) == sound_of(SPOKEN[0]), "silence held back for the join was sent"
    assert isinstance(error, BackendError)
    assert report.outcome == "truncated"


def test_half_a_frame_is_truncated_audio():
    _, error, report = failing(SpeechOrder("Hi.", "test"), SteppedEngine(lambda _: [b"\1\2\3"]))
    assert isinstance(error, TruncatedAudio)
    assert report.outcome == "truncated"


class Nameless(Backend):
    """Yields bytes without announcing their format."""

    name = "nameless"

    class Stream(SpeechStream):
        expected = Encoding("pcm")
        timestamps = {}  # noqa: RUF012

        def __iter__(self):
            yield b"\0\0"

        def cancel(self):
            pass

    def synthesize(self, request):
        return self.Stream()

    def voices(self):
        raise BackendError("it keeps no list")


def test_audio_of_unknown_format_is_an_error():
    _, error, _ = failing(SpeechOrder("Hi.", "test"), Nameless())
    assert isinstance(error, DecodeError)


def test_an_unavailable_codec_is_an_error_before_any_audio():
    events, error, _ = failing(SpeechOrder("Hi.", "test", codec="mulaw", rate=16_000), SteppedEngine())
    assert isinstance(error, UsageError)
    assert events == []


def test_an_invalid_voice_is_an_error():
    _, error, _ = failing(SpeechOrder("Hi.", "test", voice="../etc/passwd"), SteppedEngine())
    assert isinstance(error, UsageError)


def test_cancel_stops_the_engine_and_ends_a_waiting_take():
    engine = SteppedEngine()

    async def main():
        with service_of(engine) as service:
            engine.hold()
            async with service.speak(SpeechOrder(THREE, "test")) as speech:
                engine.release()
                events = await speech.take()
                assert isinstance(events[0], Began)
                while not isinstance(events[-1], bytes):  # the piece is queued after `Began`
                    events = await speech.take()
                taking = asyncio.create_task(speech.take())
                await asyncio.sleep(0)
                in_thread(lambda: (speech.cancel("asked"), speech.cancel("left")))()
                with pytest.raises(Interrupted):
                    await taking
            await asyncio.to_thread(engine.wait_until_idle)
            return speech.report

    report = run(main)
    assert (report.outcome, report.reason) == ("cancelled", "asked")


def test_streams_cancelled_in_the_queue_do_not_block_the_next():
    engine = SteppedEngine()

    async def main():
        with service_of(engine) as service:
            engine.hold()
            for _ in range(20):
                async with service.speak(SpeechOrder(THREE, "test")):
                    pass
            engine.let_go()
            await events_of(service, SpeechOrder("Hi.", "test"))
            await asyncio.to_thread(engine.wait_until_idle)

    run(main)
    assert engine.requests[-1].text == "Hi."


def test_cancel_ends_the_live_text():
    async def main():
        with service_of(SteppedEngine()) as service:
            text = LiveText(10, 60)
            async with service.speak(SpeechOrder(text, "test")) as speech:
                text.put_nowait("x" * 20)
                room = asyncio.ensure_future(text.room())
                speech.cancel("asked")
                await room
                with pytest.raises(Interrupted):
                    await speech.take()

    run(main)


def test_a_stalled_client_delays_only_its_own_stream():
    pcm = np.arange(1_000_000).astype("<i2").tobytes()  # 42 s
    engine = SteppedEngine(lambda request: cut(pcm, [12_000]) if request.text == "Long." else [sound_of(request.text)])

    async def main():
        with service_of(engine) as service:
            async with service.speak(SpeechOrder("Long.", "test")) as speech:
                events, _ = await events_of(service, SpeechOrder("Short.", "test"))
                assert sound_in(events) == sound_of("Short.")
                waiting = speech._queue._held
                sound = b""
                while more := await speech.take():
                    sound += sound_in(more)
            return waiting, sound

    waiting, sound = run(main)
    assert waiting < 200_000
    assert len(sound) == len(pcm)


# The report.


def test_the_report_is_complete():
    pcm = {text: between((0, 4800), text) for text in SPOKEN}
    events, speech = speak_order(SteppedEngine(lambda request: [pcm[request.text]]), SpeechOrder(THREE, "test"))
    report = speech.report
    speech.report.mark("sent")
    assert (report.protocol, report.codec, report.outcome, report.reason) == ("test", "pcm", None, "")
    assert report.characters == len(THREE)
    assert report.utterances == 3
    assert report.bytes == len(sound_in(events))
    assert report.audio_seconds == pytest.approx(report.bytes / 48_000)
    assert report.generated_seconds == pytest.approx(sum(len(one) for one in pcm.values()) / 48_000)
    assert 0 < report.real_time_factor == report.generation_seconds / report.generated_seconds
    assert list(report.latency()) == [*STAGES, "total"]


class BreaksOnce(SteppedEngine):
    """Fails in the middle of the first `times` generations."""

    def __init__(self, times):
        super().__init__()
        self.times = times
        self.generations = 0

    def speak(self, generation):
        self.generations += 1
        if self.generations > self.times:
            super().speak(generation)
            return
        generation.format = MONO
        generation.write(sound_of(generation.request.text)[:4000])
        raise RuntimeError("it broke")


def test_an_engine_that_fails_in_the_middle_is_asked_again():
    engine = BreaksOnce(1)
    events, speech = speak_order(engine, SpeechOrder("First one.", "test"))
    assert sound_in(events) == sound_of("First one.")
    assert engine.generations == 2
    assert speech.report.outcome is None, "it has not failed"


def test_an_engine_that_always_fails_in_the_middle_is_truncated():
    engine = BreaksOnce(100)
    with pytest.raises((TruncatedAudio, EngineError), match="it broke; tried"):
        speak_order(engine, SpeechOrder("First one.", "test"))
    assert engine.generations < 6
