"""Chunks of arrays, tensors and lists: the samples of a batch, copies, and conversion to PCM.

A sample is one item of a generator's batch. Tensors are recognised by their methods, so torch is not imported; numpy is
imported only by `to_pcm`.
"""

import copy
import operator
from typing import Any

from voice_cli.audio import FULL_SCALE, SAMPLE_BYTES

_NARROW_FLOATS = ("float16", "float8", "float4")
"""In the names of dtypes, bfloat16 included, that numpy lacks or does not sum well."""


class SampleIndexError(IndexError, ValueError):
    """The batch has no such sample. Also a ValueError, which VibeVoice's `get_stream` raises."""


def sample_number(sample_idx: Any, batch_size: int) -> int:
    """Return the index as an int; raise SampleIndexError if the batch has no such sample.

    Raises TypeError if it is not an integer. A bool is not one: it would be a mask.
    """
    if isinstance(sample_idx, bool):
        raise TypeError("a sample index must be an integer, not a bool (masks are not supported)")
    number = operator.index(sample_idx)
    if not 0 <= number < batch_size:
        raise SampleIndexError(f"there is no sample {number} in a batch of {batch_size}")
    return number


def sample_numbers(sample_indices: Any, batch_size: int) -> list[int]:
    """Return every index of a scalar, a list, or a tensor of 0 to 2 dimensions, row by row.

    Raises as `sample_number` does, and TypeError if there are more than two dimensions.
    """
    flat: list[Any] = []
    for value in _items(_plain(sample_indices)):
        flat += map(_plain, _items(_plain(value)))
    return [sample_number(value, batch_size) for value in flat]


def _items(value: Any) -> Any:
    return value if hasattr(value, "__iter__") else [value]


def _plain(value: Any) -> Any:
    # One copy off the device for all indices, not one for each.
    return value.tolist() if hasattr(value, "tolist") else value


def rows(audio_chunks: Any, sample_indices: Any, batch_size: int) -> list[tuple[int, Any]]:
    """Return (sample number, chunk) for each index. The chunks are views of `audio_chunks`.

    `audio_chunks` has the shape `(samples, ...)`, or is a list of chunks. With a scalar index it may also be the chunk
    itself, with one dimension.

    Raises as `sample_numbers` does, and ValueError if the numbers of chunks and indices differ.
    """
    values = _plain(sample_indices)
    numbers = sample_numbers(values, batch_size)
    if not hasattr(values, "__iter__") and not _has_rows(audio_chunks):
        return [(numbers[0], audio_chunks)]
    if len(audio_chunks) != len(numbers):
        raise ValueError(f"{len(audio_chunks)} chunks for {len(numbers)} sample indices")
    return [(number, audio_chunks[row]) for row, number in enumerate(numbers)]


def _has_rows(audio_chunks: Any) -> bool:
    """Return whether the chunks have two dimensions, from their shape or the first item."""
    shape = getattr(audio_chunks, "shape", None)
    if shape is not None:
        return len(shape) > 1
    return hasattr(next(iter(audio_chunks), None), "__iter__")


def own(chunk: Any) -> Any:
    """Return a copy of a chunk, which the generator's next writes to its buffers do not change.

    A torch tensor is detached and copied to the CPU; half-precision floats become float32, because numpy has no
    bfloat16. An array stays an array, a list a list.
    """
    if hasattr(chunk, "detach"):
        tensor = chunk.detach().cpu()
        name = str(getattr(tensor, "dtype", ""))
        return tensor.float() if any(narrow in name for narrow in _NARROW_FLOATS) else tensor.clone()
    if hasattr(chunk, "dtype"):
        return chunk.copy()
    if isinstance(chunk, memoryview):
        return bytes(chunk)
    if isinstance(chunk, list | tuple) and chunk and hasattr(chunk[0], "__iter__"):
        return [own(item) for item in chunk]
    return copy.copy(chunk)


def to_pcm(chunk: Any) -> bytes:
    """Convert one mono chunk to s16le: a list, an array, or a tensor of any float type and device. Any thread.

    Floats are clipped to full scale and rounded to the nearest step of 1/32768; NaN becomes 0. int16 samples, and lists
    of integers in their range, are kept.

    Raises:
        TypeError: the samples are neither floats nor 16-bit integers.
        ValueError: there is more than one channel, or an integer of a list is out of range.

    """
    import numpy as np

    if hasattr(chunk, "detach"):
        chunk = own(chunk).numpy()
    samples = np.asarray(chunk)
    if samples.size and samples.size != max(samples.shape, default=1):
        raise ValueError(f"a chunk must have one channel; its shape is {samples.shape}")
    samples = samples.reshape(-1)
    if samples.dtype.kind == "f":
        wide = samples.astype(np.promote_types(samples.dtype, np.float32))
        # Clipped before it is scaled: a float near its own limit would overflow.
        np.clip(wide, -1.0, (FULL_SCALE - 1) / FULL_SCALE, out=wide)
        wide[np.isnan(wide)] = 0.0
        samples = np.rint(wide * FULL_SCALE)
    elif samples.dtype.kind == "i" and not hasattr(chunk, "dtype"):
        if samples.min() < -FULL_SCALE or samples.max() >= FULL_SCALE:
            raise ValueError("an integer sample does not fit into 16 bits")
    elif samples.dtype.kind != "i" or samples.dtype.itemsize != SAMPLE_BYTES:
        raise TypeError(f"samples must be floats or 16-bit integers, not {samples.dtype}")
    pcm: bytes = samples.astype("<i2").tobytes()
    return pcm
