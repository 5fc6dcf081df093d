"""Frames of a fixed size, from bytes cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.codecs.frames import Frames


@given(data=st.binary(max_size=1000), cuts=st.lists(st.integers(0, 200), max_size=30), size=st.integers(1, 170))
def test_any_cut_gives_the_same_frames_and_only_the_last_is_padded(data, cuts, size):
    frames, given, at = Frames(size), [], 0
    for count in cuts:
        given += frames.cut(data[at : at + count])
        at += count
        assert len(given) == min(at, len(data)) // size, "complete frames are returned at once"
    given += frames.cut(data[at:])
    given += frames.finish()
    assert all(len(frame) == size for frame in given)
    assert b"".join(given) == data + b"\xff" * (-len(data) % size)


def test_whole_number_of_frames_needs_no_padding():
    frames = Frames()
    assert frames.cut(bytes(320)) == [bytes(160), bytes(160)]
    assert frames.finish() == []


def test_the_padding_is_mulaw_silence():
    frames = Frames()
    assert frames.cut(b"\x12") == []
    (last,) = frames.finish()
    assert last == b"\x12" + b"\xff" * 159
    assert frames.finish() == []


@given(data=st.binary(max_size=1000), cuts=st.lists(st.integers(0, 200), max_size=30), size=st.integers(1, 170))
def test_padding_is_optional(data, cuts, size):
    frames, given, at = Frames(size, fill=None), [], 0
    for count in cuts:
        given += frames.cut(data[at : at + count])
        at += count
    given += frames.cut(data[at:]) + frames.finish()
    assert b"".join(given) == data
    assert all(len(frame) == size for frame in given[:-1])


@pytest.mark.parametrize("pieces", [[b""], []])
def test_empty_input_gives_no_frame(pieces):
    frames = Frames()
    assert [frame for piece in pieces for frame in frames.cut(piece)] == []
    assert frames.finish() == []
