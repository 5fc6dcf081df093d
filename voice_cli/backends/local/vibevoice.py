"""VibeVoice in this process: Realtime 0.5B by Microsoft's package, the long-form models by transformers' own class."""

import json
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.torch_engine import RECORDINGS, TorchBackend, discarded_stdout
from voice_cli.backends.local.worker import Generation, check_steps, missing_model
from voice_cli.backends.packages import install_line, require
from voice_cli.errors import Hint, TruncatedAudio, UsageError

INSTALL = install_line("vibevoice")
INSTALL_REALTIME = 'pip install "vibevoice[streamingtts] @ git+https://github.com/microsoft/VibeVoice"'
"""The package is not on PyPI, and needs transformers below 5, so no extra installs it."""

MAX_CFG_SCALE = 10.0

REALTIME, LONG_FORM = "vibevoice_streaming", "vibevoice"
"""The `model_type` in a model's config.json."""

_KINDS = {
    REALTIME: ("vibevoice_realtime", "vibevoice", INSTALL_REALTIME, (".pt",)),
    LONG_FORM: ("vibevoice_long", "transformers", INSTALL, RECORDINGS),
}
"""The module with the class `Model`, its package, the command that installs that, and the suffixes of voices."""


class VibeVoiceBackend(TorchBackend):
    """One VibeVoice model. It has no speed setting.

    `voice` is a name in a folder of voices, or a path: for Realtime, a cached prompt (`.pt`), which is required; for
    the long-form models, a recording to clone, or none.
    """

    name = "vibevoice"
    settings = ("model", "compute", "voices", "steps", "cfg_scale")
    packages = (("vibevoice", "vibevoice"), ("transformers", "transformers"))
    extra = "vibevoice"
    model_is = "a folder with its files"
    expected_format = AudioFormat(24000, 1)

    def __init__(
        self,
        model: str | None = None,
        *,
        compute: str | None = None,
        voices: str | Sequence[str] | None = None,
        steps: float | None = None,
        cfg_scale: float | None = None,
        allow_paths: bool = True,
    ) -> None:
        """Detect the kind of model. It is not loaded.

        Args:
            model: the folder, or a name on the hub; those of long-form models end with `-hf`.
            compute: `cuda`, `mps` or `cpu`; None: the fastest that is available.
            voices: a folder of voices, or several; `voices` in the model's folder is searched last.
            steps: diffusion steps a chunk (`ddpm_steps`); None: 5 for Realtime, 10 for long-form.
            cfg_scale: how closely to follow the text and the voice; None: 1.5 for Realtime, 1.3 for long-form.
            allow_paths: whether a request's voice may be a path.

        """
        if not model:
            hint = "set {model} to its path, or to microsoft/VibeVoice-Realtime-0.5B for the hub's"
            raise missing_model(type(self), hint)
        self.model = os.path.expanduser(model)
        self.kind = _kind_of(self.model)
        self._module, package, install, suffixes = _KINDS[self.kind]
        require(self.name, "torch", install)
        require(self.name, package, install)
        super().__init__(
            install=install,
            compute=compute,
            voices=voices,
            suffixes=suffixes,
            allow_paths=allow_paths,
            models_voices=os.path.join(self.model, "voices"),
        )
        self._steps = check_steps(steps)
        self._cfg_scale = _check_scale(cfg_scale)
        self._model: Any = None

    def check_options(self, options: Mapping[str, Any]) -> None:
        check_steps(options.get("steps"))
        _check_scale(options.get("cfg_scale"))

    def check(self, request: SpeechRequest) -> None:
        self._voice(request.voice)

    def language(self, voice: str | None) -> str:
        return _language(voice or "")

    def voices(self) -> list[Voice]:
        return [Voice(name, language=_language(name)) for name in self._folder.files()]

    def _voice(self, voice: str | None) -> str | None:
        if voice is not None:
            return self._folder.find(voice)
        if self.kind == LONG_FORM:
            return None
        files = self._folder.files()
        if not files:
            hint = "set {voice} to a .pt file, such as those in demo/voices/streaming_model of microsoft/VibeVoice"
            raise UsageError("VibeVoice Realtime needs a cached voice prompt", hint=Hint(hint))
        return next(iter(files.values()))

    def load(self) -> None:
        super().load()
        with discarded_stdout():
            module = import_module(f"voice_cli.backends.local.{self._module}")
            self._model = module.Model(self.model, self._device)

    def unload(self) -> None:
        self._model = None
        super().unload()

    def speak(self, generation: Generation) -> None:
        model, request = self._model, generation.request
        generation.format = self.expected_format
        with discarded_stdout():
            complete = model.generate(
                generation,
                self._voice(request.voice),
                steps=check_steps(request.options.get("steps", self._steps)),
                cfg_scale=request.options.get("cfg_scale", self._cfg_scale),
            )
        if not complete and not generation.cancelled:
            raise TruncatedAudio(
                "vibevoice reached its maximum length before the end of the text", hint="use shorter texts"
            )


def _check_scale(cfg_scale: float | None) -> float | None:
    if cfg_scale is not None and not 0 <= cfg_scale <= MAX_CFG_SCALE:  # false for NaN, too
        raise UsageError(f"cfg_scale cannot be {cfg_scale:g}", hint=f"0 to {MAX_CFG_SCALE:g}")
    return cfg_scale


def _kind_of(model: str) -> str:
    """Return the kind of a model, from its config.json or its name on the hub, or raise UsageError."""
    if not os.path.isdir(model):
        if model.startswith((".", "/", "~")) or model.count("/") != 1:
            raise UsageError(f"there is no model folder {model}")
        return LONG_FORM if model.lower().endswith("-hf") else REALTIME
    path = os.path.join(model, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            kind = json.load(file).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"there is no VibeVoice model in {model}: {path} cannot be read") from error
    if kind not in _KINDS:
        raise UsageError(
            f"the model in {model} is {kind!r}, not one of {', '.join(_KINDS)}",
            hint="use VibeVoice Realtime 0.5B, or a long-form model in transformers' format (-hf)",
        )
    return str(kind)


def _language(name: str) -> str:
    """Return the language in the name of a prompt of Microsoft's, such as en-Carter_man."""
    code, dash, _ = name.partition("-")
    names = {"in": "en-IN", "jp": "ja", "kr": "ko", "sp": "es"}
    return names.get(code, code) if dash and len(code) == 2 else ""
