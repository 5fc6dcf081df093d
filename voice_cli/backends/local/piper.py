"""Piper (piper-tts 1.3 and later), in the process: a chunk a sentence, from a voice file and the JSON beside it."""

import glob
import json
import os
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest, UnknownVoiceError, Voice
from voice_cli.backends.local.worker import EngineBackend, Generation
from voice_cli.backends.packages import install_line, load, require
from voice_cli.errors import EngineError, Hint, UsageError

INSTALL = install_line("piper")


class PiperBackend(EngineBackend):
    """One voice of Piper. `voice` is a speaker's number or name, where it has several; `speed` a factor."""

    name = "piper"
    settings = ("model", "compute")
    packages = (("piper", "piper-tts"),)
    extra = "piper"
    model_is = "an .onnx file with its .onnx.json"
    has_speed = True

    def __init__(self, model: str | None = None, *, compute: str | None = None) -> None:
        """Take the voice's `.onnx`, or a folder with one in it. Nothing is loaded yet but the JSON beside it.

        Raises:
            UsageError: there is no voice there.
            EngineError: the package is missing.

        """
        super().__init__()
        require(self.name, "piper", INSTALL)
        if not model:
            raise UsageError(
                f"{self.name} needs a model: {self.model_is}",
                hint=Hint("set {model} to its path; python -m piper.download_voices en_US-lessac-medium gets one"),
            )
        self.model = _voice_file(os.path.expanduser(model))
        self._config = _read_config(f"{self.model}.json")
        self._compute = "cpu" if compute in (None, "auto") else str(compute)
        self._package: Any = None
        self._voice: Any = None

    @property
    def expected_format(self) -> AudioFormat:
        return AudioFormat(self._config["audio"]["sample_rate"], 1)

    @property
    def compute_device(self) -> str:
        return self._compute

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
        if voice is None:
            return None
        names = self._speakers()
        count = max(int(self._config["num_speakers"]), 1)
        number = names.get(voice, int(voice) if voice.isdecimal() else count)
        if number >= count:
            known = ", ".join(names) or f"0 to {count - 1}"
            raise UnknownVoiceError(f"the voice has no speaker {voice!r}", hint=f"it has: {known[:200]}")
        return number

    def load(self) -> None:
        self._package = package = load(self.name, "piper", INSTALL)
        if not hasattr(package, "SynthesisConfig"):
            raise EngineError("this piper-tts is too old: 1.3 is wanted", hint=f"{INSTALL} -U")
        self._voice = package.PiperVoice.load(self.model, use_cuda=self._compute == "cuda")

    def unload(self) -> None:
        self._voice = None

    def speak(self, generation: Generation) -> None:
        from voice_cli.pcm.samples import to_pcm

        request = generation.request
        own_pace = float(self._voice.config.length_scale)
        settings = self._package.SynthesisConfig(
            speaker_id=self._speaker(request.voice), length_scale=own_pace / (request.speed or 1.0)
        )
        for chunk in self._voice.synthesize(request.text, settings):
            generation.format = AudioFormat(chunk.sample_rate, chunk.sample_channels)
            if not generation.give(to_pcm(chunk.audio_int16_array)):
                return
        if generation.format is None:
            raise EngineError("piper gave no sound for this text", hint="is it in the voice's language?")


def _voice_file(path: str) -> str:
    if os.path.isdir(path):
        found = sorted(glob.glob(os.path.join(glob.escape(path), "*.onnx")))
        if len(found) > 1:
            names = ", ".join(os.path.basename(each) for each in found)
            raise UsageError(
                f"there are several voices in {path}", hint=Hint("set {model} to one of: {names}", names=names[:200])
            )
        if not found:
            raise UsageError(f"there is no voice (*.onnx) in {path}")
        return found[0]
    if not os.path.isfile(path):
        raise UsageError(f"there is no voice {path}", hint="the path of an .onnx file of Piper's")
    return path


def _read_config(path: str) -> dict[str, Any]:
    """Read what the voice says about itself.

    Raises:
        UsageError: it is not there, or is no such file.

    """
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        if config["audio"]["sample_rate"] > 0 and config["num_speakers"] >= 0 and config["espeak"]["voice"]:
            return dict(config)
    except FileNotFoundError as error:
        raise UsageError(
            f"the voice lacks {path}", hint="Piper's voices are two files: .onnx and .onnx.json"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no description of a voice of Piper's") from error
    raise UsageError(f"{path} is no description of a voice of Piper's")
