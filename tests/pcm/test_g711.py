"""µ-law decoding (ITU-T G.711)."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from voice_cli.pcm.g711 import decode

SAMPLES = {
    0xFF: 0,
    0x7F: 0,
    0x80: 32124,
    0x00: -32124,
    0xFE: 8,
    0x7E: -8,
    0xEF: 132,
    0x6F: -132,
    0xC0: 1884,
    0x8F: 16764,
}
"""Table 2a of G.711, times 4 (14 bits in 16)."""


def test_values_of_the_recommendation():
    for code, sample in SAMPLES.items():
        assert struct.unpack("<h", decode(bytes([code]))) == (sample,), hex(code)


def test_codes_are_monotonic_and_symmetrical():
    positive = [struct.unpack("<h", decode(bytes([code])))[0] for code in range(0xFF, 0x7F, -1)]
    negative = [struct.unpack("<h", decode(bytes([code])))[0] for code in range(0x7F, -1, -1)]
    assert positive == sorted(set(positive))
    assert negative == [-sample for sample in positive]


@given(st.binary(), st.integers(0, 50))
def test_result_does_not_depend_on_the_cut(data, at):
    assert decode(data[:at]) + decode(data[at:]) == decode(data)
    assert len(decode(data)) == 2 * len(data)
