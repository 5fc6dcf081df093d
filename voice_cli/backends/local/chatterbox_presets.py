"""Chatterbox's presets, and how each of their values is applied.

`exaggeration`, `cfg_weight` and `temperature` are arguments. `s3gen_steps` is a constant in the package's code, so a
hook changes it in the decoder's arguments. The package has one `chunk_size` for all chunks, so tokens are requested
one by one and grouped here, which also keeps the tail that a full buffer would lose.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from voice_cli.errors import UsageError


class Preset(NamedTuple):
    exaggeration: float
    cfg_weight: float
    chunk_size: int
    """Speech tokens a chunk; a token is 40 ms."""
    s3gen_steps: int
    """Steps of the flow that converts tokens to audio."""
    temperature: float
    first_chunk_size: int | None = None
    """None: `chunk_size`."""

    @property
    def sizes(self) -> tuple[int, int]:
        """Return the tokens of the first chunk and of the others."""
        return self.first_chunk_size or self.chunk_size, self.chunk_size


PRESETS = {
    "balanced": Preset(0.5, 0.5, 24, 5, 0.5),
    "expressive": Preset(0.7, 0.3, 25, 7, 0.55),
    "fast": Preset(0.4, 0.5, 18, 5, 0.4),
    "clone_fidelity": Preset(0.3, 0.65, 30, 7, 0.4),
    "realtime": Preset(0.4, 0.4, 10, 4, 0.45),
    "adaptive": Preset(0.5, 0.5, 24, 5, 0.5, first_chunk_size=12),
}
DEFAULT_PRESET = "balanced"


def preset_named(name: str) -> Preset:
    """Return the preset of that name, or raise UsageError."""
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}", hint=f"the presets: {', '.join(PRESETS)}")
    return PRESETS[name]


def _attribute(owner: Any, path: str) -> Any:
    """Return the attribute at a dotted path, or None."""
    for name in path.split("."):
        owner = getattr(owner, name, None)
    return owner


@contextlib.contextmanager
def _pre_hook(module: Any, hook: Callable[..., Any]) -> Iterator[bool]:
    """Call `hook` before each call of a torch module, while the context is open. Yields False if it is not one."""
    if not hasattr(module, "register_forward_pre_hook"):
        yield False
        return
    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield True
    finally:
        handle.remove()


def flow_steps(model: Any, steps: int, stop: Callable[[], None]) -> contextlib.AbstractContextManager[bool]:
    """Set the flow's steps and call `stop` before each run, while the context is open. Yields False if unsupported.

    The flow matching is `s3gen.flow.decoder`, called with `n_timesteps` (its third argument).
    """

    def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        stop()
        if len(args) > 2:
            return (*args[:2], steps, *args[3:]), kwargs
        return args, {**kwargs, "n_timesteps": steps}

    return _pre_hook(_attribute(model, "s3gen.flow.decoder"), hook)


def stop_between_tokens(model: Any, stop: Callable[[], None]) -> contextlib.AbstractContextManager[bool]:
    """Call `stop` before each token, while the context is open; it ends the generation by raising."""
    return _pre_hook(_attribute(model, "t3.tfmr"), lambda *_: stop())


class Regrouped:
    """A model's `inference_stream`, with chunks of tokens of the preset's sizes.

    The fork drops its buffer when it reaches its maximum length; with a chunk size of 1, the buffer is always empty.
    """

    def __init__(self, model: Any, sizes: tuple[int, int], join: Callable[[list[Any]], Any]) -> None:
        """`sizes`: the tokens of the first chunk and of the others. `join` concatenates tokens."""
        self._inference_stream = model.inference_stream
        self._stop_token = _attribute(model, "t3.hp.stop_speech_token")
        self._join = join
        self._sizes = sizes
        self.tokens = 0
        self.is_complete = self._stop_token is None
        """Whether the model generated the stop token; true if it has none."""

    def __call__(self, **arguments: Any) -> Iterator[Any]:
        size, later = self._sizes
        held: list[Any] = []
        for token in self._inference_stream(**{**arguments, "chunk_size": 1}):
            if self._stop_token is not None and int(token.reshape(-1)[-1]) == self._stop_token:
                self.is_complete = True  # the token has no audio
                continue
            self.tokens += 1
            held.append(token)
            if len(held) >= size:
                yield self._join(held)
                held, size = [], later
        if held:
            yield self._join(held)
