"""OpenAI's API with its SDK, curl and `voice say`."""

import base64
import http.client
import json
import subprocess
import wave
from contextlib import closing

import openai
import pytest

from support import material
from support.command import run_voice
from support.encoding import LEAD, decoded, encoded, likeness, mono
from support.environment import cleaned
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from support.streams import collect
from support.threads import WAIT
from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.http import HttpBackend
from voice_cli.codecs import opus
from voice_cli.codecs.media_types import encoding_of
from voice_cli.errors import EngineError, RateLimitError, ServerError, TruncatedAudio, UsageError

MONO = AudioFormat(24_000, 1)
TEXT = "First one.\n\nSecond one, with a clause.\n\nThird."
SPOKEN = ("First one.", "Second one, with a clause.", "Third.")
WHOLE = bytes(2 * 7200).join(sound_of(text) for text in SPOKEN)
"""The fake engine's audio of TEXT, with the pauses."""
SPEECH = {"model": "tts-1", "voice": "alloy", "input": TEXT}
TYPES = {
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    cleaned(monkeypatch)


@pytest.fixture(autouse=True)
def _one_serial(monkeypatch):
    monkeypatch.setattr(opus, "getrandbits", lambda bits: 7)


@pytest.fixture(scope="module")
def app():
    """Return a server with a deterministic engine."""
    with SpeechApp(SteppedEngine(), max_text=1000) as app:
        yield app


@pytest.fixture(scope="module")
def espeak():
    with SpeechApp() as app:
        yield app


def client_of(app, key="sk-1"):
    """Return the SDK's client, a context manager."""
    return openai.OpenAI(base_url=f"{app.url}/v1", api_key=key, max_retries=0, timeout=WAIT)


def curl(app, *arguments, path="/v1/audio/speech"):
    command = ["curl", "-sS", "--max-time", str(WAIT), *arguments, app.url + path]
    return subprocess.run(command, capture_output=True, check=False)


# The official SDK.


@pytest.mark.parametrize("codec", CODECS)
def test_the_streamed_audio_equals_the_whole(app, codec):
    encoding, whole = encoded(codec, MONO, WHOLE)
    with client_of(app) as client:
        ask = client.audio.speech.with_streaming_response.create
        with ask(model="tts-1", voice="alloy", input=TEXT, response_format=codec) as answer:
            assert answer.headers["content-type"].startswith(TYPES[codec])
            pieces = list(answer.iter_bytes())
        assert b"".join(pieces) == whole
        read = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=codec).read()
        assert read == whole
    heard = mono(encoding.format, decoded(encoding, whole))
    said = mono(MONO, WHOLE)
    if codec in ("pcm", "wav", "flac"):
        assert heard.tolist() == said.tolist()
    else:
        heard = heard[:: encoding.format.rate // MONO.rate][LEAD.get(codec, 0) :]
        assert likeness(heard[: len(said)], said[: len(heard)]) > 0.5  # noise is the worst case for a codec


def test_audio_is_sent_during_generation():
    engine = SteppedEngine()
    with SpeechApp(engine) as app, client_of(app) as client:
        engine.hold()
        engine.release()
        ask = client.audio.speech.with_streaming_response.create
        with ask(model="tts-1", voice="alloy", input="Hello.", response_format="pcm") as answer:
            pieces = answer.iter_bytes()
            first = next(pieces)
            assert engine.given == 1
            engine.let_go()
            assert first + b"".join(pieces) == sound_of("Hello.")


@pytest.mark.parametrize("voice", ["bob", {"id": "bob"}], ids=str)
def test_a_voice_may_be_a_name_or_an_object(voice):
    engine = SteppedEngine()
    with SpeechApp(engine) as app, client_of(app) as client:
        client.audio.speech.create(
            model="anything", voice=voice, input="Hi.", response_format="pcm", speed=1.5, instructions="calmly"
        ).read()
    (request,) = engine.requests
    assert (request.voice, request.speed, request.instructions) == ("bob", 1.5, "calmly")


def test_openais_voice_names_select_the_default_voice(app, espeak):
    for one in (app, espeak):
        with client_of(one) as client:
            for voice in ("alloy", "marin"):
                answer = client.audio.speech.create(model="tts-1", voice=voice, input="Hi.", response_format="pcm")
                assert len(answer.read()) > 1000


def test_models_and_voices_are_listed(app):
    with client_of(app) as client:
        models = [model.id for model in client.models.list()]
    assert models == ["espeak", "gpt-4o-mini-tts", "tts-1", "tts-1-hd"]
    assert app.request("GET", "/v1/audio/voices").json == {
        "voices": [
            {"id": "alice", "name": "Alice", "language": "en", "gender": ""},
            {"id": "bob", "name": "Bob", "language": "de", "gender": ""},
        ]
    }


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"input": ""}, "input", "string_too_short"),
        ({"input": " \n "}, "input", "invalid_value"),
        ({"input": "x" * 1001}, "input", "too_long"),
        ({"input": None}, "input", "string_type"),
        ({"response_format": "mp4"}, "response_format", "literal_error"),
        ({"speed": 9}, "speed", "less_than_equal"),
        ({"speed": "fast"}, "speed", "float_parsing"),
        ({"voice": "../etc/passwd"}, None, None),
        ({"voice": "alice\n"}, None, None),
        ({"voice": {"id": "http://evil.example/x"}}, None, None),
        ({"voice": {"name": "alice"}}, None, None),
        ({"stream_format": "json"}, "stream_format", "literal_error"),
        ({"extra_body": {"sample_rate": 8001}}, "sample_rate", "literal_error"),
    ],
    ids=str,
)
def test_invalid_parameters_are_a_bad_request(app, changes, param, code):
    with client_of(app) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.speech.create(**{**SPEECH, **changes})
        error = caught.value
        assert error.status_code == 400
        assert error.type == "invalid_request_error"
        assert error.body["message"]
        if code:
            assert (error.param, error.code) == (param, code)


def test_an_unknown_voice_is_a_bad_request(espeak):
    with client_of(espeak) as client, pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="tts-1", voice="nobody", input="Hi.")
    assert caught.value.code == "voice_not_found"
    assert "--" not in caught.value.response.text
    assert "voice voices" not in caught.value.response.text


def test_the_code_of_an_unknown_voice_ignores_the_engines_message(serve_app):
    error = UsageError("no such speaker", hint="--voice NAME; `voice voices` lists them")
    app = serve_app(SteppedEngine(lambda request: [error if request.text == "Say it." else sound_of("warm-up")]))
    answer = app.request("POST", "/v1/audio/speech", {"input": "Say it.", "voice": "nobody"})
    assert (answer.status, answer.json["error"]["code"]) == (400, "voice_not_found")
    assert "--" not in answer.body.decode()
    assert "voice voices" not in answer.body.decode()
    answer = app.request("POST", "/v1/audio/speech", {"input": "Say it.", "voice": "alice"})
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_value")


def test_a_wrong_key_is_an_authentication_error():
    with SpeechApp(SteppedEngine(), keys=["sk-right"]) as app:
        with client_of(app, "sk-right") as client:
            assert client.models.list().data
        with client_of(app, "sk-wrong") as client, pytest.raises(openai.AuthenticationError) as caught:
            client.audio.speech.create(**SPEECH)
        assert caught.value.code == "invalid_api_key"


def test_streams_over_the_admission_limit_are_a_rate_limit_error():
    engine = SteppedEngine()
    with SpeechApp(engine, max_streams=1) as app, client_of(app) as client:
        engine.hold()
        engine.release()
        with client.audio.speech.with_streaming_response.create(**SPEECH):
            with pytest.raises(openai.RateLimitError) as caught:
                client.audio.speech.create(**SPEECH)
            assert caught.value.response.headers["retry-after"] == "1"
            engine.let_go()


def test_a_failure_before_the_first_audio_has_a_status():
    with (
        SpeechApp(SteppedEngine(lambda request: [EngineError("out of breath")] * (request.text != "Hi."))) as app,
        client_of(app) as client,
    ):
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.speech.create(**SPEECH)
        assert (caught.value.status_code, caught.value.code) == (500, "engine_error")
        assert caught.value.body["message"] == "out of breath"


def test_the_queue_timeout_is_503():
    engine = SteppedEngine()
    with SpeechApp(engine, queue_timeout=0.1) as app, client_of(app) as client:
        engine.hold()
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.speech.create(**SPEECH)
        assert (caught.value.status_code, caught.value.code) == (503, "late")
        assert caught.value.response.headers["retry-after"]


def test_an_unknown_path_is_404_in_openais_shape(app):
    with client_of(app) as client, pytest.raises(openai.NotFoundError) as caught:
        client.files.list()
    assert caught.value.code == "not_found"


# Truncated streams.


def breaking(request):
    """Fail before the end of the second utterance."""
    sound = sound_of(request.text)
    return [sound[:4000], EngineError("out of breath")] if request.text == SPOKEN[1] else [sound]


@pytest.mark.parametrize("codec", CODECS)
def test_a_truncated_body_is_left_incomplete(codec):
    with SpeechApp(SteppedEngine(breaking)) as app:
        done = curl(app, "--json", json.dumps({**SPEECH, "response_format": codec}))
        assert done.returncode == 18, "curl: transfer closed with outstanding read data remaining"
        assert done.stdout

        with client_of(app) as client:
            ask = client.audio.speech.with_streaming_response.create
            with (
                pytest.raises(Exception, match="incomplete chunked read"),  # from its HTTP library
                ask(**SPEECH, response_format=codec) as answer,
            ):
                list(answer.iter_bytes())

        with closing(HttpBackend(f"{app.url}/v1", timeout=WAIT)) as backend:
            sound, error = collect(backend.synthesize(SpeechRequest(TEXT, codec=codec)))
        assert isinstance(error, TruncatedAudio)
        if codec == "pcm":
            assert WHOLE.startswith(sound)
            assert len(sound) > len(sound_of(SPOKEN[0]))


def test_the_http_backend_recognizes_the_errors():
    engine = SteppedEngine()
    with SpeechApp(engine, max_streams=1, max_text=100) as app:
        backend = HttpBackend(f"{app.url}/v1", timeout=WAIT)
        assert collect(backend.synthesize(SpeechRequest(TEXT))) == (WHOLE, None)
        _, error = collect(backend.synthesize(SpeechRequest("x" * 101)))
        assert isinstance(error, ServerError | UsageError)
        assert "101 characters" in error.message
        engine.hold()
        engine.release()
        first = iter(backend.synthesize(SpeechRequest(TEXT)))
        next(first)
        other = HttpBackend(f"{app.url}/v1", timeout=WAIT)
        _, error = collect(other.synthesize(SpeechRequest(TEXT)))
        assert isinstance(error, RateLimitError)
        first.close()
        other.close()
        backend.close()
        engine.wait_until_idle()
    assert [report.reason for report in app.reports][-1] == "left"


# Server-sent events.


def events_of(body):
    """Parse server-sent events: kind and data."""
    events = []
    for block in body.decode().split("\n\n"):
        if block:
            kind, data = block.split("\n")
            events.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


@pytest.mark.parametrize("codec", CODECS)
def test_events_carry_the_same_bytes(app, codec):
    with client_of(app) as client:
        answer = client.audio.speech.create(**SPEECH, response_format=codec, stream_format="sse")
        assert answer.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        events = events_of(answer.read())
    assert all(kind == data["type"] for kind, data in events)
    *deltas, (last, done) = events
    assert {kind for kind, _ in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(data["audio"]) for _, data in deltas) == encoded(codec, MONO, WHOLE)[1]
    assert last == "speech.audio.done"
    assert set(done["usage"]) >= {"input_tokens", "output_tokens", "total_tokens"}
    assert done["usage"]["characters"] == len(TEXT)
    assert done["audio_seconds"] == round(MONO.seconds(len(WHOLE) // 2), 3)
    assert done["latency"]["total"] > 0


def test_a_truncated_stream_ends_with_an_error_event():
    engine = SteppedEngine(breaking)
    engine.notes = ["it does not stream"]
    with SpeechApp(engine) as app:
        answer = app.request("POST", "/v1/audio/speech", {**SPEECH, "stream_format": "sse"})
        kind, data = events_of(answer.body)[-1]
        assert (answer.status, kind) == (200, "error")
        assert data["error"] == {
            "message": "out of breath; tried 3 times",
            "type": "server_error",
            "param": None,
            "code": "engine_error",
        }
        done = events_of(app.request("POST", "/v1/audio/speech", {"input": "Hi.", "stream_format": "sse"}).body)[-1]
        assert done[1]["notes"] == ["it does not stream"]


# curl, ffmpeg and other clients.


@pytest.mark.parametrize("codec", CODECS)
def test_curl_saves_a_playable_file(espeak, tmp_path, codec):
    file = tmp_path / f"hello.{codec}"
    body = {"input": "Hello there. This is a test.", "response_format": codec}
    done = curl(espeak, "--json", json.dumps(body), "-o", file)
    assert (done.returncode, done.stderr) == (0, b"")
    if codec == "pcm":
        assert 1 < len(file.read_bytes()) / 48_000 < 6
        return
    shown = ["-show_entries", "format=format_name:stream=codec_name,sample_rate,channels"]
    probed = subprocess.run(["ffprobe", "-v", "error", *shown, "-of", "json", file], capture_output=True, check=True)
    (stream,) = json.loads(probed.stdout)["streams"]
    name = {"wav": "pcm_s16le"}.get(codec, codec)
    assert (stream["codec_name"], stream["channels"], probed.stderr) == (name, 1, b"")
    played = subprocess.run(["ffmpeg", "-v", "error", "-i", file, "-f", "s16le", "-"], capture_output=True, check=True)
    assert 1 < len(played.stdout) / 2 / int(stream["sample_rate"]) < 6


def test_a_wav_of_unknown_length_is_read_to_its_end(app, tmp_path):
    """Its header declares the largest length; ffmpeg and our reader read to the end of the file."""
    body = app.request("POST", "/v1/audio/speech", {**SPEECH, "response_format": "wav"}).body
    assert body.count(b"RIFF") == 1
    piped = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "pipe:0", "-f", "s16le", "-"], input=body, capture_output=True, check=True
    )
    assert (piped.stdout, piped.stderr) == (WHOLE, b"")
    assert material.reference(body, "wav") == (MONO, WHOLE)
    file = tmp_path / "speech.wav"
    file.write_bytes(body)
    with wave.open(str(file)) as reader:
        assert reader.readframes(10**9) == WHOLE


@pytest.mark.parametrize("rate", [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("codec", CODECS)
def test_the_requested_rate_is_sent(app, codec, rate):
    answer = app.request("POST", "/v1/audio/speech", {**SPEECH, "response_format": codec, "sample_rate": rate})
    assert answer.body == encoded(codec, MONO, WHOLE, rate=None if codec == "opus" else rate)[1]
    if codec == "pcm":
        assert encoding_of(answer.headers["content-type"]) == Encoding("pcm", AudioFormat(rate, 1))


def test_pcm_is_24_khz_for_any_engine_rate(espeak):
    answer = espeak.request("POST", "/v1/audio/speech", {"input": "Hello.", "response_format": "pcm"})
    assert encoding_of(answer.headers["content-type"]) == Encoding("pcm", MONO)
    own = espeak.request("POST", "/v1/audio/speech", {"input": "Hello.", "response_format": "wav"})
    assert material.reference(own.body, "wav")[0].rate == 22_050


def test_unknown_fields_are_ignored(app):
    assert app.request("POST", "/v1/audio/speech", {"input": "Hi.", "lang_code": "a", "stream": True}).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "missing"), (b"{", "json_invalid"), (b"[]", None), (b"null", None), (b'{"input": 1}', "string_type")],
)
def test_an_unreadable_body_is_refused(app, body, code):
    answer = app.request("POST", "/v1/audio/speech", body)
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
    assert code in (None, answer.json["error"]["code"])


def test_a_response_has_server_timing(app):
    answer = app.request("POST", "/v1/audio/speech", {**SPEECH, "response_format": "pcm"})
    timing = dict(one.split(";dur=") for one in answer.headers["server-timing"].split(", "))
    assert [stage for stage in timing if stage != "encoded"] == ["voice", "queued", "generated", "total"]
    assert all(float(value) >= 0 for value in timing.values())
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["transfer-encoding"] == "chunked"


def test_a_disconnect_stops_the_generation():
    engine = SteppedEngine()
    with SpeechApp(engine) as app:
        engine.hold()
        engine.release()
        connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=WAIT)
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v1/audio/speech", json.dumps({**SPEECH, "response_format": "pcm"}), headers)
        answer = connection.getresponse()
        assert answer.read(2000)
        answer.close()
        connection.close()
        engine.wait_until_idle()
        (report,) = app.wait_for_reports(1)
    assert (report.outcome, report.reason) == ("cancelled", "left")


@pytest.mark.parametrize("codec", CODECS)
def test_voice_say_receives_the_whole_audio(app, tmp_path, codec):
    done = run_voice(
        *("say", TEXT, "--base-url", f"{app.url}/v1", "--format", codec, "--no-play", "-o", "said.wav", "--json"),
        folder=tmp_path,
    )
    assert done.code == 0, done.err
    assert done.json["outcome"] == "complete"
    with wave.open(str(tmp_path / "said.wav")) as reader:
        seconds = reader.getnframes() / reader.getframerate()
        if codec in ("pcm", "wav", "flac"):  # it requests the utterances in order, with the same pauses
            assert reader.readframes(10**9) == WHOLE
        else:  # MP3 and AAC have encoder delay and padding
            assert MONO.seconds(len(WHOLE) // 2) - 0.01 < seconds < MONO.seconds(len(WHOLE) // 2) + 0.2
