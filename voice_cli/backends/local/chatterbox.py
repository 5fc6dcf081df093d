"""Chatterbox in this process: the streaming fork (chatterbox-streaming), the stock package (chatterbox-tts), or vLLM's.

A model holds its voice in one attribute, `conds`, so it gets a copy of the voice's conditionals for each text. The
fork's fade-in on every chunk is turned off, and chunks are cross-faded instead (`ChunkJoin`). Contract: the code of
both packages, as of 0.1.2 and 0.1.7.
"""

import contextlib
import copy
import functools
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.chatterbox_join import ChunkJoin
from voice_cli.backends.local.chatterbox_presets import (
    DEFAULT_PRESET,
    Preset,
    Regrouped,
    flow_steps,
    preset_named,
    stop_between_tokens,
)
from voice_cli.backends.local.chatterbox_vllm import INSTALL as INSTALL_VLLM
from voice_cli.backends.local.chatterbox_vllm import MODULE as VLLM
from voice_cli.backends.local.chatterbox_vllm import VllmSpeaker
from voice_cli.backends.local.torch_engine import RECORDINGS, TorchBackend, discarded_stdout, replaced
from voice_cli.backends.local.worker import Generation, missing_model
from voice_cli.backends.packages import install_line, is_installed, load, require
from voice_cli.errors import Hint, TruncatedAudio, UsageError
from voice_cli.pcm.samples import to_pcm

INSTALL = install_line("chatterbox")
PACKAGES = ("chatterbox", VLLM)
"""Modules that run a model."""
HUB_NAME = "ResembleAI/chatterbox"
"""The only model that `from_pretrained` loads."""

OWN_VOICE = "default"

MAX_VOICES = 32
"""Recordings whose conditionals are cached: less than 1 MB each, since the model uses the first 10 s of a recording."""


class ChatterboxBackend(TorchBackend):
    """One model of Chatterbox. `voice` is a recording: a path, or the name of a file in a folder of voices.

    It has no speed setting. The stream's `notes` list the preset's values that the package does not support.
    """

    name = "chatterbox"
    settings = ("model", "compute", "preset", "voices", "package")
    packages = (("chatterbox", "chatterbox-streaming"), ("chatterbox", "chatterbox-tts"), (VLLM, "chatterbox-vllm"))
    extra = "chatterbox"
    model_is = "a folder with its files"
    expected_format = AudioFormat(24000, 1)
    """Of every released model; the loaded model's `sr` is used once known."""

    def __init__(
        self,
        model: str | None = None,
        *,
        compute: str | None = None,
        preset: str | None = None,
        voices: str | Sequence[str] | None = None,
        package: str | None = None,
        allow_paths: bool = True,
    ) -> None:
        """Check that the model is there. It is not loaded.

        Args:
            model: the folder that `from_local` takes, or `ResembleAI/chatterbox` for the hub's.
            compute: `cuda`, `mps` or `cpu`; None: the fastest that is available.
            preset: one of `chatterbox_presets.PRESETS`.
            voices: a folder of recordings, or several; the first with a name is used.
            package: the module that runs it; None: chatterbox_vllm, if it is installed and `compute` can be `cuda`.
            allow_paths: whether a request's voice may be a path.

        """
        if package is None:
            may_be_cuda = compute in (None, "auto") or str(compute).startswith("cuda")
            package = VLLM if may_be_cuda and is_installed(VLLM) else "chatterbox"
        elif package not in PACKAGES:
            raise UsageError(f"chatterbox has no package {package!r}", hint=f"one of: {', '.join(PACKAGES)}")
        self.package = package
        require(self.name, package, INSTALL_VLLM if package == VLLM else INSTALL)
        if not model:
            raise missing_model(type(self), f"set {{model}} to its path, or to {HUB_NAME} for the hub's")
        self.model = os.path.expanduser(model)
        if model != HUB_NAME and not os.path.isfile(os.path.join(self.model, "tokenizer.json")):
            raise UsageError(
                f"there is no Chatterbox model in {model}", hint=f"tokenizer.json, t3_cfg and s3gen, as in {HUB_NAME}"
            )
        super().__init__(install=INSTALL, compute=compute, voices=voices, suffixes=RECORDINGS, allow_paths=allow_paths)
        self.preset = preset or DEFAULT_PRESET
        preset_named(self.preset)
        self._speaker: Any = None
        self._vllm: VllmSpeaker | None = None
        self._own_conditionals: Any = None
        self._conditionals_of = functools.lru_cache(MAX_VOICES)(self._compute_conditionals)

    def check_options(self, options: Mapping[str, Any]) -> None:
        preset_named(options.get("preset", self.preset))

    def check(self, request: SpeechRequest) -> None:
        if request.voice not in (None, OWN_VOICE):
            self._folder.find(str(request.voice))

    def voices(self) -> list[Voice]:
        """List the recordings in the folders of voices, after the model's own voice."""
        own = self.model == HUB_NAME or os.path.isfile(os.path.join(self.model, "conds.pt"))
        return [Voice(name) for name in ([OWN_VOICE] if own else []) + list(self._folder.files())]

    def load(self) -> None:
        super().load()
        is_hub = self.model == HUB_NAME
        with discarded_stdout():
            if self.package == VLLM:
                folder = None if is_hub else self.model
                self._vllm = VllmSpeaker(folder, self._device, preset_named(self.preset))
                return
            package = load(self.name, "chatterbox.tts", INSTALL)
            if is_hub:
                self._speaker = package.ChatterboxTTS.from_pretrained(self._device)
            else:
                self._speaker = package.ChatterboxTTS.from_local(self.model, self._device)
        self._own_conditionals = self._speaker.conds

    def unload(self) -> None:
        if self._vllm is not None:
            self._vllm.close()
            self._vllm = None
        self._speaker = self._own_conditionals = None
        self._conditionals_of.cache_clear()
        super().unload()

    def speak(self, generation: Generation) -> None:
        model = self._speaker
        preset = preset_named(generation.request.options.get("preset", self.preset))
        if self._vllm is not None:
            voice = generation.request.voice
            recording = None if voice in (None, OWN_VOICE) else self._folder.find(str(voice))
            generation.format = AudioFormat(self._vllm.rate, 1)
            with discarded_stdout():
                self._vllm.speak(generation, preset, recording)
            return
        generation.format = AudioFormat(int(model.sr), 1)
        stop = generation.stop_if_cancelled
        with contextlib.ExitStack() as stack:
            stack.enter_context(discarded_stdout())
            self._set_voice(generation.request.voice)
            stack.enter_context(stop_between_tokens(model, stop))
            if not stack.enter_context(flow_steps(model, preset.s3gen_steps, stop)):
                generation.notes.append("s3gen_steps is not applied: this version of chatterbox does not support it")
            if hasattr(model, "generate_stream"):
                self._stream(generation, preset, stack)
            else:
                generation.notes.append("not streaming: this version of chatterbox has no generate_stream")
                arguments = self._arguments(generation.notes, model.generate, preset)
                generation.write(to_pcm(model.generate(generation.request.text, **arguments)))

    def _set_voice(self, voice: str | None) -> None:
        """Set a copy of the voice's conditionals on the model, since a generation modifies them."""
        conds = self._own_conditionals
        if voice not in (None, OWN_VOICE):
            path = self._folder.find(str(voice))
            status = os.stat(path)
            conds = self._conditionals_of(path, status.st_mtime_ns, status.st_size)
        elif conds is None:
            hint = Hint("set {voice} to a recording of a few seconds")
            raise UsageError("this model has no default voice", hint=hint)
        self._speaker.conds = copy.copy(conds)
        if isinstance(getattr(conds, "gen", None), dict):
            self._speaker.conds.gen = dict(conds.gen)

    def _compute_conditionals(self, path: str, *_content: int) -> Any:
        """Return the conditionals of a recording; `_content` changes with the file's content."""
        self._speaker.conds = None  # a failure must not leave another voice
        self._speaker.prepare_conditionals(path)
        return self._speaker.conds

    def _stream(self, generation: Generation, preset: Preset, stack: contextlib.ExitStack) -> None:
        model = self._speaker
        regrouped = None
        if hasattr(model, "inference_stream"):
            regrouped = Regrouped(model, preset.sizes, lambda tokens: self._torch.cat(tokens, 1))
            stack.enter_context(replaced(model, "inference_stream", regrouped))
        elif preset.sizes[0] != preset.sizes[1]:
            generation.notes.append("all chunks have the same size: this version of chatterbox has no inference_stream")
        join = ChunkJoin(model, int(model.sr))
        stack.enter_context(join.listening())
        arguments = self._arguments(
            generation.notes,
            model.generate_stream,
            preset,
            chunk_size=preset.sizes[1],
            fade_duration=0.0,
            print_metrics=False,
        )
        chunks = stack.enter_context(contextlib.closing(model.generate_stream(generation.request.text, **arguments)))
        for chunk, _metrics in chunks:
            if not generation.write(join.add(chunk)):
                return
        generation.write(join.end())
        if regrouped is not None and not regrouped.is_complete:
            raise TruncatedAudio(
                f"chatterbox stopped after {regrouped.tokens} tokens, its maximum, before the end of the text",
                hint="use shorter texts",
            )

    def _arguments(self, notes: list[str], method: Any, preset: Preset, **more: Any) -> dict[str, Any]:
        """Return the preset's values that the method takes; note those that it does not take."""
        wanted = {name: getattr(preset, name) for name in ("exaggeration", "cfg_weight", "temperature")}
        known = inspect.signature(method).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
            return wanted | more
        notes.extend(
            f"{name} is not applied: this version of chatterbox does not take it"
            for name in wanted
            if name not in known
        )
        return {name: value for name, value in (wanted | more).items() if name in known}
