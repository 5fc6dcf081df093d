"""Trimming of encoder delay and padding, independently of chunk boundaries."""

from hypothesis import given
from hypothesis import strategies as st

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.codecs.trim import Trim

STEREO = AudioFormat(8_000, 2)
bound = st.none() | st.integers(0, 60)


@given(st.integers(0, 60), bound, bound, st.lists(st.integers(1, 20), max_size=12))
def test_the_result_does_not_depend_on_the_cut(start, end, resume, sizes):
    trim, position, kept = Trim(start, end, resume), 0, []
    for size in sizes:
        data = b"".join(bytes([n, n, n, n]) for n in range(position, position + size))
        chunks = trim.keep(PcmChunk(STEREO, data))
        assert all(chunk.data for chunk in chunks)
        kept += [n for chunk in chunks for n in chunk.data[::4]]
        position += size
    resumed = None if end is None or resume is None else max(resume, end)

    def sounds(n: int) -> bool:
        return (n >= start and (end is None or n < end)) or (resumed is not None and n >= resumed)

    assert kept == [n for n in range(position) if sounds(n)]


def test_skipped_frames_count():
    trim = Trim(start=10)
    trim.position += 8
    assert [chunk.frames for chunk in trim.keep(PcmChunk(STEREO, bytes(4 * 5)))] == [3]
