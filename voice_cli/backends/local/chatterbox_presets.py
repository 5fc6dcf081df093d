"""Chatterbox's presets, and how each of their values is made to hold.

`exaggeration`, `cfg_weight` and `temperature` are arguments. `s3gen_steps` is none: the number of steps is written in
the code, so it is changed on its way into the decoder, by a hook. `chunk_size` is one for all chunks: so tokens are
asked for one by one, and put together here, which also keeps the tail that a full buffer would lose.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from voice_cli.backends.local.torch_engine import replaced
from voice_cli.errors import Interrupted, TruncatedAudio, UsageError


class Preset(NamedTuple):
    """One way to speak."""

    exaggeration: float
    cfg_weight: float
    chunk_size: int
    """Speech tokens a chunk: 40 ms each."""
    s3gen_steps: int
    """Steps of the flow that makes the sound of the tokens."""
    temperature: float
    first_chunk_size: int | None = None
    """None: as `chunk_size`."""
    continuation_chunk_size: int | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Tokens of the first chunk, and of the others."""
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
    """While it lasts, the flow takes that many steps, and asks `stop` before each run; gives whether it can.

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
    """While it lasts, `stop` is asked before each token, and ends the generation by raising."""
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
    """A model's `inference_stream`, whose chunks of tokens are of the preset's sizes, and none is lost.

    The fork drops what is in its buffer when it reaches the most tokens that it makes; asked for one at a time, its
    buffer is always empty.
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
        """The model said by itself that it is through with the text; or it cannot be told."""

    def __call__(self, **arguments: Any) -> Iterator[Any]:
        size, later = self._sizes
        held: list[Any] = []
        for token in self._inference_stream(**{**arguments, "chunk_size": 1}):
            if self._stop_token is not None and int(token.reshape(-1)[-1]) == self._stop_token:
                self.came_to_the_end = True  # it has no sound: alone in a chunk it would cost a run for nothing
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
    """While it lasts, `generate_stream` makes chunks of the preset's sizes; None: the model has no place for that."""
    original = getattr(model, "inference_stream", None)
    if original is None:
        yield None
        return
    stop_token = getattr(getattr(getattr(model, "t3", None), "hp", None), "stop_speech_token", None)
    regrouped = Regrouped(original, join, preset.sizes, stop_token)
    with replaced(model, "inference_stream", regrouped):
        yield regrouped


def check_end(regrouped: Regrouped | None) -> None:
    """Check that the model came to the text's end by itself.

    Raises:
        TruncatedAudio: it stopped at the most tokens that it makes.

    """
    if regrouped is not None and not regrouped.came_to_the_end:
        raise TruncatedAudio(
            f"chatterbox stopped after {regrouped.tokens} tokens, the most that it makes, before the end of the text",
            hint="give it shorter texts",
        )


def stop_if(cancelled: Callable[[], bool]) -> Callable[[], None]:
    """Make of a question a function that raises Interrupted once it is answered with yes."""

    def stop() -> None:
        if cancelled():
            raise Interrupted("the speech was cancelled")

    return stop
