"""Opus encoder: small pages, declared pre-skip and exact end."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import encoding, material
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs import open_encoder, opus
from voice_cli.codecs.ogg import OggDemuxer, Packet, Page
from voice_cli.codecs.opus import OpusHead, packet_samples

OPUS = Encoding("opus", material.MONO48)


def pages_of(data):
    """Return each page with its packets."""
    demuxer, pages = OggDemuxer(bytearray(data)), []
    while (event := demuxer.next_event()) is not None:
        if isinstance(event, Page):
            pages.append((event, []))
        elif isinstance(event, Packet):
            pages[-1][1].append(event.data)
    assert demuxer.missing == 0
    return pages


def stream(source, seconds):
    return encoding.encoded("opus", source, encoding.voice(source, seconds))[1]


@pytest.mark.parametrize("source", [encoding.MONO16, encoding.MONO22, material.MONO24, material.STEREO48], ids=str)
def test_two_heads_precede_pages_of_at_most_100_ms(source):
    (first, [head]), (second, [tags]), *rest = pages_of(stream(source, 1.0))
    parsed = OpusHead.parse(head)
    assert (parsed.channels, parsed.family, parsed.gain) == (source.channels, 0, 0)
    assert 0 < parsed.pre_skip < 960
    assert tags == b"OpusTags\x09\0\0\0voice-cli\0\0\0\0"
    assert (first.first, first.granule, second.first, second.granule) == (True, 0, False, 0)
    assert {page.serial for page, _ in rest} == {first.serial}
    assert [page.last for page, _ in rest] == [False] * (len(rest) - 1) + [True]
    assert [len(packets) for _, packets in rest[:-1]] == [1, 2, 4, *[5] * (len(rest) - 4)]
    assert 1 <= len(rest[-1][1]) <= 5
    position = 0
    for page, packets in rest:
        assert {packet_samples(packet) for packet in packets} == {960}
        position += 960 * len(packets)
        assert page.last or page.granule == position
    end = rest[-1][0].granule
    assert position - 960 < end <= position, "only part of the last packet is trimmed"
    assert end - parsed.pre_skip == 48_000


def test_the_first_packet_is_returned_after_20_ms():
    encoder = open_encoder("opus", material.MONO24)
    pcm = encoding.voice(material.MONO24, 0.1)
    assert [len(packets) for _, packets in pages_of(encoder.encode(pcm[:2]))] == [1, 1], "two heads"
    assert encoder.encode(pcm[2:958]) == b""
    ((_, [packet]),) = pages_of(encoder.encode(pcm[958:960]))
    assert packet_samples(packet) == 960


@pytest.mark.parametrize("rate", [8000, 12_000, 16_000, 24_000, 48_000])
@settings(max_examples=25)
@given(data=st.data())
def test_decodes_to_the_same_number_of_frames(rate, data):
    source = AudioFormat(rate, 1)
    frames = data.draw(st.integers(0, 60) | st.integers(0, rate // 4))
    pcm = encoding.voice(source, 0.25)[: 2 * frames]
    got = encoding.decoded(*encoding.encoded("opus", source, pcm))
    assert len(got) // 2 * rate == frames * 48_000


def test_concatenated_streams_decode_one_after_the_other(monkeypatch):
    monkeypatch.setattr(opus, "getrandbits", random.getrandbits)
    links = [stream(material.MONO24, seconds) for seconds in (0.31, 0.17)]
    assert len({pages_of(link)[0][0].serial for link in links}) == 2
    alone = [encoding.decoded(OPUS, link) for link in links]
    assert encoding.decoded(OPUS, b"".join(links)) == b"".join(alone)
