"""Piper (piper-tts 1.3 and later) in this process: a voice is an `.onnx` file and its `.onnx.json`."""

import glob
import json
import os
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.worker import EngineBackend, Generation, missing_model, speaker_number
from voice_cli.backends.packages import install_line, load, require
from voice_cli.errors import EngineError, Hint, UsageError
from voice_cli.pcm.samples import to_pcm

INSTALL = install_line("piper")


class PiperBackend(EngineBackend):
    """One voice of Piper, in one chunk a sentence. `voice` is a speaker's number or name; `speed` is a factor."""

    name = "piper"
    settings = ("model", "compute")
    packages = (("piper", "piper-tts"),)
    extra = "piper"
    model_is = "an .onnx file with its .onnx.json"
    has_speed = True

    def __init__(self, model: str | None = None, *, compute: str | None = None) -> None:
        """Read the configuration of a voice, an `.onnx` file or a folder with one. The model is not loaded."""
        super().__init__()
        require(self.name, "piper", INSTALL)
        if not model:
            hint = "set {model} to its path; python -m piper.download_voices en_US-lessac-medium downloads one"
            raise missing_model(type(self), hint)
        self.model = _voice_file(os.path.expanduser(model))
        self._config = _read_config(f"{self.model}.json")
        self.expected_format = AudioFormat(self._config["audio"]["sample_rate"], 1)
        self.compute_device = "cpu" if compute in (None, "auto") else str(compute)
        self._package: Any = None
        self._voice: Any = None

    def check(self, request: SpeechRequest) -> None:
        self._speaker(request.voice)

    def language(self, voice: str | None) -> str:
        del voice
        code = self._config.get("language", {}).get("code") or self._config["espeak"]["voice"]
        return str(code).replace("_", "-")

    def voices(self) -> list[Voice]:
        language = self.language(None)
        names = {number: name for name, number in self._speakers().items()}
        if not names:
            return [Voice("0", os.path.basename(self.model).removesuffix(".onnx"), language)]
        return [Voice(str(number), name, language) for number, name in sorted(names.items())]

    def _speakers(self) -> dict[str, int]:
        return {str(name): int(number) for name, number in (self._config.get("speaker_id_map") or {}).items()}

    def _speaker(self, voice: str | None) -> int | None:
        count = int(self._config["num_speakers"])
        return None if voice is None else speaker_number(voice, self._speakers(), count)

    def load(self) -> None:
        self._package = package = load(self.name, "piper", INSTALL)
        if not hasattr(package, "SynthesisConfig"):
            raise EngineError("this piper-tts is older than 1.3", hint=f"{INSTALL} -U")
        self._voice = package.PiperVoice.load(self.model, use_cuda=self.compute_device == "cuda")

    def unload(self) -> None:
        self._voice = None

    def speak(self, generation: Generation) -> None:
        request = generation.request
        length_scale = self._voice.config.length_scale / (request.speed or 1.0)
        settings = self._package.SynthesisConfig(speaker_id=self._speaker(request.voice), length_scale=length_scale)
        for chunk in self._voice.synthesize(request.text, settings):
            generation.format = AudioFormat(chunk.sample_rate, chunk.sample_channels)
            if not generation.write(to_pcm(chunk.audio_int16_array)):
                return
        if generation.format is None:
            raise EngineError("piper generated no audio for this text", hint="check that it is in the voice's language")


def _voice_file(path: str) -> str:
    if os.path.isdir(path):
        found = sorted(glob.glob(os.path.join(glob.escape(path), "*.onnx")))
        if len(found) > 1:
            names = ", ".join(os.path.basename(each) for each in found)
            raise UsageError(
                f"{path} contains several voices", hint=Hint("set {model} to one of: {names}", names=names[:200])
            )
        if not found:
            raise UsageError(f"there is no voice (*.onnx) in {path}")
        return found[0]
    if not os.path.isfile(path):
        raise UsageError(f"there is no voice {path}", hint=Hint("set {model} to a Piper .onnx file"))
    return path


def _read_config(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        if config["audio"]["sample_rate"] <= 0 or config["num_speakers"] < 0 or not config["espeak"]["voice"]:
            raise ValueError("a value is out of range")
        return dict(config)
    except OSError as error:
        hint = "a Piper voice is two files: .onnx and .onnx.json"
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not the configuration of a Piper voice") from error
