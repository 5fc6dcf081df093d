"""Chatterbox on vLLM: the package chatterbox-vllm, which needs CUDA. Contract: its code, as of 0.2.1.

It generates a request at once, and cannot stream; speech in sentences begins after the first one. Its language model is
a folder `t3-model` of the working directory, with a configuration that only its repository has. So such a folder is
made in the cache folder, and replaces it.
"""

import contextlib
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from voice_cli.backends.local.chatterbox_presets import Preset
from voice_cli.backends.local.torch_engine import replaced
from voice_cli.backends.local.worker import Generation
from voice_cli.backends.packages import load
from voice_cli.errors import FileError, TruncatedAudio, UsageError
from voice_cli.folders import user_folder, write_atomically
from voice_cli.pcm.samples import to_pcm

MODULE = "chatterbox_vllm"
INSTALL = "pip install chatterbox-vllm"

FILES = ("ve.safetensors", "t3_cfg.safetensors", "s3gen.safetensors", "tokenizer.json", "conds.pt")
"""Those of a model that the package reads."""
MAX_TOKENS = 1000
"""Tokens of a request's text and speech together: the package's default. A second of speech has 25."""

CONFIGURATION = {
    "architectures": ["ChatterboxT3"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 30,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 64,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rms_norm_eps": 1e-05,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "tie_word_embeddings": False,
    "vocab_size": 8,
}
"""Of the language model: Chatterbox's Llama with 520 million parameters, under the name that the package registers."""


class VllmSpeaker:
    """A loaded model. One thread uses it."""

    def __init__(self, folder: str | None, device: str, preset: Preset) -> None:
        """Load a model.

        Args:
            folder: that of its files; None: the hub's.
            device: `cuda` or `cuda:N`.
            preset: its `cfg_weight` is that of all requests, unless CHATTERBOX_CFG_SCALE is set.

        """
        if not device.startswith("cuda"):
            raise UsageError(
                f"{MODULE} cannot compute on {device!r}", hint="it needs CUDA; package = 'chatterbox' does not"
            )
        os.environ.setdefault("CHATTERBOX_CFG_SCALE", str(preset.cfg_weight))
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # its process would print on standard output
        kind = load("chatterbox", f"{MODULE}.tts", INSTALL).ChatterboxTTS
        if folder is None:
            folder = _downloaded(kind)
        options = {"max_model_len": MAX_TOKENS, "max_batch_size": 1}
        self.model = kind.from_local(folder, target_device=device, **options, model=language_model(folder))
        self._contents: dict[str, tuple[int, int]] = {}

    @property
    def rate(self) -> int:
        """Hertz."""
        return int(self.model.sr)

    def speak(self, generation: Generation, preset: Preset, recording: str | None) -> None:
        """Generate a request in the voice of a recording (None: the model's own)."""
        generation.notes.append(f"not streaming: {MODULE} generates a sentence at once")
        if float(os.environ["CHATTERBOX_CFG_SCALE"]) != preset.cfg_weight:
            generation.notes.append(f"cfg_weight is not applied: {MODULE} takes it only when the model is loaded")
        if recording is not None:
            self._forget_changed(recording)
        reasons: list[str | None] = []
        with self._listening(reasons, generation.stop_if_cancelled):
            sounds = self.model.generate(
                [generation.request.text],
                audio_prompt_path=recording,
                exaggeration=preset.exaggeration,
                temperature=preset.temperature,
                max_tokens=MAX_TOKENS,
                diffusion_steps=preset.s3gen_steps,
            )
        for sound in sounds:
            if not generation.write(to_pcm(sound)):
                return
        if "length" in reasons:
            raise TruncatedAudio(
                f"chatterbox stopped after {MAX_TOKENS} tokens, its maximum, before the end of the text",
                hint="use shorter texts",
            )

    def _forget_changed(self, recording: str) -> None:
        """Empty the package's cache of voices, which knows them by path, if a recording has changed."""
        status = os.stat(recording)
        content = (status.st_mtime_ns, status.st_size)
        if self._contents.setdefault(recording, content) != content:
            self.model.get_audio_conditionals.cache_clear()
            self._contents = {recording: content}

    @contextlib.contextmanager
    def _listening(self, reasons: list[str | None], stop: Callable[[], None]) -> Iterator[None]:
        """Collect why vLLM ended each text, and call `stop` before the tokens become sound, while it is open."""
        generate = self.model.t3.generate

        def listened(*args: Any, **kwargs: Any) -> Any:
            results = generate(*args, **{"use_tqdm": False, **kwargs})
            reasons.extend(output.finish_reason for result in results for output in result.outputs)
            stop()
            return results

        with replaced(self.model.t3, "generate", listened):
            yield

    def close(self) -> None:
        self.model.shutdown()


def _downloaded(kind: Any) -> str:
    """Return the folder of the hub's model, in the revision that the package loads."""
    hub = load("chatterbox", "huggingface_hub", INSTALL)
    known = inspect.signature(kind.from_pretrained).parameters
    name, revision = known["repo_id"].default, known["revision"].default
    paths = [hub.hf_hub_download(repo_id=name, filename=file, revision=revision) for file in FILES]
    return os.path.dirname(str(paths[0]))


def language_model(folder: str) -> str:
    """Return a folder with the weights of a model's language model and its configuration, in the user's cache folder.

    Raises:
        FileError: it cannot be written.

    """
    weights = os.path.abspath(os.path.join(folder, "t3_cfg.safetensors"))
    made = os.path.join(user_folder("cache"), MODULE, hashlib.sha256(os.fsencode(weights)).hexdigest()[:16])
    link = os.path.join(made, "model.safetensors")
    try:
        os.makedirs(made, exist_ok=True)
        write_atomically(os.path.join(made, "config.json"), json.dumps(CONFIGURATION).encode())
        if not os.path.lexists(link):
            os.symlink(weights, link)
    except OSError as error:
        raise FileError(f"cannot write {made}: {error.strerror}") from error
    return made
