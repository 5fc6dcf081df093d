"""Compressed streams: what is heard is what a whole-file decode gives, from the first frame to the last."""

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
    """Return the sound from its first to its last sample that is not 0."""
    sounding = np.flatnonzero(sound.any(axis=1))
    return sound[sounding[0] : sounding[-1] + 1]


def check_same(sound, wanted, tolerance):
    """Check that all that is louder than `tolerance` was heard, and that no sample differs by more.

    What was heard begins and ends with its first and last sample that is not 0, which rounding may move.
    """
    loud = np.flatnonzero(np.abs(wanted.astype(int)).max(axis=1) > tolerance)
    assert len(sound) >= loud[-1] - loud[0] + 1, "frames are missing"
    places = [at for at in range(loud[0] + 1) if loud[-1] - at < len(sound) <= len(wanted) - at]
    differences = [np.abs(sound.astype(int) - wanted[at : at + len(sound)]).max() for at in places]
    assert min(differences) <= tolerance


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chunk", [701, 8192])
def test_heard_is_the_whole_decode(audio, voice, serve, case, chunk):
    content_type, codec, audio_format, sink = CASES[case]
    assert SINKS[sink] == (audio_format.rate, audio_format.channels)
    body = material.encoded(codec, audio_format, 1.5, seekable=False)
    wanted = np.frombuffer(material.reference(body, MUXERS.get(codec, codec))[1], "<i2")
    wanted = wanted.reshape(-1, audio_format.channels)
    server = serve(Answer(body, content_type, chunk=chunk, first_byte=0.3))
    with audio.record(sink) as heard:
        said = voice("say", "x", "--base-url", server.url, "--format", codec, "--json", sink=sink)
    assert said.code == 0, said.err
    assert said.json["format"] == codec
    assert said.json["rate"] == audio_format.rate
    assert said.json["audio_ms"] == pytest.approx(1000 * len(wanted) / audio_format.rate, abs=0.1)
    tolerance = 1 if codec in ("opus", "mp3") else 0  # two decoders may round differently
    check_same(heard.sound, wanted, tolerance)
    if codec != "mp3":  # in MP3's near-silence, which samples are exactly 0 is a matter of rounding, too
        assert holes(heard.sound, heard.rate, 0.003) == holes(trimmed(wanted), heard.rate, 0.003)


@pytest.mark.parametrize("codec", ["mp3", "opus", "aac", "flac"])
def test_playback_begins_long_before_the_download_ends(voice, serve, audio, codec):
    content_type, _, audio_format, _ = CASES[codec]
    body = material.encoded(codec, audio_format, 3.0, seekable=False)
    server = serve(Answer(body, content_type, chunk=256, byte_rate=len(body) / 2.0, first_byte=0.2))
    said = voice("say", "x", "--base-url", server.url, "--format", codec, "--json").json
    assert said["outcome"] == "complete"
    # From the first byte, what is waited for is a decodable frame, the prebuffer and the device: not the 2 s of
    # download. The bound is loose because this machine may be busy; the benchmarks have the figures.
    assert said["ttfa_ms"] - said["leading_silence_ms"] < 0.6 * (200 + 2000)
    assert said["generation_ms"] > 1500


@pytest.mark.parametrize("announced", ["audio/pcm", "application/octet-stream", None])
def test_an_mp3_under_a_false_name_is_played_as_what_it_is(audio, voice, serve, announced):
    body = material.encoded("mp3", AudioFormat(24000, 1), 1.0, seekable=False)
    wanted = np.frombuffer(material.reference(body, "mp3")[1], "<i2")
    server = serve(Answer(body, announced, chunk=1000))
    with audio.record() as heard:
        said = voice("say", "x", "--base-url", server.url, "--json")
    assert said.json["format"] == "mp3"
    check_same(heard.sound, wanted.reshape(-1, 1), 1)


def test_a_rate_that_the_device_has_to_resample_is_heard_at_its_pitch(audio, voice, serve):
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
