"""Ogg demuxer: packets are returned at their last lacing segment, however pages are divided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import material
from support.material import lacing_of, ogg_page, ogg_stream
from voice_cli.codecs.ogg import OggDemuxer, Packet, Page
from voice_cli.errors import DecodeError


def events(pieces) -> list[Page | Packet]:
    demuxer, out = OggDemuxer(bytearray()), []
    for piece in pieces:
        demuxer.buffer += piece
        while (event := demuxer.next_event()) is not None:
            out.append(event)
    return out


def packets(pieces) -> list[bytes]:
    return [event.data for event in events(pieces) if isinstance(event, Packet)]


sizes = st.sampled_from([0, 1, 254, 255, 256, 509, 510, 511, 1500])


@given(
    st.lists(sizes, min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 6),
    st.lists(st.integers(1, 600), max_size=60),
)
def test_packets_round_trip(lengths, per_page, segments, cuts):
    sent = [bytes([index + 1]) * length for index, length in enumerate(lengths)]
    stream = ogg_stream([(data, index) for index, data in enumerate(sent)], per_page=per_page, segments=segments)
    assert packets(material.cut(stream, cuts)) == sent
    demuxer = OggDemuxer(bytearray(stream))
    while demuxer.next_event() is not None:
        pass
    assert (demuxer.missing, demuxer.unfinished(7)) == (0, False)


def test_a_packet_is_returned_before_its_page_ends():
    stream = ogg_page(lacing_of(300) + lacing_of(400), b"a" * 300 + b"b" * 400, bos=True)
    head = 27 + 4
    demuxer = OggDemuxer(bytearray(stream[: head + 299]))
    assert isinstance(demuxer.next_event(), Page)
    assert demuxer.next_event() is None
    assert demuxer.missing == 401
    demuxer.buffer += stream[head + 299 : head + 300]
    packet = demuxer.next_event()
    assert packet.data == b"a" * 300
    assert demuxer.missing == 400
    demuxer.buffer += stream[head + 300 :]
    assert demuxer.next_event().data == b"b" * 400


def test_page_headers():
    [page, *_] = events([ogg_page([3, 4, 255], bytes(262), serial=9, granule=1234, eos=True)])
    assert page == Page(serial=9, granule=1234, first=False, last=True)
    [page, *_] = events([ogg_page([255], bytes(255), granule=-1, bos=True)])
    assert page == Page(serial=7, granule=None, first=True, last=False)


def test_grouped_streams_keep_their_packets_apart():
    stream = (
        ogg_page([1], b"a", serial=1, bos=True)
        + ogg_page([1], b"b", serial=2, bos=True)
        + ogg_page([255], b"A" * 255, serial=1)
        + ogg_page([255], b"B" * 255, serial=2)
        + ogg_page([2], b"A" * 2, serial=1, continued=True)
        + ogg_page([3], b"B" * 3, serial=2, continued=True)
    )
    assert packets(material.every(7, stream)) == [b"a", b"b", b"A" * 257, b"B" * 258]


def test_the_rest_of_a_packet_without_a_start_is_dropped():
    stream = ogg_page([1], b"a", bos=True) + ogg_page([5, 2], b"-----bb", continued=True)
    assert packets([stream]) == [b"a", b"bb"]
    over_two_pages = ogg_page([255], b"-" * 255, continued=True) + ogg_page([5, 2], b"-----bb", continued=True)
    assert packets([ogg_page([1], b"a", bos=True) + over_two_pages]) == [b"a", b"bb"]


def test_a_packet_that_never_ends_is_dropped():
    stream = ogg_page([255], b"-" * 255, bos=True) + ogg_page([2], b"bb")
    assert packets([stream]) == [b"bb"]


def test_garbage_between_pages_is_skipped():
    stream = ogg_page([1], b"a", bos=True) + b"OgOggOg garbage O" + ogg_page([1], b"b") + b"Ogg"
    assert packets(material.every(1, stream)) == [b"a", b"b"]


@pytest.mark.parametrize("data", [b"RIFF", b"\0", b"Oggs", b"OggS\1" + bytes(22)])
def test_other_data_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        events([data])


def test_too_much_garbage_is_a_decode_error():
    with pytest.raises(DecodeError, match="in a row"):
        events([ogg_page([1], b"a", bos=True), *[b"garbage!" * 1000] * 20])


def test_an_endless_packet_is_a_decode_error():
    page = ogg_page([255] * 255, bytes(255 * 255), continued=True)
    with pytest.raises(DecodeError, match="does not end"):
        events([ogg_page([255], bytes(255), bos=True), *[page] * 300])


@pytest.mark.parametrize(("end", "missing"), [(1, 26), (26, 1), (27, 2), (28, 1), (29, 7), (35, 1)])
def test_missing_bytes_of_a_page(end, missing):
    demuxer = OggDemuxer(bytearray(ogg_page([3, 4], bytes(7), bos=True)[:end]))
    while demuxer.next_event() is not None:
        pass
    assert demuxer.missing == missing


@given(st.lists(st.binary(max_size=60) | st.just(b"OggS\0") | st.just(ogg_page([3], b"abc", bos=True)), max_size=12))
def test_result_does_not_depend_on_the_cut(pieces):
    def outcome(cuts):
        try:
            return packets(cuts)
        except DecodeError as exc:
            return str(exc)

    stream = b"".join(pieces)
    assert outcome([stream]) == outcome(material.every(1, stream))
