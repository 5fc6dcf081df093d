"""The Chatterbox document's endpoints, with regression tests for known faults of its server."""

import base64
import contextlib
import itertools
import json

import pytest

from support.encoding import decoded, encoded
from support.server import Answer, SpeechServer
from support.sessions import half_close, receive, receive_all, receive_until, reset_connection, send_json
from support.speech_app import MONO24, SpeechApp, SteppedEngine, sound_of
from support.threads import in_thread
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.local.chatterbox_presets import PRESETS
from voice_cli.codecs.wav import wav_header
from voice_cli.config import Defaults
from voice_cli.server.settings import Server, ServerSettings

WHOLE, STREAM = "/ws/synthesize", "/ws/synthesize-stream"
SENTENCES = ["This is the first sentence of two.", "And here is the second of them.", "A third stands alone."]
THREE = f"{SENTENCES[0]}\n{SENTENCES[1]}\n\n{SENTENCES[2]}"
INVALID_IDS = [
    "alice\n",
    "../alice",
    "/etc/passwd",
    "a/b",
    "http://evil.example/x",
    "file:x",
    "",
    "a b",
    "..",
    "x" * 101,
    "\0",
]
SPOKEN_LATER = ServerSettings(Server(), defaults=Defaults(flush_after=60.0))


def is_last(message):
    return bool(message.get("is_final")) or message.get("type") == "complete" or "error" in message


def exchange(websocket, request):
    """Send a request to /ws/synthesize; return the audio messages, and the last one."""
    send_json(websocket, request)
    *audio, last = receive_until(websocket, is_last)
    return audio, last


def say_whole(app, text, **fields):
    """Send a text to /ws/synthesize; return the audio of each message, and the last message."""
    with app.connect(WHOLE) as websocket:
        audio, last = exchange(websocket, {"text": text, "voice_id": "alice", **fields})
    assert [message["chunk_index"] for message in audio] == list(range(len(audio)))
    assert not any(message["is_final"] for message in audio)
    return [base64.b64decode(message["audio"]) for message in audio], last


def say_pieces(app, pieces, **fields):
    """Send a text to /ws/synthesize-stream; return the audio of each message, and all messages."""
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init", "voice_id": "alice", **fields})
        assert receive(websocket)["type"] == "ready"
        send_json(websocket, *({"type": "text", "content": piece} for piece in pieces), {"type": "end"})
        messages = receive_until(websocket, is_last)
    return [base64.b64decode(message["audio"]) for message in messages if message["type"] == "audio"], messages


def say_batch(app, text, **fields):
    """Send a text to POST /synthesize; return the audio of each piece."""
    answer = app.request("POST", "/synthesize", {"text": text, "voice_id": "alice", **fields})
    assert answer.status == 200
    audio = answer.json["audio"]
    return [base64.b64decode(piece) for piece in (audio if isinstance(audio, list) else [audio])]


def whole_pcm(app, text):
    """Return the engine's audio of a text, joined."""
    return app.request("POST", "/v1/audio/speech", {"input": text, "response_format": "pcm"}).body


# Audio of each endpoint.

ENDPOINTS = {
    WHOLE: lambda app, text, **fields: say_whole(app, text, **fields)[0],
    STREAM: lambda app, text, **fields: say_pieces(app, [text], **fields)[0],
    "/synthesize": say_batch,
}


@pytest.fixture(params=ENDPOINTS)
def say(request, app):
    return lambda text, **fields: ENDPOINTS[request.param](app, text, **fields)


def test_pcm_equals_the_engines_samples(say, app):
    assert b"".join(say(THREE, output_format="pcm")) == whole_pcm(app, THREE)


def test_mulaw_chunks_equal_the_whole_audio_converted_at_once(say, app, engine):
    engine.give(lambda request: [sound_of(request.text, 0.2113)])
    frames = say(THREE)
    _, whole = encoded("mulaw", MONO24, whole_pcm(app, THREE))
    assert b"".join(frames) == whole + b"\xff" * (-len(whole) % 160)


def test_every_frame_has_160_bytes_across_chunks_and_utterances(say, engine):
    engine.give(lambda request: [sound_of(request.text, 0.2113)])
    assert {len(frame) for frame in say(THREE)} == {160}


def test_wav_has_one_header_per_stream(say, app):
    pieces = say(THREE, output_format="wav")
    sound = b"".join(pieces)
    assert sound.count(b"RIFF") == sound.count(b"WAVE") == 1
    assert sound == wav_header(MONO24, None) + whole_pcm(app, THREE)


CHUNK_FRAMES = [1, 119, 1, 1, 120, 121, 5, 2_000, 1, 7, 80, 240, 3]
"""Chunk lengths in frames: the document's server drops chunks below 120 and raises at 1."""


def short_chunks(request):
    pcm = sound_of(request.text)
    at = 0
    for frames in itertools.cycle(CHUNK_FRAMES):
        if at == len(pcm):
            return
        yield pcm[at : at + 2 * frames]
        at = min(len(pcm), at + 2 * frames)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_short_chunks_are_kept_and_joined_without_padding(endpoint, serve_app):
    app = serve_app(SteppedEngine(short_chunks))
    text = "Cut as nobody would cut it."
    assert b"".join(ENDPOINTS[endpoint](app, text, output_format="pcm")) == sound_of(text)
    _, whole = encoded("mulaw", MONO24, sound_of(text))
    assert b"".join(ENDPOINTS[endpoint](app, text)) == whole + b"\xff" * (-len(whole) % 160)


def test_a_long_chunk_is_sent_whole(serve_app):
    pcm = sound_of("long", 40.0)
    app = serve_app(SteppedEngine(lambda _request: [pcm]))
    assert b"".join(say_whole(app, "Long.", output_format="pcm")[0]) == pcm


def test_pcm_keeps_and_reports_the_engines_rate(serve_app):
    audio_format = AudioFormat(22_050, 1)
    app = serve_app(SteppedEngine(audio_format=audio_format))
    with app.connect(WHOLE) as websocket:
        audio, _ = exchange(websocket, {"text": "Hello.", "output_format": "wav"})
    assert {(message["format"], message["sample_rate"]) for message in audio} == {("wav", 22_050)}
    data = b"".join(base64.b64decode(message["audio"]) for message in audio)
    assert decoded(Encoding("wav", audio_format), data) == sound_of("Hello.", audio_format=audio_format)


# Messages.


def test_the_last_message_reports_totals(app):
    frames, last = say_whole(app, THREE)
    assert last["audio"] is None
    assert last["is_final"] is True
    assert last["chunk_index"] == last["total_chunks"] == last["total_mulaw_chunks"] == len(frames)
    assert 0 < last["first_chunk_ms"] <= last["total_ms"]
    assert last["latency"]["total"] > 0
    assert last["backend"] == "made"


def test_only_mulaw_is_counted_as_mulaw(app):
    _, last = say_whole(app, THREE, output_format="pcm")
    assert last["total_mulaw_chunks"] == 0 < last["total_chunks"]


def test_a_session_synthesizes_texts_in_order(app, engine):
    with app.connect(WHOLE) as websocket:
        send_json(websocket, {"text": "One.", "output_format": "pcm"}, {"text": "Two.", "output_format": "pcm"})
        for text in ("One.", "Two."):
            *audio, _ = receive_until(websocket, is_last)
            assert audio[0]["chunk_index"] == 0
            assert b"".join(base64.b64decode(message["audio"]) for message in audio) == sound_of(text)
    assert [request.text for request in engine.requests] == ["One.", "Two."]


def test_a_stream_reports_each_sentence(app):
    _, messages = say_pieces(app, [THREE], output_format="pcm")
    kinds = [message["type"] for message in messages]
    assert kinds[-1] == "complete"
    ends = [message for message in messages if message["type"] == "sentence_complete"]
    assert [THREE[: end["text_end"]].rpartition("\n")[2].strip() for end in ends] == SENTENCES
    assert sum(end["chunks_in_sentence"] for end in ends) == kinds.count("audio") == messages[-1]["total_chunks"]
    heard = 0
    for message in messages:
        if message["type"] == "audio":
            heard += len(base64.b64decode(message["audio"]))
        elif message["type"] == "sentence_complete":
            assert message["audio_ms"] == pytest.approx(heard / 48, abs=0.1)


def test_audio_is_sent_before_the_text_ends(app, engine):
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init"}, {"type": "text", "content": "The first sentence is here. And"})
        assert receive(websocket)["type"] == "ready"
        assert receive(websocket)["type"] == "audio"
        send_json(websocket, {"type": "text", "content": " more."}, {"type": "end"})
        assert receive_until(websocket, is_last)[-1]["type"] == "complete"
    assert [request.text for request in engine.requests] == ["The first sentence is here.", "And more."]


def test_texts_of_a_session_are_not_joined(app, engine):
    with app.connect(STREAM) as websocket:
        for text in ("One", "Two"):
            send_json(websocket, {"type": "init"}, {"type": "text", "content": text}, {"type": "end"})
            messages = receive_until(websocket, is_last)
            assert messages[0]["type"] == "ready"
            assert messages[1]["chunk_index"] == 0
    assert [request.text for request in engine.requests] == ["One", "Two"]


def test_an_empty_text_completes_without_a_first_chunk(app, engine):
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init"}, {"type": "end"})
        assert receive(websocket)["type"] == "ready"
        complete = receive(websocket)
    assert complete["type"] == "complete"
    assert complete["total_chunks"] == 0
    assert complete.get("first_chunk_ms") is None
    assert engine.requests == []


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_an_engine_without_audio_is_an_error(path, serve_app):
    app = serve_app(SteppedEngine(lambda request: [] if request.text != "Hi." else [bytes(20)]))
    with app.connect(path) as websocket:
        send_json(websocket, {"text": "Hello."}) if path == WHOLE else send_json(
            websocket, {"type": "init"}, {"type": "text", "content": "Hello."}, {"type": "end"}
        )
        assert "no sound" in receive_until(websocket, is_last)[-1]["error"]


def test_an_engine_failure_is_an_error_and_the_session_continues(serve_app):
    def pieces(request):
        yield sound_of(request.text)
        if "fail" in request.text:
            yield RuntimeError("it broke")

    app = serve_app(SteppedEngine(pieces))
    with app.connect(WHOLE) as websocket:
        audio, last = exchange(websocket, {"text": "Now fail.", "output_format": "pcm"})
        assert "it broke" in last["error"]
        audio, last = exchange(websocket, {"text": "Now speak.", "output_format": "pcm"})
        assert b"".join(base64.b64decode(message["audio"]) for message in audio) == sound_of("Now speak.")
        assert last["is_final"]
    assert [report.outcome for report in app.reports] == ["truncated", None]


# The splitter, fed through the socket character by character.


def spoken(app, engine, text):
    say_pieces(app, text)
    said = [request.text for request in engine.requests]
    engine.requests.clear()
    return said


def test_the_text_is_not_split_inside_words_and_times(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, settings=SPOKEN_LATER)
    said = spoken(
        app, engine, "Well, this is a longer test sentence. Please come and visit at 3.30 pm. Bring some food."
    )
    assert said[0] == "Well, this is a longer test sentence."
    assert any("3.30 pm" in text for text in said)


def test_chinese_is_split(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, settings=SPOKEN_LATER)
    said = spoken(app, engine, "今天天气很好。我们去公园吧！你说呢？好的。")
    assert said[0] == "今天天气很好。"
    assert len(said) > 1


def test_text_without_punctuation_is_buffered_up_to_a_limit(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, settings=SPOKEN_LATER)
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init"})
        send_json(websocket, *({"type": "text", "content": "and so on "} for _ in range(100)))
        assert receive_until(websocket, lambda message: message["type"] == "sentence_complete")
    assert all(len(request.text) <= 400 for request in engine.requests)


def test_a_flush_speaks_buffered_text(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, settings=SPOKEN_LATER)
    sent = ""
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init"})
        for said in ("No mark", "No mark and *Markdown*. ", "No mark and *Markdown*. Again"):
            send_json(websocket, {"type": "text", "content": said[len(sent) :], "flush": True})
            sent = said
            end = receive_until(websocket, lambda message: message["type"] == "sentence_complete")[-1]
            assert end["text_end"] == len(sent)
    assert [request.text for request in engine.requests] == ["No mark", "and Markdown.", "Again"]


# Voices.


@pytest.mark.parametrize("voice", INVALID_IDS)
def test_an_invalid_voice_id_is_refused_everywhere(voice, app, engine):
    with app.connect(WHOLE) as websocket:
        assert "error" in exchange(websocket, {"text": "Hello.", "voice_id": voice})[1]
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init", "voice_id": voice})
        assert receive(websocket)["type"] == "error"
    for method, path, body in (
        ("POST", "/synthesize", {"text": "Hello.", "voice_id": voice}),
        ("POST", "/preload", ["alice", voice]),
        ("POST", "/warmup?voice_id=" + "".join(f"%{byte:02x}" for byte in voice.encode()), None),
    ):
        answer = app.request(method, path, body)
        assert answer.status == 400, (path, answer)
    assert engine.requests == []


def test_a_failed_init_keeps_no_voice(app, engine):
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init", "voice_id": "alice"})
        assert receive(websocket)["type"] == "ready"
        send_json(websocket, {"type": "init", "voice_id": "nobody"})
        assert receive(websocket)["code"] == "voice_not_found"
        send_json(websocket, {"type": "text", "content": "Whose voice? "}, {"type": "end"})
        assert [receive(websocket)["code"] for _ in range(2)] == ["no_session", "no_session"]
    assert engine.requests == []


def test_the_requested_voice_reaches_the_engine(say, app, engine):
    say("Hello.", voice_id="bob")
    assert [request.voice for request in engine.requests] == ["bob"]


def test_preload_reports_which_voices_exist(app):
    answer = app.request("POST", "/preload", ["alice", "nobody"])
    assert answer.json["preloaded"] == {"alice": True, "nobody": False}


def test_preload_fetches_missing_voices(serve_app, tmp_path):
    with SpeechServer(lambda request: Answer(b"voice", status=404 if "nobody" in request.path else 200)) as place:
        app = serve_app(
            SteppedEngine(voices=[]),
            engine="chatterbox",
            voices_url=place.url.removesuffix("/v1") + "/{voice}.wav",
            voices_cache=str(tmp_path),
        )
        answer = app.request("POST", "/preload", ["alice", "nobody"])
        assert answer.json == {"preloaded": {"alice": True, "nobody": False}, "cache_stats": {"voices": 1}}
        assert (tmp_path / "alice.wav").read_bytes() == b"voice"
        assert len(place.requests) == 2
        assert app.request("POST", "/preload", ["alice"]).json["preloaded"] == {"alice": True}
        assert len(place.requests) == 2


@pytest.mark.parametrize(
    ("path", "body"), [("/synthesize", {"text": "Hello.", "voice_id": "alice"}), ("/warmup?voice_id=alice", None)]
)
@pytest.mark.parametrize(("limits", "code"), [({"max_seconds": 0.2}, "late"), ({"drain_timeout": 0}, "draining")])
def test_a_stream_that_the_server_ends_gets_503(path, body, limits, code):
    engine = SteppedEngine()
    app = SpeechApp(engine, **limits)
    engine.hold()
    answer = in_thread(lambda: app.request("POST", path, body))
    engine.wait_for_requests(1)
    if code == "draining":
        app.close()
    assert (answer().status, answer().json["error"]["code"]) == (503, code)
    app.close()


def test_warmup_synthesizes_a_word_with_the_voice(app, engine):
    answer = app.request("POST", "/warmup?voice_id=bob")
    assert answer.json["ready"] is True
    assert [(request.text, request.voice, request.options["preset"]) for request in engine.requests] == [
        ("Hi.", "bob", "realtime")
    ]


# Presets.


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_reach_the_engine(preset, say, engine):
    say(THREE, preset=preset)
    assert len(engine.requests) == 3
    assert {request.options["preset"] for request in engine.requests} == {preset}


def test_default_presets_are_those_of_the_document(app, engine):
    say_whole(app, "Hello.")
    say_pieces(app, ["Hello."])
    say_batch(app, "Hello.")
    assert [request.options["preset"] for request in engine.requests] == ["balanced", "adaptive", "balanced"]


def test_an_unknown_preset_is_refused(app, engine):
    with app.connect(WHOLE) as websocket:
        assert "preset" in exchange(websocket, {"text": "Hello.", "preset": "loud"})[1]["error"]
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init", "preset": "loud"})
        assert "preset" in receive(websocket)["error"]
    assert app.request("POST", "/synthesize", {"text": "a", "voice_id": "alice", "preset": "loud"}).status == 400
    assert engine.requests == []


def test_the_speed_reaches_the_engine(say, engine):
    say("Hello.", speed=1.5)
    assert [request.speed for request in engine.requests] == [1.5]


# Invalid requests and limits.

BAD = [
    "{",
    "[1, 2",
    "null",
    "3",
    '"text"',
    "[]",
    "{}",
    '{"text": 3}',
    '{"text": ""}',
    '{"text": " \\n"}',
    '{"text": "a", "output_format": "mp3"}',
    '{"text": "a", "speed": 9}',
    '{"text": "a", "speed": NaN}',
    '{"type": "hello"}',
    '{"type": "text"}',
    '{"type": "text", "content": 3}',
    '{"type": "end"}',
    "[" * 100_000,
    b"\0\1",
]


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_a_session_survives_invalid_messages(path, app, engine):
    with app.connect(path) as websocket:
        for bad in BAD:
            websocket.send(bad)
            assert "error" in receive(websocket), bad
        if path == WHOLE:
            assert exchange(websocket, {"text": "Hello."})[1]["is_final"]
        else:
            send_json(websocket, {"type": "init"}, {"type": "text", "content": "Hello."}, {"type": "end"})
            assert receive_until(websocket, is_last)[-1]["type"] == "complete"
    assert [request.text for request in engine.requests] == ["Hello."]


def test_errors_have_the_endpoints_shape(app):
    with app.connect(WHOLE) as websocket:
        assert "type" not in exchange(websocket, {})[1]
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "end"})
        assert receive(websocket)["type"] == "error"


def test_texts_over_the_limit_are_refused(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, max_text=50)
    with app.connect(WHOLE) as websocket:
        assert exchange(websocket, {"text": "a" * 51})[1]["code"] == "too_long"
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init"}, {"type": "text", "content": "a" * 51})
        assert receive(websocket)["type"] == "ready"
        assert receive(websocket)["code"] == "too_long"
    assert app.request("POST", "/synthesize", {"text": "a" * 51, "voice_id": "alice"}).status == 400
    assert engine.requests == []


def test_a_message_over_the_size_limit_ends_the_session(app):
    with app.connect(WHOLE) as websocket:
        websocket.send(json.dumps({"text": "a" * (1 << 20)}))
        assert receive_all(websocket).code == 1009


def test_a_session_limits_its_queued_texts(app, engine):
    engine.hold()
    with app.connect(WHOLE) as websocket:
        send_json(websocket, *({"text": "Hello."} for _ in range(70)))
        assert receive(websocket)["code"] == "rate_limit_exceeded"


def test_streams_over_the_admission_limit_are_refused(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, max_streams=1)
    engine.hold()
    with app.connect(WHOLE) as first, app.connect(WHOLE) as second:
        send_json(first, {"text": "Hello."})
        engine.wait_for_requests(1)
        assert exchange(second, {"text": "Hello."})[1]["code"] == "rate_limit_exceeded"
        assert app.request("POST", "/synthesize", {"text": "a", "voice_id": "alice"}).status == 429
        engine.let_go()
        assert receive_until(first, is_last)[-1]["is_final"]
        assert exchange(second, {"text": "Hello."})[1]["is_final"], "the limit is still reached"


# Active streams, disconnects and shutdown.


def begin(websocket, path):
    """Request an endless text, and receive its first audio."""
    if path == WHOLE:
        send_json(websocket, {"text": "Hello."})
    else:
        send_json(websocket, {"type": "init"}, {"type": "text", "content": "Hello there. More"})
        assert receive(websocket)["type"] == "ready"
    assert receive(websocket)["audio"]


@pytest.fixture
def endless(serve_app):
    """Return a server whose engine generates endless audio, 50 ms for each release."""
    engine = SteppedEngine(
        lambda request: itertools.repeat(sound_of(request.text, 0.05)) if request.text != "Hi." else [bytes(9600)]
    )
    app = serve_app(engine)
    engine.hold()
    engine.release(2)
    return app, engine


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_health_responds_during_generation(path, endless):
    app, engine = endless
    with app.connect(path) as websocket:
        begin(websocket, path)
        assert engine.live == 1
        health = app.request("GET", "/health")
        assert health.status == 200
        assert health.json["streams"] == 1


@pytest.mark.parametrize("leave", [lambda ws: ws.close(), reset_connection, half_close])
@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_a_disconnect_stops_the_generation(path, leave, endless):
    app, engine = endless
    with app.connect(path) as websocket:
        begin(websocket, path)
        assert engine.live == 1
        leave(websocket)
        engine.wait_until_idle()
        (report,) = app.wait_for_reports(1)
    assert (report.outcome, report.reason) == ("cancelled", "left")


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_a_stalled_client_is_dropped(path, serve_app, no_lead):
    engine = SteppedEngine(
        lambda request: itertools.repeat(sound_of(request.text, 1.0)) if request.text != "Hi." else [bytes(9600)]
    )
    app = serve_app(engine, stall_timeout=0.2)
    with app.connect(path, max_queue=1, close_timeout=0.1) as websocket:
        send_json(websocket, {"text": "Hello.", "output_format": "pcm"}) if path == WHOLE else send_json(
            websocket, {"type": "init", "output_format": "pcm"}, {"type": "text", "content": "Hello there. More"}
        )
        (report,) = app.wait_for_reports(1)
        assert (report.outcome, report.reason) == ("cancelled", "stalled")
        engine.wait_until_idle()


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_cancel_stops_the_speech_and_keeps_the_session(path, endless):
    app, engine = endless
    with app.connect(path) as websocket:
        begin(websocket, path)
        send_json(websocket, {"type": "cancel"})
        complete = receive_until(websocket, is_last)[-1]
        assert complete["cancelled"] is True
        assert complete.get("first_chunk_ms") is None
        engine.wait_until_idle()
        engine.release(2)
        begin(websocket, path)
    assert app.wait_for_reports(1)[0].reason == "asked"


def test_a_new_init_ends_the_previous_text(app, engine):
    with app.connect(STREAM) as websocket:
        send_json(websocket, {"type": "init"}, {"type": "text", "content": "One"}, {"type": "init", "voice_id": "bob"})
        send_json(websocket, {"type": "text", "content": "Two"}, {"type": "end"})
        kinds = [message["type"] for message in receive_until(websocket, is_last)]
        kinds += [message["type"] for message in receive_until(websocket, is_last)]
    assert kinds.count("complete") == kinds.count("ready") == 2
    assert [(request.text, request.voice) for request in engine.requests] == [("One", None), ("Two", "bob")]


def test_a_shutdown_closes_the_session_as_going_away(endless):
    app, _engine = endless
    with app.connect(WHOLE) as websocket:
        begin(websocket, WHOLE)
        app.stop()
        assert receive_all(websocket).code in (1001, 1012)


def test_all_sessions_end_at_shutdown():
    engine = SteppedEngine()
    with contextlib.ExitStack() as sockets, SpeechApp(engine) as app:
        engine.hold()
        for _ in range(5):
            send_json(sockets.enter_context(app.connect(WHOLE)), {"text": "Hello."})
        engine.wait_for_requests(1)
    engine.wait_until_idle()
    assert {report.reason for report in app.reports} == {"shutdown"}
