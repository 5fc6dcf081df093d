"""Ogg Opus decoder (RFC 7845): pre-skip, end trimming, chaining, grouping and truncation, with two libopus versions."""

import struct
import subprocess
import sys

import numpy as np
import pytest

from support import material
from support.material import ogg_page, ogg_stream
from voice_cli.audio import AudioFormat
from voice_cli.codecs import opus
from voice_cli.codecs.ogg import OggDemuxer, Packet
from voice_cli.codecs.opus import OpusDecoder, OpusHead, packet_samples
from voice_cli.errors import DecodeError, TruncatedAudio, UnmarkedEnd

DATA = material.encoded("opus", material.MONO48, 1.0)
TAGS = b"OpusTags" + struct.pack("<I4sI", 4, b"test", 0)


@pytest.fixture(params=["opuslib", "av"])
def library(request, monkeypatch):
    if request.param == "opuslib":
        material.need_libopus()
    else:
        monkeypatch.setattr(opus, "_opuslib", lambda: None)


def audio_packets(data: bytes = DATA) -> list[bytes]:
    demuxer = OggDemuxer(bytearray(data))
    out = []
    while (event := demuxer.next_event()) is not None:
        if isinstance(event, Packet):
            out.append(event.data)
    return out[2:]


def head(channels: int = 1, pre_skip: int = 312, gain: int = 0, family: int = 0, mapping: bytes = b"") -> bytes:
    return b"OpusHead" + struct.pack("<BBHIhB", 1, channels, pre_skip, 48_000, gain, family) + mapping


def stream(packets: list[bytes], *, first: int = 0, end: int | None = None, opus_head: bytes = b"", **pages) -> bytes:
    """Build a stream whose granule positions begin at `first` and end at `end`."""
    position, positions = first, []
    for packet in packets:
        position += packet_samples(packet) or 0
        positions.append(position)
    if end is not None:
        positions[-1] = end
    headers = [(opus_head or head(), 0), (TAGS, 0)]
    return ogg_stream([*headers, *zip(packets, positions, strict=True)], **pages)


def heard(data: bytes, size: int = 97):
    return material.joined(material.run(OpusDecoder(), material.every(size, data)))


def frames(data: bytes) -> int:
    [(audio_format, pcm)] = heard(data)
    return len(pcm) // audio_format.frame_bytes


@pytest.mark.parametrize("audio_format", [material.MONO24, material.MONO48, material.STEREO48], ids=str)
def test_both_libraries_decode_the_same(audio_format, monkeypatch):
    material.need_libopus()
    data = material.encoded("opus", audio_format, 1.0)
    [(system_format, system)] = heard(data)
    monkeypatch.setattr(opus, "_opuslib", lambda: None)
    [(wheel_format, wheel)] = heard(data)
    assert system_format == wheel_format == AudioFormat(48_000, audio_format.channels)
    assert len(system) == len(wheel)
    # Different versions of libopus: some samples differ by one.
    assert abs(np.frombuffer(system, "<i2").astype(int) - np.frombuffer(wheel, "<i2")).max() <= 1


def test_ffmpeg_command_with_libopus_decodes_the_same():
    material.need("ffmpeg")
    material.need_libopus()
    [(_, ours)] = heard(DATA)
    theirs = material.ffmpeg_reference(DATA, "ogg", decoder="libopus")
    assert len(ours) == len(theirs)
    assert abs(np.frombuffer(ours, "<i2").astype(int) - np.frombuffer(theirs, "<i2")).max() <= 1


@pytest.mark.usefixtures("library")
class TestPositions:
    packets = audio_packets()[:20]
    samples = 20 * 960

    def test_pre_skip_is_dropped(self):
        assert frames(stream(self.packets)) == self.samples - 312

    def test_pre_skip_of_several_packets(self):
        assert frames(stream(self.packets, opus_head=head(pre_skip=4000))) == self.samples - 4000

    def test_samples_do_not_depend_on_page_boundaries(self):
        expected = heard(stream(self.packets))
        for per_page, segments in ((1, 255), (7, 255), (20, 255), (20, 3), (20, 1)):
            data = stream(self.packets, per_page=per_page, segments=segments)
            assert heard(data) == expected
            assert heard(data, 1) == expected

    def test_last_granule_trims_the_end(self):
        for per_page in (1, 5, 20):
            data = stream(self.packets, end=self.samples - 500, per_page=per_page)
            assert frames(data) == self.samples - 500 - 312

    def test_trim_of_more_than_one_packet(self):
        assert frames(stream(self.packets, end=self.samples - 2500, per_page=5)) == self.samples - 2500 - 312

    def test_excerpt_of_a_longer_stream_is_trimmed(self):
        # RFC 7845 section 4.3: both the first and the last granule are offset.
        for per_page in (1, 5):
            data = stream(self.packets, first=1_000_000, end=1_000_000 + self.samples - 500, per_page=per_page)
            assert frames(data) == self.samples - 500 - 312

    def test_offset_stream_of_one_page_is_not_trimmed(self):
        assert frames(stream(self.packets, first=1_000_000, per_page=20)) == self.samples - 312

    def test_impossible_last_granule_trims_nothing(self):
        assert frames(stream(self.packets, end=0, per_page=5)) == self.samples - 312

    def test_stream_shorter_than_its_pre_skip_is_empty(self):
        assert heard(stream(self.packets[:1], opus_head=head(pre_skip=1000))) == []

    def test_empty_last_page_ends_the_stream(self):
        data = stream(self.packets, eos=False) + ogg_page([], b"", sequence=99, granule=self.samples, eos=True)
        assert frames(data) == self.samples - 312

    def test_output_gain(self):
        quiet = heard(stream(self.packets, opus_head=head(gain=-6 * 256)))[0][1]
        plain = heard(stream(self.packets))[0][1]
        ratio = np.abs(np.frombuffer(quiet, "<i2")).sum() / np.abs(np.frombuffer(plain, "<i2").astype(int)).sum()
        assert ratio == pytest.approx(10 ** (-6 / 20), abs=0.01)

    def test_chained_streams(self):
        first, second = stream(self.packets), stream(self.packets[::-1], serial=8, end=self.samples - 77)
        assert heard(first + second + first, 1) == [
            (AudioFormat(48_000, 1), heard(first)[0][1] + heard(second)[0][1] + heard(first)[0][1])
        ]

    def test_chained_streams_with_one_serial_and_no_end(self):
        link = stream(self.packets, eos=False)
        assert frames(link + stream(self.packets)) == 2 * (self.samples - 312)

    def test_chained_streams_with_different_channel_counts(self):
        stereo = material.encoded("opus", material.STEREO48)
        assert heard(DATA + stereo) == heard(DATA) + heard(stereo)

    def test_grouped_with_another_stream(self):
        mine = stream(self.packets)
        at = mine.index(b"OggS", 4)
        other_head = ogg_page([7], b"\x80theora", serial=3, bos=True)
        other_data = ogg_page([9], b"OpusHead?", serial=3, granule=5)
        after = mine.index(b"OggS", at + 4)
        grouped = other_head + mine[:at] + mine[at:after] + other_data + mine[after:]
        assert heard(grouped) == heard(mine)

    def test_corrupt_packets_are_skipped_and_reported(self):
        packets = list(self.packets)
        packets[4] = b"\xff\xff\xff"
        packets[7] = b""
        decoder = OpusDecoder()
        chunks = decoder.decode(stream(packets))
        assert sum(chunk.frames for chunk in chunks) == self.samples - 312 - 2 * 960
        with pytest.raises(DecodeError, match="2 corrupt frames"):
            decoder.flush()

    def test_only_corrupt_packets_is_a_decode_error(self):
        with pytest.raises(DecodeError, match="in a row"):
            OpusDecoder().decode(stream([b"\xff\xff\xff"] * 40))

    def test_headers_without_audio_are_complete(self):
        assert heard(ogg_stream([(head(), 0), (TAGS, 0)])) == []

    @pytest.mark.parametrize("cut", [1, 100, 1000])
    def test_cut_page_is_truncation(self, cut):
        data = stream(self.packets, per_page=20)
        expected = heard(data)[0][1]
        decoder = OpusDecoder()
        got = b"".join(chunk.data for chunk in decoder.decode(data[:-cut]))
        assert expected.startswith(got)
        with pytest.raises(TruncatedAudio, match=f"stopped {cut} bytes before"):
            decoder.flush()

    def test_missing_last_page_is_truncation(self):
        # Kokoro-FastAPI#447: the final Ogg page, 1 to 2 s, is lost. The audio before it is returned, then an error.
        data = stream(self.packets, per_page=5)
        last = data.rindex(b"OggS")
        decoder = OpusDecoder()
        assert sum(chunk.frames for chunk in decoder.decode(data[:last])) == 15 * 960 - 312
        with pytest.raises(UnmarkedEnd, match="no last page"):
            decoder.flush()

    def test_unfinished_packet_is_truncation(self):
        data = stream(self.packets[:3], eos=False) + ogg_page([255], b"\x78" * 255, sequence=9, eos=True)
        assert sum(c.frames for c in material.run(OpusDecoder(), [data], truncated=True)) == 3 * 960 - 312


def test_six_channels_by_channel_mapping_family_one():
    surround = AudioFormat(48_000, 6)
    data = material.encode("opus", material.speech(surround, 0.3), surround, options={"mapping_family": "1"})
    expected = material.reference(data, "ogg", decoder="libopus")
    assert heard(data) == [expected]
    assert expected[0] == surround


def test_audio_starts_at_the_last_byte_of_the_first_packet():
    packets = audio_packets()
    data = stream(packets, per_page=50)
    at = data.index(packets[0])
    assert material.bytes_to_first_pcm(OpusDecoder, data) == at + len(packets[0])


@pytest.mark.parametrize(("codec", "name"), [("libvorbis", "Vorbis"), ("flac", "FLAC"), ("libspeex", "Speex")])
def test_other_codecs_in_ogg_are_named(codec, name):
    material.need("ffmpeg")
    source = ["-f", "lavfi", "-i", "sine=sample_rate=16000:duration=0.2"]
    command = ["ffmpeg", "-v", "error", *source, "-c:a", codec, "-f", "ogg", "pipe:1"]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with pytest.raises(DecodeError, match=f"sent {name} in Ogg"):
        OpusDecoder().decode(data)


def test_an_unknown_codec_is_named():
    data = ogg_page([8], b"whatever", bos=True) + ogg_page([6], b"theora", serial=8, bos=True) + ogg_page([1], b"x")
    with pytest.raises(DecodeError, match="sent an unknown codec and an unknown codec in Ogg"):
        OpusDecoder().decode(data)


@pytest.mark.parametrize(
    "bad", [head()[:15], head(channels=0), head(channels=3), head(2, family=1), b"OpusHead\x21" + head()[9:]]
)
def test_invalid_heads_are_decode_errors(bad):
    with pytest.raises(DecodeError):
        OpusDecoder().decode(ogg_page([len(bad)], bad, bos=True))


def test_head_is_parsed():
    assert OpusHead.parse(head(2, 3840, -256)) == OpusHead(2, 3840, -256, 0, head(2, 3840, -256))


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"", None),
        (b"\x00", 480),
        (b"\x18", 2880),
        (b"`", 480),
        (b"\x80", 120),
        (b"\xf8", 960),
        (b"\xf9", 1920),
        (b"\xfa", 1920),
        (b"\xfb\x03", 2880),
        (b"\xfb", None),
        (b"\xfb\x00", None),
        (b"\x1b\x03", None),
    ],
)
def test_packet_samples(packet, samples):
    assert packet_samples(packet) == samples


def test_loading_prints_nothing_without_compiled_files(tmp_path):
    # opuslib raises SyntaxWarnings whenever it is compiled.
    code = "import voice_cli.codecs as d; d.preload('opus')"
    done = subprocess.run(
        [sys.executable, "-X", f"pycache_prefix={tmp_path}", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""


def test_missing_libopus_is_not_an_error(monkeypatch):
    from ctypes import util

    for name in [name for name in sys.modules if name.split(".")[0] == "opuslib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(util, "find_library", lambda _: None)
    opus._opuslib.cache_clear()
    try:
        assert opus._opuslib() is None
        assert len(heard(DATA)) == 1
    finally:
        opus._opuslib.cache_clear()
        for name in [name for name in sys.modules if name.split(".")[0] == "opuslib"]:
            monkeypatch.delitem(sys.modules, name)
