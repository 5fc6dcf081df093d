"""VibeVoice's long-form models, through transformers' own VibeVoiceForConditionalGeneration (5.17 and later).

Its `streamer` gets token numbers, not audio. So `model.model.audio_tower.decode` is wrapped: the model calls it once a
token, and it returns `(1, 1, 3200)`, 133 ms of what `generate` returns as a whole at the end.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from voice_cli.backends.local.torch_engine import replaced
from voice_cli.backends.local.vibevoice import INSTALL
from voice_cli.backends.local.worker import Generation
from voice_cli.backends.packages import load
from voice_cli.errors import EngineError
from voice_cli.pcm.samples import to_pcm

STEPS = 10
GUIDANCE_SCALE = 1.3


class Model:
    """The model and its processor. Used on the worker thread only."""

    def __init__(self, path: str, device: str) -> None:
        torch = load("vibevoice", "torch", INSTALL)
        transformers = load("vibevoice", "transformers", INSTALL)
        if not hasattr(transformers, "VibeVoiceForConditionalGeneration"):
            raise EngineError("this transformers is older than 5.17: it has no VibeVoice", hint=f"{INSTALL} -U")
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        model = transformers.VibeVoiceForConditionalGeneration.from_pretrained(path, dtype=dtype)
        self._model = model.to(device).eval()
        self._processor = transformers.AutoProcessor.from_pretrained(path)

    def generate(
        self, generation: Generation, voice: str | None, *, steps: int | None, cfg_scale: float | None
    ) -> bool:
        """Generate the text with the voice in that file. Return False if it reached its maximum length."""
        content: list[dict[str, str]] = [{"type": "text", "text": generation.request.text.strip()}]
        if voice is not None:
            content.append({"type": "audio", "path": voice})
        inputs = self._processor.apply_chat_template(
            [{"role": "0", "content": content}], return_dict=True, tokenize=True, return_tensors="pt"
        ).to(self._model.device, self._model.dtype)
        model = self._model
        with tapped(model.model.audio_tower, generation):
            outputs = model.generate(
                **inputs,
                guidance_scale=GUIDANCE_SCALE if cfg_scale is None else cfg_scale,
                num_diffusion_steps=STEPS if steps is None else steps,
                monitor_progress=False,
                return_dict_in_generate=True,
            )
        ends = {model.config.eos_token_id, model.config.audio_eos_token_id}
        return int(outputs.sequences[0, -1]) in ends


@contextlib.contextmanager
def tapped(decoder: Any, generation: Generation) -> Iterator[None]:
    """Pass the output of the acoustic decoder to the generation; raise Interrupted once it is cancelled."""
    decode = decoder.decode

    def listen(*args: Any, **kwargs: Any) -> Any:
        generation.stop_if_cancelled()
        output = decode(*args, **kwargs)
        generation.write(to_pcm(output.audio))
        generation.stop_if_cancelled()
        return output

    with replaced(decoder, "decode", listen):
        yield
