"""Detect the family of a sherpa-onnx model folder by the file names of its releases; sherpa-onnx is not imported."""

import glob
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from voice_cli.backends.local.onnx_metadata import read_metadata
from voice_cli.errors import UsageError

MODELS_URL = "https://github.com/k2-fsa/sherpa-onnx/releases/tag/tts-models"
MODEL_HINT = "give the path of an unpacked sherpa-onnx TTS model"
VOCODERS = ("vocos*.onnx", "hifigan*.onnx", "vocoder*.onnx")
VOCODER_HINT = "download one from https://github.com/k2-fsa/sherpa-onnx/releases/tag/vocoder-models into that folder"

_PARTS = {
    "pocket": {
        "lm_flow": "lm_flow*.onnx",
        "lm_main": "lm_main*.onnx",
        "encoder": "encoder*.onnx",
        "decoder": "decoder*.onnx",
        "text_conditioner": "text_conditioner*.onnx",
        "vocab_json": "vocab.json",
        "token_scores_json": "token_scores.json",
    },
    "supertonic": {
        "duration_predictor": "duration_predictor*.onnx",
        "text_encoder": "text_encoder*.onnx",
        "vector_estimator": "vector_estimator*.onnx",
        "vocoder": "vocoder*.onnx",
        "tts_json": "tts.json",
        "unicode_indexer": "unicode_indexer*",
        "voice_style": "voice*.bin",
    },
    "zipvoice": {"encoder": "*encoder*.onnx", "decoder": "*decoder*.onnx", "tokens": "tokens.txt"},
}
"""The families of several networks: arguments of the family's configuration and their files."""

CLONING = frozenset({"pocket", "zipvoice"})
"""The families whose voice is a recording."""

SINGLE = ("vits", "matcha", "kokoro", "kitten")
"""The families whose network has metadata: `sample_rate`, `n_speakers`, and usually an espeak-ng `voice`."""


@dataclass(frozen=True, slots=True)
class SherpaModel:
    """A model folder."""

    folder: str
    family: str
    """The name of the family's argument of sherpa_onnx.OfflineTtsModelConfig."""
    files: Mapping[str, str]
    """Argument of the family's configuration to path."""
    network: str = ""
    """The file with the metadata; empty for a family of several networks."""
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def rate(self) -> int | None:
        """Hertz, if known before the model is loaded."""
        rate = self.notes.get("sample_rate", "")
        return int(rate) if rate.isdecimal() and int(rate) > 0 else None

    @property
    def phoneme_voice(self) -> str | None:
        """espeak-ng's voice for the phonemes that the model reads; None: it has a lexicon, or reads letters."""
        spoken = self.family in SINGLE and not self.files.get("lexicon") and self.notes.get("frontend") != "characters"
        return self.notes.get("voice") or "en-us" if spoken else None

    @property
    def rules(self) -> list[str]:
        """The grammars that expand numbers and dates, in the releases' order: phone numbers first."""
        first = {"phone": 0, "date": 1, "number": 2}
        found = glob.glob("*.fst", root_dir=self.folder)
        found.sort(key=lambda name: (first.get(name.partition(".")[0].partition("-")[0], 9), name))
        return [os.path.join(self.folder, name) for name in found]

    def speakers(self) -> dict[str, int]:
        """Return the speakers' names, if known, and their numbers."""
        names = self.notes.get("speaker_names", "").split(",")
        if any(names):
            return {name.strip(): number for number, name in enumerate(names)}
        if not self.network:
            return {}
        try:
            with open(f"{self.network}.json", encoding="utf-8") as file:
                table = json.load(file).get("speaker_id_map")
        except (OSError, ValueError, AttributeError):
            return {}
        return {str(name): int(number) for name, number in table.items()} if isinstance(table, dict) else {}

    def recordings(self) -> dict[str, str]:
        """Return the recordings in the folder, the voices of a cloning model: name to path."""
        found: dict[str, str] = {}
        for sub in ("", "voices", "test_wavs"):
            for path in sorted(glob.glob(os.path.join(glob.escape(self.folder), sub, "*.wav"))):
                found.setdefault(os.path.splitext(os.path.basename(path))[0], path)
        return found


def read_model(folder: str) -> SherpaModel:
    """Return the model in a folder, or raise UsageError; `folder` may be the path of its network."""
    given = os.path.expanduser(folder)
    chosen = given if given.endswith(".onnx") and os.path.isfile(given) else None
    folder = os.path.dirname(given) or "." if chosen else given
    if not os.path.isdir(folder):
        raise UsageError(f"there is no model folder {folder}", hint=MODEL_HINT)
    for family, parts in _PARTS.items():
        found = {argument: _file(folder, pattern) for argument, pattern in parts.items()}
        if all(found.values()) and not (family == "zipvoice" and _file(folder, "voices.bin")):
            files = {argument: str(path) for argument, path in found.items()}
            if family == "zipvoice":
                files["vocoder"] = _vocoder(folder, family)
                files["lexicon"] = _file(folder, "lexicon*.txt") or ""
            return SherpaModel(folder, family, files)
    return _single(folder, chosen)


def _single(folder: str, chosen: str | None) -> SherpaModel:
    tokens = _file(folder, "tokens.txt")
    network = chosen or _network(folder)
    if network is not None and tokens is None and os.path.isfile(f"{network}.json"):
        from voice_cli.backends.local.sherpa_piper import converted  # only such a voice needs it

        folder = converted(network)
        tokens, network = _file(folder, "tokens.txt"), _network(folder)
    if network is None or tokens is None:
        missing = "tokens.txt" if network else "model (*.onnx)"
        raise UsageError(f"there is no {missing} in {folder}", hint=MODEL_HINT)
    try:
        notes = read_metadata(network)
    except OSError as error:
        raise UsageError(f"cannot read {network}: {error.strerror}") from error
    if not notes.get("sample_rate"):
        raise UsageError(
            f"{network} is not a sherpa-onnx model: it has no sample rate in its metadata",
            hint="for a Piper voice, set backend = 'piper'",
        )
    kind = f"{notes.get('model_type', '')} {notes.get('comment', '')}".lower()
    voices = _file(folder, "voices.bin")
    files = {"tokens": tokens, "lexicon": _lexicons(folder)}
    if voices is not None:
        family = "kitten" if "kitten" in kind else "kokoro"
        files |= {"model": network, "voices": voices}
    elif "matcha" in kind or os.path.basename(network).startswith("model-steps-"):
        family = "matcha"
        files |= {"acoustic_model": network, "vocoder": _vocoder(folder, family)}
    else:
        family = "vits"
        files["model"] = network
    return SherpaModel(folder, family, files, network, notes)


def _network(folder: str) -> str | None:
    """Return the network, not a vocoder: float32 before fp16 and int8; of Matcha's, the one of three steps."""
    vocoders = {path for pattern in VOCODERS for path in _all(folder, pattern)}
    networks = [path for path in _all(folder, "*.onnx") if path not in vocoders]

    def preference(path: str) -> tuple[bool, bool, bool]:
        name = os.path.basename(path)
        return "int8" in name, "fp16" in name, "steps-3" not in path

    return min(networks, key=preference, default=None)


def _vocoder(folder: str, family: str) -> str:
    for place in (folder, os.path.dirname(os.path.abspath(folder))):
        for pattern in VOCODERS:
            if (path := _file(place, pattern)) is not None:
                return path
    raise UsageError(f"there is no vocoder for the {family} model in {folder}", hint=VOCODER_HINT)


def _lexicons(folder: str) -> str:
    """Return the lexicons, separated by commas; British English only if there is no American."""
    found = _all(folder, "lexicon*.txt")
    american = any("us-en" in os.path.basename(path) for path in found)
    return ",".join(path for path in found if not (american and "gb-en" in os.path.basename(path)))


def _file(folder: str, pattern: str) -> str | None:
    """Return the first file that matches, float32 before int8."""
    return min(_all(folder, pattern), key=lambda path: "int8" in os.path.basename(path), default=None)


def _all(folder: str, pattern: str) -> list[str]:
    return sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))
