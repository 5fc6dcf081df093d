"""vLLM-omni's streaming endpoint: the order of its messages, sentences as separate streams, word times."""

import base64
import contextlib
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from support.encoding import decoded
from support.sessions import half_close, receive, receive_all, receive_until, reset_connection, send_json, sound_in
from support.speech_app import MONO24, SteppedEngine, sound_of
from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.backends.base import Voice, WordEvent
from voice_cli.config import Defaults
from voice_cli.server.settings import Server, ServerSettings

PATH = "/v1/audio/speech/stream"
SENTENCES = ["This is the first sentence of two.", "And here is the second of them.", "A third stands alone."]
TEXT = " ".join(SENTENCES)
CLAUSES = "First comes this clause, then comes another; at last there is the end."
SPOKEN_LATER = ServerSettings(Server(), defaults=Defaults(flush_after=60.0))
CLOSE = {"type": "session.close"}
DONE = {"type": "input.done"}
COMMIT = {"type": "input.commit"}


def config(**fields):
    return {"type": "session.config", "response_format": "pcm", "stream_audio": True, **fields}


def text(*pieces):
    return [{"type": "input.text", "text": piece} for piece in pieces]


def kind(message):
    return "sound" if isinstance(message, bytes) else message["type"]


def is_done(message):
    return kind(message) == "session.done"


def say(app, *pieces, **fields):
    """Send one utterance in a new session; return all messages."""
    with app.connect(PATH) as websocket:
        send_json(websocket, config(**fields), *text(*pieces), DONE)
        return receive_until(websocket, is_done)


def sentences_of(messages):
    """Return the audio of each sentence, and check the order of its messages."""
    sentences = []
    is_open = False
    for message in messages:
        if kind(message) == "audio.start":
            assert not is_open
            is_open = True
            sentences.append((message, [], []))
        elif kind(message) == "audio.done":
            assert is_open
            is_open = False
            assert message["sentence_index"] == sentences[-1][0]["sentence_index"] == len(sentences) - 1
            assert message["total_bytes"] == sum(map(len, sentences[-1][1]))
        elif kind(message) == "audio.chunk":
            assert is_open
            sentences[-1][1].append(base64.b64decode(message["audio_b64"]))
            sentences[-1][2].append(message)
        elif kind(message) == "sound":
            assert is_open
            sentences[-1][1].append(message)
    return [(start, b"".join(sound), chunks) for start, sound, chunks in sentences]


def texts_of(messages):
    return [start["sentence_text"] for start, _, _ in sentences_of(messages)]


# Audio.


@pytest.mark.parametrize("stream_audio", [True, False])
@pytest.mark.parametrize("codec", CODECS)
def test_each_sentence_is_a_separate_stream_in_every_format(codec, stream_audio, app):
    messages = say(app, TEXT, response_format=codec, stream_audio=stream_audio, split_granularity="sentence")
    sentences = sentences_of(messages)
    assert [start["format"] for start, _, _ in sentences] == [codec] * 3
    for (_, data, _), sentence in zip(sentences, SENTENCES, strict=True):
        audio_format = AudioFormat(48_000, 1) if codec == "opus" else MONO24
        pcm = decoded(Encoding(codec, audio_format), data)
        if codec in ("pcm", "wav", "flac"):
            assert pcm == sound_of(sentence)
        else:
            assert len(pcm) / audio_format.rate / 2 == pytest.approx(0.2, abs=0.11), "LAME adds frames of silence"
    assert messages[-1] == {"type": "session.done", "utterance_index": 0, "total_sentences": 3}


@pytest.mark.parametrize("stream_audio", [True, False])
def test_an_utterance_that_is_not_split_is_one_stream(stream_audio, app):
    whole = app.request("POST", "/v1/audio/speech", {"input": TEXT, "response_format": "wav"}).body
    messages = say(app, TEXT, response_format="wav", stream_audio=stream_audio)
    ((start, data, _),) = sentences_of(messages)
    assert start["sentence_text"] == TEXT
    assert data == whole
    assert messages[-1]["total_sentences"] == 1


def test_a_sentence_that_is_not_streamed_is_one_message(app):
    messages = say(app, TEXT, stream_audio=False, split_granularity="sentence")
    assert [kind(message) for message in messages] == ["audio.start", "sound", "audio.done"] * 3 + ["session.done"]


def test_messages_are_no_larger_than_clients_accept(app, engine):
    engine.give(lambda request: [sound_of(request.text, 50.0)])
    messages = say(app, "Long.", stream_audio=False)
    sizes = [len(message) for message in messages if isinstance(message, bytes)]
    assert max(sizes) <= 1 << 20
    assert sentences_of(messages)[0][1] == sound_of("Long.", 50.0)


def test_streamed_audio_is_sent_during_generation(app, engine):
    engine.hold()
    with app.connect(PATH) as websocket:
        send_json(websocket, config(), *text("Hello there."), DONE)
        engine.release()
        assert [kind(receive(websocket)) for _ in range(2)] == ["audio.start", "sound"]
        engine.let_go()
        receive_until(websocket, is_done)


@pytest.mark.parametrize("rate", [22_050, 24_000])
def test_pcm_is_24_khz_and_reports_it(rate, serve_app):
    app = serve_app(SteppedEngine(audio_format=AudioFormat(rate, 1)))
    ((start, data, _),) = sentences_of(say(app, "Hello."))
    assert (start["sample_rate"], start["channels"]) == (24_000, 1)
    assert len(data) == 2 * 4800


def test_other_formats_report_no_rate(app):
    start, *_ = say(app, "Hello.", response_format="wav")
    assert "sample_rate" not in start


# Text.


@pytest.mark.parametrize(
    ("granularity", "said", "expected"),
    [
        ("none", TEXT, [TEXT]),
        ("sentence", TEXT, SENTENCES),
        ("clause", CLAUSES, ["First comes this clause,", "then comes another;", "at last there is the end."]),
        ("sentence", CLAUSES, [CLAUSES]),
        ("sentence", "It is 3.30 pm, Dr. Smith. Come in!", ["It is 3.30 pm, Dr. Smith.", "Come in!"]),
        ("sentence", "今天天气很好。我们去公园吧！", ["今天天气很好。", "我们去公园吧！"]),
        ("sentence", "Yes. No. Well.", ["Yes.", "No.", "Well."]),
        ("clause", "Well, yes.", ["Well,", "yes."]),
        ("sentence", "One line\n\nand another", ["One line", "and another"]),
    ],
)
def test_split_granularity_sets_the_sentences(granularity, said, expected, serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, settings=SPOKEN_LATER)
    assert texts_of(say(app, *said, split_granularity=granularity)) == expected
    engine.reset()
    assert texts_of(say(app, said, split_granularity=granularity)) == expected, (
        "the sentences depend on how the text is cut"
    )
    if granularity != "none":
        assert [request.text for request in engine.requests] == expected


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(said=st.text(max_size=60), granularity=st.sampled_from(["none", "sentence", "clause"]))
def test_any_text_is_answered_in_order(said, granularity, app):
    messages = say(app, said, split_granularity=granularity)
    assert messages[-1]["total_sentences"] == len(sentences_of(messages))
    errors = [message["message"] for message in messages if kind(message) == "error"]
    assert not errors or (errors == ["there is nothing to say: the text is blank"] and len(messages) == 2)


@pytest.mark.parametrize(
    ("granularity", "said"), [("sentence", "This is a sentence. And"), ("clause", "A clause, and")]
)
def test_a_part_is_spoken_before_the_text_ends(granularity, said, app):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity=granularity), *text(said))
        assert kind(receive_until(websocket, lambda message: kind(message) == "audio.done")[-1]) == "audio.done"
        send_json(websocket, *text(" more."), DONE)
        assert receive_until(websocket, is_done)[-1]["total_sentences"] == 2


def test_an_utterance_that_is_not_split_waits_for_its_end(app, engine):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(), *text("This is a sentence. And this is more. "), {"type": "?"})
        assert kind(receive(websocket)) == "error", "the text before it was not accepted"
        assert engine.requests == []
        send_json(websocket, DONE)
        receive_until(websocket, is_done)


# The session.


def test_utterances_are_spoken_in_order_and_counted(app):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity="sentence"))
        for utterance in range(3):
            send_json(websocket, *text(TEXT), DONE)
            messages = receive_until(websocket, is_done)
            numbers = {message["utterance_index"] for message in messages if isinstance(message, dict)}
            assert numbers == {utterance}
            assert len(sentences_of(messages)) == 3


def test_an_utterance_may_be_sent_while_the_previous_one_is_spoken(app, engine):
    engine.hold()
    with app.connect(PATH) as websocket:
        send_json(
            websocket, config(), *text("One."), DONE, *text("Two."), DONE, config(voice="bob"), *text("Three."), DONE
        )
        engine.let_go()
        for number, said in enumerate(("One.", "Two.", "Three.")):
            messages = receive_until(websocket, is_done)
            assert (messages[-1]["utterance_index"], texts_of(messages)) == (number, [said])
    assert [request.voice for request in engine.requests] == [None, None, "bob"]


@pytest.mark.parametrize("granularity", ["none", "sentence"])
def test_a_committed_utterance_is_answered_with_input_committed(granularity, app):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity=granularity), *text(TEXT), COMMIT, *text("Last."), DONE)
        messages = receive_until(websocket, is_done)
    total = 3 if granularity == "sentence" else 1
    ends = [message for message in messages if kind(message) in ("input.committed", "session.done")]
    assert ends == [
        {"type": "input.committed", "utterance_index": 0, "total_sentences": total},
        {"type": "session.done", "utterance_index": 1, "total_sentences": 1},
    ]


def test_the_configuration_reaches_the_engine_and_can_be_changed(app, engine):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(voice="alice", speed=1.5, instructions="Slowly."), *text("One."), DONE)
        receive_until(websocket, is_done)
        send_json(websocket, config(voice="bob"), *text("Two."), DONE)
        receive_until(websocket, is_done)
    assert [(request.voice, request.speed, request.instructions) for request in engine.requests] == [
        ("alice", 1.5, "Slowly."),
        ("bob", None, None),
    ]


@pytest.mark.parametrize("granularity", ["none", "sentence"])
def test_the_configuration_cannot_be_changed_within_an_utterance(granularity, app, engine):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity=granularity), *text("One"), config(voice="bob"))
        assert "input.done" in receive(websocket)["message"]
        send_json(websocket, DONE)
        receive_until(websocket, is_done)
    assert [request.voice for request in engine.requests] == [None]


@pytest.mark.parametrize("granularity", ["none", "sentence", "clause"])
def test_an_utterance_without_text_has_no_sentences(granularity, app, engine):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity=granularity), DONE, *text("", " \n"), DONE, *text("Words."), DONE)
        totals = [receive(websocket)["total_sentences"] for _ in range(2)]
        assert totals == [0, 0]
        assert receive_until(websocket, is_done)[-1] == {
            "type": "session.done",
            "utterance_index": 2,
            "total_sentences": 1,
        }
    assert len(engine.requests) == 1


def test_the_session_ends_after_its_queued_utterances(app):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(), *text("One."), DONE, *text("Two."), DONE, CLOSE, *text("Three."), DONE)
        messages, code, _ = receive_all(websocket)
    assert [message["utterance_index"] for message in messages if is_done(message)] == [0, 1]
    assert code == 1000


def test_a_close_ends_the_unfinished_text(app):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity="sentence"), *text("One. Two"), CLOSE)
        messages, code, _ = receive_all(websocket)
    assert texts_of(messages) == ["One.", "Two"]
    assert code == 1000


@pytest.mark.parametrize("before", [[], [config()]])
def test_an_idle_session_closes_immediately(before, app):
    with app.connect(PATH) as websocket:
        send_json(websocket, *before, CLOSE)
        assert receive_all(websocket) == ([], 1000, "")


# Word times.


class WordyEngine(SteppedEngine):
    """Reports words of 100 ms each from 20 ms on, with 40 ms of leading and at least 60 ms of trailing silence."""

    def __init__(self, tail_ms=60):
        super().__init__(lambda request: [bytes(48 * 40), sound_of(request.text), bytes(48 * tail_ms)])

    def synthesize(self, request):
        stream = super().synthesize(request)
        words = request.text.split()
        starts = [sum(len(word) + 1 for word in words[:at]) for at in range(len(words))]
        stream.words = [
            WordEvent(start, len(word), 0.02 + 0.1 * at)
            for at, (start, word) in enumerate(zip(starts, words, strict=True))
        ]
        return stream


def times_of(chunks):
    *_, last = chunks
    assert last["audio_b64"] == ""
    assert all(chunk["timestamps"] is None for chunk in chunks[:-1])
    return last["timestamps"] and [(time["word"], time["start_ms"], time["end_ms"]) for time in last["timestamps"]]


def test_word_times_start_at_their_sentence(serve_app):
    app = serve_app(WordyEngine())
    messages = say(app, "One two. Three.", split_granularity="sentence", word_timestamps=True)
    assert not any(isinstance(message, bytes) for message in messages)
    first, second = sentences_of(messages)
    assert first[0]["word_timestamps"] is True
    assert times_of(first[2]) == [("One", 20, 120), ("two.", 120, 300)]
    assert times_of(second[2]) == [("Three.", 20, 300)]


def test_word_times_match_the_sent_audio_across_joins(serve_app):
    """The pause keeps 10 ms of the second's leading silence; the first's trailing silence is cut."""
    app = serve_app(WordyEngine())
    messages = say(app, "One two.\n\nThree.", word_timestamps=True)
    ((_, sound, chunks),) = sentences_of(messages)
    assert len(sound) == 48 * (40 + 200 + 300 + 200 + 60)
    assert sound.find(sound_of("Three.")) == 48 * 540
    assert times_of(chunks) == [("One", 20, 120), ("two.", 120, 300), ("Three.", 520, 800)]


def test_words_end_by_the_next_word_or_the_audios_end(serve_app):
    """Audio after the last word is cut at a join, so the word's end time is limited."""
    app = serve_app(WordyEngine(tail_ms=700))
    ((_, sound, chunks),) = sentences_of(say(app, "One two.\n\nThree.", word_timestamps=True))
    assert times_of(chunks) == [("One", 20, 120), ("two.", 120, 520), ("Three.", 520, len(sound) // 48)]


def test_chunks_report_their_place_in_the_sentence(serve_app):
    app = serve_app(WordyEngine())
    ((_, sound, chunks),) = sentences_of(say(app, "One two.", word_timestamps=True))
    assert [chunk["chunk_id"] for chunk in chunks] == list(range(len(chunks)))
    at = 0
    for chunk in chunks[:-1]:
        size = len(base64.b64decode(chunk["audio_b64"]))
        assert (chunk["chunk_start_ms"], chunk["chunk_end_ms"]) == (round(at / 48), round((at + size) / 48))
        assert (chunk["sample_rate"], chunk["channels"]) == (24_000, 1)
        at += size
    assert at == len(sound)
    assert (chunks[-1]["chunk_start_ms"], chunks[-1]["chunk_end_ms"]) == (0, round(at / 48))


def test_espeaks_words_are_complete_and_in_order(serve_app):
    app = serve_app()
    said = "The quick brown fox jumps over the lazy dog. It sleeps."
    messages = say(app, said, word_timestamps=True)
    ((_, sound, chunks),) = sentences_of(messages)
    times = times_of(chunks)
    assert [word for word, _, _ in times] == said.replace(".", "").split()
    bounds = [bound for _, start, end in times for bound in (start, end)]
    assert bounds == sorted(bounds)
    assert bounds[-1] <= len(sound) / 48 + 1
    assert all(end > start for _, start, end in times)


def test_timestamps_are_null_for_an_engine_without_word_times(app):
    ((_, sound, chunks),) = sentences_of(say(app, "Hello.", word_timestamps=True))
    assert times_of(chunks) is None
    assert sound == sound_of("Hello.")


@pytest.mark.parametrize("fields", [{"stream_audio": False}, {"response_format": "wav"}])
def test_word_times_need_streamed_pcm(fields, app):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(word_timestamps=True, **fields))
        assert "word_timestamps" in receive(websocket)["message"]


# Invalid requests and failures.

BAD = ["{", "null", "[]", "3", "{}", '{"type": "hello"}', '{"type": "input.text", "text": 3}', "[" * 100_000, b"\0"]
BAD_CONFIGS = [
    {"response_format": "ogg"},
    {"speed": 9},
    {"speed": "fast"},
    {"split_granularity": "word"},
    {"stream_audio": 1},
    {"voice": 3},
    {"voice": "../alice"},
    {"voice": "alice\n"},
    {"voice": "http://evil.example/x"},
    {"voice": "nobody"},
]


@pytest.mark.parametrize("granularity", ["none", "sentence"])
def test_a_session_survives_invalid_messages(granularity, app):
    with app.connect(PATH) as websocket:
        for bad in BAD:
            websocket.send(bad)
            assert kind(receive(websocket)) == "error"
        send_json(websocket, *text("Too early."), DONE)
        assert [kind(receive(websocket)) for _ in range(2)] == ["error", "error"]
        send_json(websocket, config(split_granularity=granularity))
        for bad in BAD:
            websocket.send(bad)
            assert kind(receive(websocket)) == "error"
        send_json(websocket, *text("Hello."), DONE)
        assert texts_of(receive_until(websocket, is_done)) == ["Hello."]


@pytest.mark.parametrize("bad", BAD_CONFIGS)
def test_an_invalid_configuration_keeps_the_previous_one(bad, app, engine):
    with app.connect(PATH) as websocket:
        if "voice" not in bad:
            send_json(websocket, config(**bad), *text("Unheard."))
            assert [kind(receive(websocket)) for _ in range(2)] == ["error", "error"]
        send_json(websocket, config(voice="bob"), config(**bad), *text("Hello."), DONE)
        assert kind(receive(websocket)) == "error"
        receive_until(websocket, is_done)
    assert [(request.text, request.voice) for request in engine.requests] == [("Hello.", "bob")]


@pytest.mark.parametrize("granularity", ["none", "sentence"])
def test_a_text_over_the_limit_is_refused(granularity, serve_app):
    app = serve_app(SteppedEngine(), max_text=50)
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity=granularity), *text("a" * 51))
        assert "50" in receive(websocket)["message"]
        if granularity == "none":
            send_json(websocket, *text("a" * 30, "b" * 30))
            assert "50" in receive(websocket)["message"]
        send_json(websocket, *text("c."), DONE)
        receive_until(websocket, is_done)


def failing(request):
    """Fail before any audio if the text has "once", and after some if it has "later"."""
    if "once" in request.text:
        yield RuntimeError("it failed")
    yield sound_of(request.text)
    if "later" in request.text:
        yield RuntimeError("it broke off")


@pytest.mark.parametrize("granularity", ["none", "sentence"])
@pytest.mark.parametrize("stream_audio", [True, False])
def test_a_truncated_sentence_ends_and_the_session_continues(granularity, stream_audio, app, engine):
    engine.give(failing)
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity=granularity, stream_audio=stream_audio))
        send_json(websocket, *text("This breaks later."), DONE)
        messages = receive_until(websocket, is_done)
        (error,) = [message for message in messages if kind(message) == "error"]
        assert "it broke off" in error["message"]
        assert bool(error.get("partial_audio")) is stream_audio
        done = next(message for message in messages if kind(message) == "audio.done")
        assert done["error"] is True
        assert messages[-1]["total_sentences"] == 1
        send_json(websocket, *text("This is fine."), DONE)
        messages = receive_until(websocket, is_done)
        assert messages[-1] == {"type": "session.done", "utterance_index": 1, "total_sentences": 1}
        assert sentences_of(messages)[0][1] == sound_of("This is fine.")


def test_an_engine_error_before_any_audio_is_an_error_message(app, engine):
    engine.give(failing)
    messages = say(app, "This fails at once.")
    assert [kind(message) for message in messages] == ["error", "session.done"]
    assert "partial_audio" not in messages[0]
    assert messages[1]["total_sentences"] == 0


@pytest.mark.parametrize("granularity", ["none", "sentence"])
def test_a_commit_without_text_or_after_a_failure_is_answered(granularity, app, engine):
    engine.give(failing)
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity=granularity), COMMIT, *text("This fails at once. "), COMMIT)
        kinds = [kind(receive(websocket)) for _ in range(3)]
    assert kinds == ["input.committed", "error", "input.committed"]


def test_further_text_of_a_failed_utterance_is_dropped(app, engine):
    engine.give(failing)
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity="sentence"), *text("This fails at once. And "))
        assert kind(receive(websocket)) == "error"
        send_json(websocket, *text("this is not said. "), {"type": "?"})
        assert kind(receive(websocket)) == "error", "the dropped text got an answer"
        send_json(websocket, *text("Nor this."), DONE, *text("But this."), DONE)
        assert receive(websocket) == {"type": "session.done", "utterance_index": 0, "total_sentences": 0}
        messages = receive_until(websocket, is_done)
        assert (texts_of(messages), messages[-1]["utterance_index"]) == (["But this."], 1)


def test_an_unknown_voice_in_the_first_message_ends_the_session(serve_app):
    app = serve_app(SteppedEngine(voices=[Voice("alice")]))
    with app.connect(PATH) as websocket:
        send_json(websocket, config(voice="nobody"))
        assert receive(websocket)["code"] == "voice_not_found"
        with pytest.raises(ConnectionClosed) as closed:
            receive(websocket)
        assert closed.value.rcvd.code == 1008
    with app.connect(PATH) as websocket:
        send_json(websocket, config(voice="alice"), config(voice="nobody"))
        assert receive(websocket)["code"] == "voice_not_found"
        send_json(websocket, *text("Hello."), DONE)
        assert texts_of(receive_until(websocket, is_done)) == ["Hello."]


def test_streams_over_the_admission_limit_are_refused(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, max_streams=1)
    engine.hold()
    with app.connect(PATH) as first, app.connect(PATH) as second:
        send_json(first, config(), *text("The first."), DONE)
        engine.wait_for_requests(1)
        send_json(second, config(), *text("The second."), DONE)
        assert receive(second)["code"] == "rate_limit_exceeded"
        assert kind(receive(second)) == "session.done"
        engine.let_go()
        assert texts_of(receive_until(first, is_done)) == ["The first."]
        send_json(second, *text("Once more."), DONE)
        assert texts_of(receive_until(second, is_done)) == ["Once more."]


def test_the_queue_timeout_is_an_error(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, queue_timeout=0.1)
    engine.hold()
    messages = say(app, "Hello.")
    assert [kind(message) for message in messages] == ["error", "session.done"]
    assert messages[0]["code"] == "late"
    engine.wait_until_idle()


# Disconnected and stalled clients.


@pytest.fixture
def endless(app, engine):
    engine.give(lambda request: itertools.repeat(sound_of(request.text, 0.1)))
    engine.hold()
    engine.release(2)
    return engine


@pytest.mark.parametrize("granularity", ["none", "sentence"])
@pytest.mark.parametrize("leave", [lambda ws: ws.close(), reset_connection, half_close])
def test_a_disconnect_stops_the_generation(leave, granularity, app, endless):
    with app.connect(PATH) as websocket:
        send_json(websocket, config(split_granularity=granularity), *text("Hello there. And"))
        if granularity == "none":
            send_json(websocket, DONE)
        assert [kind(receive(websocket)) for _ in range(2)] == ["audio.start", "sound"]
        assert endless.live == 1
        leave(websocket)
        endless.wait_until_idle()
        report = app.wait_for_reports(1)[-1]
    assert (report.outcome, report.reason) == ("cancelled", "left")


def test_a_stalled_client_is_dropped(serve_app, no_lead):
    engine = SteppedEngine()
    app = serve_app(engine, stall_timeout=0.2)
    engine.give(lambda request: itertools.repeat(sound_of(request.text, 1.0)))
    with app.connect(PATH, max_queue=1, close_timeout=0.1) as websocket:
        send_json(websocket, config(), *text("Hello."), DONE)
        (report,) = app.wait_for_reports(1)
        assert (report.outcome, report.reason) == ("cancelled", "stalled")
        engine.wait_until_idle()


def test_concurrent_sessions_are_independent(app):
    with contextlib.ExitStack() as sockets:
        sessions = [sockets.enter_context(app.connect(PATH)) for _ in range(8)]
        for number, websocket in enumerate(sessions):
            send_json(websocket, config(), *text(f"Session {number}."), DONE)
        for number, websocket in enumerate(sessions):
            assert sound_in(receive_until(websocket, is_done)) == sound_of(f"Session {number}.")
