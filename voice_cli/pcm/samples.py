"""What a generator hands over: which samples its chunks are of, a copy that is the reader's own, and its PCM.

A tensor is told by what it can do (`detach`, `tolist`, `shape`), so torch is never imported here, and numpy
only by `to_pcm`.
"""

import copy
import operator
from typing import Any

from voice_cli.audio import FULL_SCALE, SAMPLE_BYTES

_NARROW_FLOATS = ("float16", "float8", "float4")
"""In the names of the dtypes, bfloat16 too, that numpy has no type for, or none that sums well."""


class SampleIndexError(IndexError, ValueError):
    """No such sample in the batch. A ValueError too, because that is what VibeVoice's `get_stream` raises."""


def sample_number(sample_idx: Any, batch_size: int) -> int:
    """Give the index as an int.

    Raises:
        SampleIndexError: it is below 0 or not below `batch_size`.
        TypeError: it is no integer. A bool is none: as an index it would be a mask.

    """
    if isinstance(sample_idx, bool):
        raise TypeError("a sample index is an integer, not a bool: a mask is no list of indices")
    number = operator.index(sample_idx)
    if not 0 <= number < batch_size:
        raise SampleIndexError(f"there is no sample {number} in a batch of {batch_size}")
    return number


def sample_numbers(sample_indices: Any, batch_size: int) -> list[int]:
    """Give every index of a scalar, a list, or a tensor of 0 to 2 dimensions, in reading order.

    Raises:
        SampleIndexError: see `sample_number`.
        TypeError: likewise, or there are more than two dimensions.

    """
    values = _plain(sample_indices)
    if not hasattr(values, "__iter__"):
        return [sample_number(values, batch_size)]
    flat: list[Any] = []
    for value in values:
        row = _plain(value)
        if hasattr(row, "__iter__"):
            flat.extend(map(_plain, row))
        else:
            flat.append(row)
    return [sample_number(value, batch_size) for value in flat]


def _plain(value: Any) -> Any:
    # One copy off the device for all indices, not one for each.
    return value.tolist() if hasattr(value, "tolist") else value


def rows(audio_chunks: Any, sample_indices: Any, batch_size: int) -> list[tuple[int, Any]]:
    """Pair each sample's number with its chunk, which still is a view of `audio_chunks`.

    `audio_chunks` has the shape `(samples, ...)`, or is a list of chunks. For a scalar index it may also be
    the chunk itself, with one dimension.

    Raises:
        SampleIndexError, TypeError: see `sample_numbers`.
        ValueError: there are not as many chunks as indices.

    """
    values = _plain(sample_indices)
    numbers = sample_numbers(values, batch_size)
    if not hasattr(values, "__iter__") and not _has_rows(audio_chunks):
        return [(numbers[0], audio_chunks)]
    if len(audio_chunks) != len(numbers):
        raise ValueError(f"{len(audio_chunks)} chunks for {len(numbers)} sample indices")
    return [(number, audio_chunks[row]) for row, number in enumerate(numbers)]


def _has_rows(audio_chunks: Any) -> bool:
    """Whether it has two dimensions, as far as one can see without a look at every sample."""
    shape = getattr(audio_chunks, "shape", None)
    if shape is not None:
        return len(shape) > 1
    return hasattr(next(iter(audio_chunks), None), "__iter__")


def own(chunk: Any) -> Any:
    """Copy a chunk, so that what is read is what was put, whatever becomes of the generator's buffers.

    A torch tensor is detached and brought to the CPU; half-precision floats become float32, because numpy
    has no bfloat16 and `.numpy()` on one raises. An array stays an array, a list a list.
    """
    if hasattr(chunk, "detach"):
        tensor = chunk.detach().cpu()
        return tensor.float() if _is_narrow(tensor) else tensor.clone()
    if hasattr(chunk, "dtype"):
        return chunk.copy()
    if isinstance(chunk, memoryview):
        return bytes(chunk)
    if isinstance(chunk, list | tuple) and chunk and hasattr(chunk[0], "__iter__"):
        return [own(item) for item in chunk]
    return copy.copy(chunk)


def _is_narrow(tensor: Any) -> bool:
    name = str(getattr(tensor, "dtype", ""))
    return any(narrow in name for narrow in _NARROW_FLOATS)


def to_pcm(chunk: Any) -> bytes:
    """Convert one mono chunk to signed 16-bit little-endian PCM, as `voice_cli.audio` knows it.

    Floats are clipped to full scale and rounded to the nearest step of 1/32768; what is not a number is
    silence. int16 samples, and a list of integers in their range, are taken as they are. Any thread; any
    chunk of a streamer, or what a generator puts (bfloat16, CUDA).

    Raises:
        TypeError: the samples are neither floats nor 16-bit integers.
        ValueError: there is more than one channel, or an integer of a list is out of range.

    """
    import numpy as np

    if hasattr(chunk, "detach"):
        chunk = own(chunk).numpy()
    samples = np.asarray(chunk)
    if samples.size and samples.size != max(samples.shape, default=1):
        raise ValueError(f"a chunk of one channel is wanted, not one of shape {samples.shape}")
    samples = samples.reshape(-1)
    if samples.dtype.kind == "f":
        wide = samples.astype(np.promote_types(samples.dtype, np.float32))
        # Clipped before it is scaled: a float near its own limit would overflow.
        np.clip(wide, -1.0, (FULL_SCALE - 1) / FULL_SCALE, out=wide)
        wide[np.isnan(wide)] = 0.0
        samples = np.rint(wide * FULL_SCALE)
    elif samples.dtype.kind == "i" and not hasattr(chunk, "dtype"):
        if samples.min() < -FULL_SCALE or samples.max() >= FULL_SCALE:
            raise ValueError("an integer sample is beyond 16 bits")
    elif samples.dtype.kind != "i" or samples.dtype.itemsize != SAMPLE_BYTES:
        raise TypeError(f"samples are floats or 16-bit integers, not {samples.dtype}")
    pcm: bytes = samples.astype("<i2").tobytes()
    return pcm
