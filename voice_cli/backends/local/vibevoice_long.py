"""VibeVoice's long-form models, through transformers' own VibeVoiceForConditionalGeneration (5.17 and later).

Its `streamer` is told token numbers, never sound. So the acoustic decoder is listened to:
`model.model.audio_tower.decode` is called once a token and gives `(1, 1, 3200)`, the 133 ms that `generate` would put
together at the end.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from voice_cli.backends.local.torch_engine import replaced
from voice_cli.backends.local.vibevoice import VibeVoiceModel
from voice_cli.backends.local.worker import Generation
from voice_cli.backends.packages import install_line, load
from voice_cli.errors import EngineError, Interrupted, TruncatedAudio
from voice_cli.pcm.samples import to_pcm

INSTALL = install_line("vibevoice")
STEPS = 10
GUIDANCE_SCALE = 1.3


class LongForm(VibeVoiceModel):
    """The model and its processor."""

    def __init__(self, path: str, device: str) -> None:
        torch = load("vibevoice", "torch", INSTALL)
        transformers = load("vibevoice", "transformers", INSTALL)
        if not hasattr(transformers, "VibeVoiceForConditionalGeneration"):
            raise EngineError("this transformers has no VibeVoice: 5.17 is wanted", hint=f"{INSTALL} -U")
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        model = transformers.VibeVoiceForConditionalGeneration.from_pretrained(path, dtype=dtype)
        self._model = model.to(device).eval()
        self._processor = transformers.AutoProcessor.from_pretrained(path)
        self.rate = int(getattr(getattr(self._processor, "feature_extractor", None), "sampling_rate", self.rate))

    def generate(
        self, generation: Generation, voice: str | None, *, steps: int | None, cfg_scale: float | None
    ) -> None:
        """Speak.

        Raises:
            TruncatedAudio: it stopped at the most tokens that it may make.

        """
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
        if int(outputs.sequences[0, -1]) not in ends and not generation.cancelled:
            raise TruncatedAudio(
                "vibevoice reached its longest speech before the end of the text", hint="shorter texts"
            )


@contextlib.contextmanager
def tapped(decoder: Any, generation: Generation) -> Iterator[None]:
    """While it lasts, what the acoustic decoder makes is given to the listener, and it raises once nobody listens."""
    decode = decoder.decode

    def listen(*args: Any, **kwargs: Any) -> Any:
        if generation.cancelled:
            raise Interrupted("the speech was cancelled")
        output = decode(*args, **kwargs)
        if not generation.give(to_pcm(output.audio)):
            raise Interrupted("the speech was cancelled")
        return output

    with replaced(decoder, "decode", listen):
        yield
