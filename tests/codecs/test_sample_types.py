"""Sample types: conversion equals ffmpeg's."""

import math
import struct

import av
import numpy as np
import pytest

from voice_cli.codecs.sample_types import SAMPLE_TYPES
from voice_cli.pcm import g711

RAW = np.random.default_rng(5).integers(0, 256, 4800, dtype=np.uint8).tobytes()
FLOATS = np.random.default_rng(6).normal(0, 0.6, 1200)


def by_ffmpeg(raw: bytes, codec: str) -> bytes:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 8_000, "mono"
    resampler = av.AudioResampler("s16")
    out = [o for frame in context.decode(av.Packet(raw)) for o in resampler.resample(frame)]
    return b"".join(bytes(o.planes[0])[: o.samples * 2] for o in out)


@pytest.mark.parametrize("name", SAMPLE_TYPES)
def test_equals_ffmpeg(name):
    raw = RAW
    if name.startswith("f"):
        raw = FLOATS.astype({"le": "<", "be": ">"}[name[3:]] + f"f{SAMPLE_TYPES[name].size}").tobytes()
    assert SAMPLE_TYPES[name].convert(raw) == by_ffmpeg(raw, f"pcm_{name}")


def test_floats_beyond_full_scale_and_nan_are_clipped():
    raw = struct.pack("<8f", 1.0, -1.0, 2.0, -2.0, math.inf, -math.inf, math.nan, 0.5 / 32768)
    assert struct.unpack("<8h", SAMPLE_TYPES["f32le"].convert(raw)) == (
        32767,
        -32768,
        32767,
        -32768,
        32767,
        -32768,
        0,
        0,
    )


def test_mu_law_has_two_zeros():
    table = struct.unpack("<256h", g711.decode(bytes(range(256))))
    assert [code for code, sample in enumerate(table) if sample == 0] == [0x7F, 0xFF]
    assert (table[0], table[0x80]) == (-32124, 32124)


def test_known_values():
    assert SAMPLE_TYPES["s24le"].convert(b"\x01\x34\x12\xff\xff\xff") == struct.pack("<2h", 0x1234, -1)
    assert SAMPLE_TYPES["u8"].convert(b"\x80\x00\xff") == struct.pack("<3h", 0, -32768, 32512)
