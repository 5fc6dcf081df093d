"""Model families, recognized by the file names in sherpa-onnx's releases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.onnx_voices import network, sherpa_voice
from support.packages import needs
from voice_cli.backends.local.onnx_metadata import read_metadata
from voice_cli.backends.local.sherpa_models import read_model
from voice_cli.errors import UsageError

RELEASES = {
    "sherpa-onnx-pocket-tts-int8-2026-01-26": """lm_flow.int8.onnx lm_main.int8.onnx encoder.onnx decoder.int8.onnx
        text_conditioner.onnx vocab.json token_scores.json test_wavs/bria.wav""",
    "sherpa-onnx-supertonic-3-tts-int8-2026-05-11": """duration_predictor.int8.onnx text_encoder.int8.onnx
        vector_estimator.int8.onnx vocoder.int8.onnx tts.json unicode_indexer.bin voice.bin""",
    "sherpa-onnx-zipvoice-distill-int8-zh-en-emilia": """encoder.int8.onnx decoder.int8.onnx tokens.txt lexicon.txt
        vocos_24khz.onnx test_wavs/leijun-1.wav""",
}
"""Folder name, which includes the family, to file names."""


def touch(folder, names):
    for name in names.split():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def noted(folder, name, **notes):
    folder.mkdir(parents=True, exist_ok=True)
    network(folder / name, notes={"sample_rate": 24000, "n_speakers": 2, **notes})
    return folder


@pytest.mark.parametrize("release", RELEASES)
def test_families_of_several_networks(tmp_path, release):
    family = release.split("-")[2]
    model = read_model(str(touch(tmp_path / release, RELEASES[release])))
    assert model.family == family
    assert model.rate is None
    assert model.phoneme_voice is None
    assert all(model.files.values())
    package = needs("sherpa_onnx")
    kind = getattr(package, f"OfflineTts{family.capitalize()}ModelConfig")
    assert kind(**model.files).validate()


def test_recordings_of_a_cloning_model(tmp_path):
    folder = touch(tmp_path / "pocket", RELEASES["sherpa-onnx-pocket-tts-int8-2026-01-26"])
    assert read_model(str(folder)).recordings() == {"bria": str(folder / "test_wavs/bria.wav")}


class TestSingleNetworks:
    def test_piper(self, tmp_path):
        model = read_model(str(sherpa_voice(tmp_path / "vits-piper-en_US-hum-low")))
        assert (model.family, model.rate, model.phoneme_voice) == ("vits", 16000, "en-us")

    def test_path_of_the_network_is_accepted(self, tmp_path):
        folder = sherpa_voice(tmp_path / "voice")
        touch(folder, "another.onnx")
        assert read_model(str(folder / "en_US-hum-low.onnx")).family == "vits"

    def test_kokoro(self, tmp_path):
        folder = noted(touch(tmp_path / "kokoro-en-v0_19", "voices.bin tokens.txt"), "model.onnx", model_type="kokoro")
        model = read_model(str(folder))
        assert (model.family, model.files["voices"]) == ("kokoro", str(folder / "voices.bin"))

    def test_kokoro_with_several_lexicons(self, tmp_path):
        names = "voices.bin tokens.txt lexicon-us-en.txt lexicon-gb-en.txt lexicon-zh.txt"
        names += " date-zh.fst number-zh.fst phone-zh.fst"
        folder = noted(touch(tmp_path / "kokoro-multi-lang-v1_0", names), "model.onnx", model_type="kokoro")
        model = read_model(str(folder))
        assert model.files["lexicon"] == f"{folder / 'lexicon-us-en.txt'},{folder / 'lexicon-zh.txt'}"
        assert model.phoneme_voice is None
        assert model.rules == [str(folder / f"{name}-zh.fst") for name in ("phone", "date", "number")]

    def test_kitten(self, tmp_path):
        folder = touch(tmp_path / "kitten", "voices.bin tokens.txt")
        assert read_model(str(noted(folder, "model.fp16.onnx", model_type="kitten-tts"))).family == "kitten"

    def test_matcha_with_a_vocoder_beside_the_folder(self, tmp_path):
        folder = noted(touch(tmp_path / "matcha-icefall-en_US-ljspeech", "tokens.txt"), "model-steps-3.onnx")
        touch(tmp_path, "vocos-22khz-univ.onnx")
        noted(folder, "model-steps-6.onnx")
        model = read_model(str(folder))
        assert model.family == "matcha"
        assert model.files["acoustic_model"].endswith("model-steps-3.onnx")
        assert model.files["vocoder"] == str(tmp_path / "vocos-22khz-univ.onnx")

    def test_matcha_without_a_vocoder(self, tmp_path):
        folder = noted(touch(tmp_path / "matcha", "tokens.txt"), "model-steps-3.onnx")
        with pytest.raises(UsageError, match="no vocoder") as caught:
            read_model(str(folder))
        assert "vocoder-models" in caught.value.hint

    def test_full_model_is_preferred_to_int8(self, tmp_path):
        folder = noted(touch(tmp_path / "voice", "tokens.txt"), "model.int8.onnx")
        noted(folder, "model.onnx")
        assert read_model(str(folder)).network == str(folder / "model.onnx")

    def test_speaker_names_come_from_pipers_json(self, tmp_path):
        folder = sherpa_voice(tmp_path / "voice", speakers=2)
        (folder / "en_US-hum-low.onnx.json").write_text('{"speaker_id_map": {"p1": 0, "p2": 1}}')
        assert read_model(str(folder)).speakers() == {"p1": 0, "p2": 1}

    @pytest.mark.parametrize("text", ["[]", "{", '{"speaker_id_map": 3}'])
    def test_invalid_json_is_ignored(self, tmp_path, text):
        folder = sherpa_voice(tmp_path / "voice")
        (folder / "en_US-hum-low.onnx.json").write_text(text)
        assert read_model(str(folder)).speakers() == {}


class TestInvalidModels:
    def test_missing_folder_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="no model folder"):
            read_model(str(tmp_path / "none"))

    def test_empty_folder_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="no model"):
            read_model(str(tmp_path))

    def test_missing_tokens_are_refused(self, tmp_path):
        with pytest.raises(UsageError, match="no tokens"):
            read_model(str(noted(tmp_path / "voice", "model.onnx")))

    def test_voice_without_sample_rate_is_refused(self, tmp_path):
        folder = touch(tmp_path / "voice", "tokens.txt")
        network(folder / "en_US-amy-low.onnx")
        with pytest.raises(UsageError, match="no sample rate") as caught:
            read_model(str(folder))
        assert "piper" in caught.value.hint

    def test_invalid_network_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="no sample rate"):
            read_model(str(touch(tmp_path / "voice", "tokens.txt model.onnx")))


class TestMetadata:
    def test_metadata_is_read(self, tmp_path):
        notes = {"sample_rate": "22050", "comment": "piper", "long": "x" * 100_000, "speaker": "Zoë"}
        network(tmp_path / "model.onnx", notes=notes)
        assert read_metadata(str(tmp_path / "model.onnx")) == notes

    @given(st.binary(max_size=200))
    def test_any_bytes_can_be_read(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("any") / "model.onnx"
        path.write_bytes(data)
        assert isinstance(read_metadata(str(path)), dict)
