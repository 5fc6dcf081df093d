"""Compressed streams: playback equals a whole-file decode."""

import numpy as np
import pytest

from support import material
from support.server import Answer
from support.sound import SINKS, holes
from voice_cli.audio import AudioFormat
from voice_cli.codecs.wav import wav_header

pytestmark = pytest.mark.e2e

MUXERS = {"opus": "ogg"}

CASES = {
    "mp3": ("audio/mpeg", "mp3", AudioFormat(24000, 1), "ear"),
    "mp3 at 44.1 kHz": ("audio/mpeg", "mp3", AudioFormat(44100, 1), "ear44"),
    "mp3 in stereo": ("audio/mpeg", "mp3", AudioFormat(44100, 2), "stereo"),
    "opus": ("audio/ogg", "opus", AudioFormat(48000, 1), "ear48"),
    "aac": ("audio/aac", "aac", AudioFormat(24000, 1), "ear"),
    "flac": ("audio/flac", "flac", AudioFormat(24000, 1), "ear"),
    "wav": ("audio/wav", "wav", AudioFormat(22050, 1), "ear22"),
}


def trimmed(sound):
    """Remove leading and trailing zero samples."""
    sounding = np.flatnonzero(sound.any(axis=1))
    return sound[sounding[0] : sounding[-1] + 1]


def check_same(sound, wanted, tolerance):
    """Check that all samples above `tolerance` were played, and that none differs by more.

    `sound` has no zero samples at its ends, which rounding may move.
    """
    loud = np.flatnonzero(np.abs(wanted.astype(int)).max(axis=1) > tolerance)
    assert len(sound) >= loud[-1] - loud[0] + 1, "frames are missing"
    places = [at for at in range(loud[0] + 1) if loud[-1] - at < len(sound) <= len(wanted) - at]
    differences = [np.abs(sound.astype(int) - wanted[at : at + len(sound)]).max() for at in places]
    assert min(differences) <= tolerance


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chunk", [701, 8192])
def test_playback_equals_the_whole_file_decode(audio, voice, serve, case, chunk):
    content_type, codec, audio_format, sink = CASES[case]
    assert SINKS[sink] == (audio_format.rate, audio_format.channels)
    body = material.encoded(codec, audio_format, 1.5, seekable=False)
    wanted = np.frombuffer(material.reference(body, MUXERS.get(codec, codec))[1], "<i2")
    wanted = wanted.reshape(-1, audio_format.channels)
    server = serve(Answer(body, content_type, chunk=chunk, first_byte=0.3))
    with audio.record(sink) as heard:
        result = voice("say", "x", "--base-url", server.url, "--format", codec, "--json", sink=sink)
    assert result.code == 0, result.err
    assert result.json["format"] == codec
    assert result.json["rate"] == audio_format.rate
    assert result.json["audio_ms"] == pytest.approx(1000 * len(wanted) / audio_format.rate, abs=0.1)
    tolerance = 1 if codec in ("opus", "mp3") else 0  # two decoders may round differently
    check_same(heard.sound, wanted, tolerance)
    if codec != "mp3":  # rounding decides which of MP3's near-silent samples are exactly 0
        assert holes(heard.sound, heard.rate, 0.003) == holes(trimmed(wanted), heard.rate, 0.003)


@pytest.mark.parametrize("codec", ["mp3", "opus", "aac", "flac"])
def test_playback_starts_during_the_download(voice, serve, audio, codec):
    content_type, _, audio_format, _ = CASES[codec]
    body = material.encoded(codec, audio_format, 3.0, seekable=False)
    server = serve(Answer(body, content_type, chunk=256, byte_rate=len(body) / 2.0, first_byte=0.2))
    result = voice("say", "x", "--base-url", server.url, "--format", codec, "--json").json
    assert result["outcome"] == "complete"
    # Playback waits for a decodable frame, the prebuffer and the device, not for the 2 s of download. The bound is
    # loose because the machine may be busy; the benchmarks measure the latency.
    assert result["ttfa_ms"] - result["leading_silence_ms"] < 0.6 * (200 + 2000)
    assert result["generation_ms"] > 1500


@pytest.mark.parametrize("announced", ["audio/pcm", "application/octet-stream", None])
def test_mp3_with_a_wrong_content_type_is_detected_and_played(audio, voice, serve, announced):
    body = material.encoded("mp3", AudioFormat(24000, 1), 1.0, seekable=False)
    wanted = np.frombuffer(material.reference(body, "mp3")[1], "<i2")
    server = serve(Answer(body, announced, chunk=1000))
    with audio.record() as heard:
        result = voice("say", "x", "--base-url", server.url, "--json")
    assert result.json["format"] == "mp3"
    check_same(heard.sound, wanted.reshape(-1, 1), 1)


def test_resampling_by_the_device_keeps_the_pitch(audio, voice, serve):
    rate = 44100
    tone = np.round(8000 * np.sin(2 * np.pi * 441 * np.arange(rate) / rate)).astype("<i2")
    body = wav_header(AudioFormat(rate, 1), tone.nbytes) + tone.tobytes()
    server = serve(Answer(body, "audio/wav", first_byte=0.2))
    with audio.record() as heard:
        voice("say", "x", "--base-url", server.url, "--format", "wav")
    sound = heard.sound[:, 0]
    spectrum = np.abs(np.fft.rfft(sound[2000:18000]))
    assert np.argmax(spectrum) * 24000 / 16000 == pytest.approx(441, abs=2)
    assert len(sound) / 24000 == pytest.approx(1.0, abs=0.01)
