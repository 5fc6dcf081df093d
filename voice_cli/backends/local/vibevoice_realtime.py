"""VibeVoice Realtime 0.5B, through Microsoft's `vibevoice` package.

The model calls `put` for each chunk, `(1, 3200)`: 133 ms, and `end` at the end of speech, after which it generates to
the end of its window. It calls `stop_check_fn` between windows of six chunks; `put` stops it sooner, by raising. It
modifies the voice's prompt, so it gets a copy. Contract: the package's code, and its streamer's documentation.
"""

import copy
import functools
from typing import Any

from voice_cli.backends.local.vibevoice import INSTALL_REALTIME
from voice_cli.backends.local.voice_prompts import load_prompt
from voice_cli.backends.local.worker import Generation
from voice_cli.backends.packages import is_installed, load
from voice_cli.pcm.samples import rows, to_pcm

DDPM_STEPS = 5
CFG_SCALE = 1.5


class Model:
    """The streaming model and its processor. Used on the worker thread only."""

    def __init__(self, path: str, device: str) -> None:
        torch = load("vibevoice", "torch", INSTALL_REALTIME)
        package = load("vibevoice", "vibevoice", INSTALL_REALTIME)
        on_cuda = device.startswith("cuda")
        flash = on_cuda and is_installed("flash_attn")
        model = package.VibeVoiceStreamingForConditionalGenerationInference.from_pretrained(
            path,
            torch_dtype=torch.bfloat16 if on_cuda else torch.float32,
            device_map=None if device == "mps" else device,
            attn_implementation="flash_attention_2" if flash else "sdpa",
        )
        if device == "mps":
            model.to(device)
        model.eval()
        self._model = model
        self._processor = package.VibeVoiceStreamingProcessor.from_pretrained(path)
        self._device = device
        # Only one is kept: a prompt takes some 10 MB on the device.
        self._prompt = functools.lru_cache(1)(lambda path: load_prompt(torch, path, device))

    def generate(
        self, generation: Generation, voice: str | None, *, steps: int | None, cfg_scale: float | None
    ) -> bool:
        """Generate the text with the voice in that file. Return False if it reached its maximum length."""
        prompt = self._prompt(str(voice))
        inputs = self._processor.process_input_with_cached_prompt(
            text=generation.request.text.strip().replace("’", "'"),
            cached_prompt=prompt,
            padding=True,
            return_tensors="pt",
            return_attention_mask=True,
        )
        self._model.set_ddpm_inference_steps(num_steps=DDPM_STEPS if steps is None else steps)
        outputs = self._model.generate(
            **{name: value.to(self._device) if hasattr(value, "to") else value for name, value in inputs.items()},
            max_new_tokens=None,
            cfg_scale=CFG_SCALE if cfg_scale is None else cfg_scale,
            tokenizer=self._processor.tokenizer,
            generation_config={"do_sample": False},
            audio_streamer=Listener(generation),
            stop_check_fn=lambda: generation.cancelled,
            verbose=False,
            show_progress_bar=False,
            all_prefilled_outputs=copy.deepcopy(prompt),
        )
        reached = getattr(outputs, "reach_max_step_sample", None)
        return reached is None or not bool(reached.any())


class Listener:
    """The `audio_streamer` of one generation: passes chunks to the generation."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._ended = False

    @property
    def finished_flags(self) -> list[bool]:
        return [self._ended or self._generation.cancelled]

    def put(self, audio_chunks: Any, sample_indices: Any) -> None:
        """Queue a chunk; drop it after `end`. Raise Interrupted, which ends the generation, once it is cancelled."""
        if self._ended:
            return
        for _, row in rows(audio_chunks, sample_indices, 1):
            self._generation.write(to_pcm(row))
            self._generation.stop_if_cancelled()

    def end(self, sample_indices: Any = None) -> None:
        """Mark generation as finished (batch size 1)."""
        del sample_indices
        self._ended = True
