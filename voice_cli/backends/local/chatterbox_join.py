"""Cross-fade Chatterbox's chunks.

The fork renders each chunk with up to 50 preceding tokens as context, and cuts the context off: the new chunk does not
continue the last one exactly, and the fork's own fade-in leaves a gap in each chunk. The context is a second rendering
of the last chunk's end, so the end of each chunk is held back and cross-faded with it.
"""

import contextlib
from typing import Any

from voice_cli.backends.local.torch_engine import replaced
from voice_cli.pcm.samples import own, to_pcm

FADE_SECONDS = 0.01


class ChunkJoin:
    """Joins the chunks of one generation; needs the vocoder's output, which it records while `listening`.

    The number of frames stays the same. Chunks stay unchanged if the model has no such vocoder.
    """

    def __init__(self, model: Any, rate: int) -> None:
        self._s3gen = getattr(model, "s3gen", None)
        self._fade = round(FADE_SECONDS * rate)
        self._held: Any = None
        self._rendered: Any = None
        self._inference: Any = getattr(self._s3gen, "inference", None)

    def listening(self) -> contextlib.AbstractContextManager[None]:
        if self._inference is None:
            return contextlib.nullcontext()
        return replaced(self._s3gen, "inference", self._listen)

    def _listen(self, *args: Any, **kwargs: Any) -> Any:
        result = self._inference(*args, **kwargs)
        self._rendered = result[0]
        return result

    def add(self, chunk: Any) -> bytes:
        """Add a chunk; return the PCM that is final."""
        import numpy as np

        new = _samples(chunk)
        fade = self._fade
        before = self._held if self._held is not None else new[:0]
        if len(before) == fade:
            context = self._context(len(new), fade)
            if context is not None:
                weight = np.linspace(0.0, 1.0, fade, dtype=np.float32)
                before = before * (1 - weight) + context * weight
        sound = np.concatenate((before, new))
        if self._inference is None or len(new) < fade:
            self._held = None
            return to_pcm(sound)
        self._held = sound[len(sound) - fade :]
        return to_pcm(sound[: len(sound) - fade])

    def _context(self, frames: int, fade: int) -> Any:
        """Return the frames that were rendered before the chunk's first, if they were."""
        rendered, self._rendered = self._rendered, None
        if rendered is None:
            return None
        samples = _samples(rendered)
        return samples[-frames - fade : -frames] if len(samples) >= frames + fade else None

    def end(self) -> bytes:
        """Return what was held back."""
        held, self._held = self._held, None
        return b"" if held is None else to_pcm(held)


def _samples(sound: Any) -> Any:
    import numpy as np

    return np.asarray(own(sound), dtype=np.float32).reshape(-1)
