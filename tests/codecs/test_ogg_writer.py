"""Ogg writer: pages are read back by the demuxer and equal another writer's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import material
from voice_cli.codecs.ogg import OggDemuxer, OggWriter, Packet

packets = st.lists(st.binary(max_size=800), max_size=12)


@given(pages=st.lists(packets, min_size=1, max_size=5), serial=st.integers(0, 2**32 - 1))
def test_packets_round_trip(pages, serial):
    writer, demuxer, back = OggWriter(serial), OggDemuxer(bytearray()), []
    for number, page in enumerate(pages):
        demuxer.buffer += writer.page(page, 960 * number, last=number == len(pages) - 1)
        while (event := demuxer.next_event()) is not None:
            assert (event.page if isinstance(event, Packet) else event).serial == serial
            back += [event.data] if isinstance(event, Packet) else []
        assert demuxer.missing == 0
    assert back == [packet for page in pages for packet in page]


@given(page=packets, granule=st.integers(0, 2**40), last=st.booleans())
def test_equals_another_writer(page, granule, last):
    writer = OggWriter(7)
    lacing = [value for packet in page for value in material.lacing_of(len(packet))]
    for number in range(2):
        theirs = material.ogg_page(lacing, b"".join(page), sequence=number, granule=granule, bos=number == 0, eos=last)
        assert writer.page(page, granule, last=last) == theirs


def test_packets_beyond_a_page_are_a_value_error():
    writer = OggWriter(7)
    assert writer.page([bytes(254)] * 255, 0)
    with pytest.raises(ValueError, match="do not fit"):
        writer.page([bytes(255)] * 128, 0)
