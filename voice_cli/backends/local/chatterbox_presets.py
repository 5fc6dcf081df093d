"""Chatterbox's presets, and how each of their values is applied.

`exaggeration`, `cfg_weight` and `temperature` are arguments. `s3gen_steps` is a constant in the package's code, so a
hook changes it on its way into the decoder. The package has one `chunk_size` for all chunks, so tokens are requested
one by one and grouped here, which also keeps the tail that a full buffer would lose.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from voice_cli.backends.local.torch_engine import replaced
from voice_cli.errors import UsageError


class Preset(NamedTuple):
    """The values of one preset."""

    exaggeration: float
    cfg_weight: float
    chunk_size: int
    """Speech tokens a chunk: 40 ms each."""
    s3gen_steps: int
    """Steps of the flow that converts tokens to audio."""
    temperature: float
    first_chunk_size: int | None = None
    """None: as `chunk_size`."""
    continuation_chunk_size: int | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Return the tokens of the first chunk and of the others."""
        return self.first_chunk_size or self.chunk_size, self.continuation_chunk_size or self.chunk_size


PRESETS = {
    "balanced": Preset(0.5, 0.5, 24, 5, 0.5),
    "expressive": Preset(0.7, 0.3, 25, 7, 0.55),
    "fast": Preset(0.4, 0.5, 18, 5, 0.4),
    "clone_fidelity": Preset(0.3, 0.65, 30, 7, 0.4),
    "realtime": Preset(0.4, 0.4, 10, 4, 0.45),
    "adaptive": Preset(0.5, 0.5, 24, 5, 0.5, first_chunk_size=12, continuation_chunk_size=24),
}
DEFAULT_PRESET = "balanced"


def preset_named(name: str) -> Preset:
    """Return the preset of that name.

    Raises:
        UsageError: no preset has it.

    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}", hint=f"the presets: {', '.join(PRESETS)}")
    return PRESETS[name]


@contextlib.contextmanager
def steps_of(model: Any, steps: int, stop: Callable[[], None]) -> Iterator[bool]:
    """Set the flow's steps and call `stop` before each run, while the context is open. Yields False if it cannot be.

    The flow matching is `s3gen.flow.decoder`, called with `n_timesteps` (its third argument).
    """
    flow = getattr(getattr(getattr(model, "s3gen", None), "flow", None), "decoder", None)
    if flow is None or not hasattr(flow, "register_forward_pre_hook"):
        yield False
        return

    def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        stop()
        if len(args) > 2:
            return (*args[:2], steps, *args[3:]), kwargs
        return args, {**kwargs, "n_timesteps": steps}

    handle = flow.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield True
    finally:
        handle.remove()


@contextlib.contextmanager
def stopping(model: Any, stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` before each token, while the context is open; it ends the generation by raising."""
    language_model = getattr(getattr(model, "t3", None), "tfmr", None)
    if language_model is None or not hasattr(language_model, "register_forward_pre_hook"):
        yield
        return
    handle = language_model.register_forward_pre_hook(lambda *_: stop())
    try:
        yield
    finally:
        handle.remove()


class Regrouped:
    """A model's `inference_stream`, with chunks of tokens of the preset's sizes.

    The fork drops its buffer when it reaches its maximum length; with a chunk size of 1, the buffer is always empty.
    """

    def __init__(
        self,
        inference_stream: Callable[..., Any],
        join: Callable[[list[Any]], Any],
        sizes: tuple[int, int],
        stop_token: int | None,
    ) -> None:
        """Take the model's method, what joins token tensors, and the sizes of the first chunk and of the others."""
        self._inference_stream = inference_stream
        self._stop_token = stop_token
        self._join = join
        self._sizes = sizes
        self.tokens = 0
        self.came_to_the_end = stop_token is None
        """Whether the model generated the stop token; true if it has none."""

    def __call__(self, **arguments: Any) -> Iterator[Any]:
        size, later = self._sizes
        held: list[Any] = []
        for token in self._inference_stream(**{**arguments, "chunk_size": 1}):
            if self._stop_token is not None and int(token.reshape(-1)[-1]) == self._stop_token:
                self.came_to_the_end = True  # it has no sound
                continue
            self.tokens += 1
            held.append(token)
            if len(held) >= size:
                yield self._join(held)
                held, size = [], later
        if held:
            yield self._join(held)


@contextlib.contextmanager
def sizes_of(model: Any, preset: Preset, join: Callable[[list[Any]], Any]) -> Iterator[Regrouped | None]:
    """Set the sizes of `generate_stream`'s chunks while the context is open. Yields None if the model cannot."""
    original = getattr(model, "inference_stream", None)
    if original is None:
        yield None
        return
    stop_token = getattr(getattr(getattr(model, "t3", None), "hp", None), "stop_speech_token", None)
    regrouped = Regrouped(original, join, preset.sizes, stop_token)
    with replaced(model, "inference_stream", regrouped):
        yield regrouped
