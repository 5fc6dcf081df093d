"""A Piper voice runs in sherpa-onnx: its tokens and metadata are derived."""

import os

import pytest

from support.onnx_voices import FRAMES_PER_TOKEN, piper_voice
from support.packages import needs
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.espeak_phonemes import phonemes
from voice_cli.backends.local.sherpa_piper import converted
from voice_cli.errors import FileError, UsageError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def network(tmp_path, cache):
    return str(piper_voice(tmp_path / "hum", speakers=["amy", "ben"]) / "en_US-hum-low.onnx")


def test_the_real_engine_speaks_it(network):
    needs("sherpa_onnx")
    from voice_cli.backends.local.sherpa import SherpaBackend

    backend = SherpaBackend(network)
    try:
        assert backend.voices() == [Voice("0", "amy", "en-us"), Voice("1", "ben", "en-us")]
        stream = backend.synthesize(SpeechRequest("Hello there.", voice="ben"))
        samples = len(b"".join(stream)) // 2
    finally:
        backend.close()
    tokens = 2 * len(phonemes("Hello there.", "en-us")[0]) + 3
    assert samples == pytest.approx(tokens * FRAMES_PER_TOKEN, abs=2 * FRAMES_PER_TOKEN)
    assert stream.announced.format.rate == 22050


def test_it_is_converted_once(network, cache):
    folder = converted(network)
    assert folder.startswith(str(cache))
    before = os.stat(f"{folder}/tokens.txt").st_mtime_ns
    assert converted(network) == folder
    assert os.stat(f"{folder}/tokens.txt").st_mtime_ns == before
    os.utime(network, (1, 1))
    assert converted(network) != folder
    assert all(not name.endswith(".onnx") for name in os.listdir(os.path.dirname(folder)))


def test_a_conversion_that_fails_leaves_nothing(network, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("voice_cli.backends.local.sherpa_piper.shutil.copyfile", full)
    with pytest.raises(FileError, match="No space left"):
        converted(network)
    assert os.listdir(cache / "voice" / "sherpa") == []


def test_another_alphabet_is_refused(network):
    with open(f"{network}.json", encoding="utf-8") as file:
        text = file.read()
    with open(f"{network}.json", "w", encoding="utf-8") as file:
        file.write(text.replace('"phoneme_type": "espeak"', '"phoneme_type": "pinyin"'))
    with pytest.raises(UsageError, match="does not read espeak-ng's phonemes"):
        converted(network)
