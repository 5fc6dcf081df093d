"""Opus in Ogg (RFC 7845): packets by libopus, through opuslib, or PyAV where the system has no libopus.

opuslib is lighter by 35 ms and 30 MB; PyAV's wheel brings a libopus of its own. Both give each packet's
full length.
"""

import ctypes
import struct
import warnings
from collections.abc import Callable
from functools import cache
from random import getrandbits
from typing import Any, NamedTuple

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import ConvertingEncoder, DeferredErrorDecoder
from voice_cli.codecs.faults import Faults
from voice_cli.codecs.ogg import OggDemuxer, OggWriter, Packet, Page
from voice_cli.codecs.trim import Trim
from voice_cli.errors import DecodeError, TruncatedAudio, UsageError

RATE = 48_000
"""Hertz: granule positions and pre-skip count at this rate, whatever the encoder was given (RFC 7845,
section 4)."""
_MOST_SAMPLES = 5760
"""Samples a channel of the longest packet: 120 ms."""

_MOST_PACKETS = 5
"""Of a page: 100 ms."""
_BIT_RATES = (48_000, 80_000)
"""Bits a second, mono and stereo. RFC 7587 section 3.1.1 names 28 to 40 kbit/s for speech of full bandwidth; with a
little more CELT alone does it well, at a third of the work of the speech modes."""
_OPTIONS = {
    "application": "lowdelay",  # CELT alone, and 4 ms less of delay
    "vbr": "constrained",  # without it, speech takes half as much again as was asked for
    "compression_level": "5",
    "frame_duration": "20",
}

_OTHER_CODECS = {
    b"\x01vorbis": "Vorbis",
    b"\x7fFLAC": "FLAC",
    b"Speex   ": "Speex",
    b"\x80theora": "Theora",
    b"fishead\0": "Skeleton",
}

PacketDecoder = Callable[[bytes, int], list[PcmChunk]]
"""One packet and its length in samples a channel, to PCM. Raises DecodeError: the codec refuses it."""


class OpusHead(NamedTuple):
    """The identification header (RFC 7845 section 5.1)."""

    channels: int
    pre_skip: int
    """Samples a channel, at 48 kHz, to drop at the start."""
    gain: int
    """To apply to the output, in 1/256 dB."""
    family: int
    """Channel mapping: 0 mono and stereo, 1 Vorbis's orders up to 7.1."""
    raw: bytes

    @classmethod
    def parse(cls, packet: bytes) -> "OpusHead":
        """Read the header.

        Raises:
            DecodeError: it is broken, or of a version that is not known.

        """
        if len(packet) < 19:
            raise DecodeError("the Opus stream's header is cut")
        if packet[8] >> 4:
            raise DecodeError(f"Opus in Ogg of version {packet[8]} is not known")
        head = cls(
            channels=packet[9],
            pre_skip=int.from_bytes(packet[10:12], "little"),
            gain=int.from_bytes(packet[16:18], "little", signed=True),
            family=packet[18],
            raw=packet,
        )
        if not head.channels or (head.family == 0 and head.channels > 2):
            raise DecodeError(f"an Opus stream of {head.channels} channels in family {head.family} is none")
        if head.family and len(packet) < 21 + head.channels:
            raise DecodeError("the Opus stream's header is cut")
        return head


class OpusDecoder(DeferredErrorDecoder):
    """Follows the first Opus stream; gives each packet's PCM as soon as the packet is whole.

    Pre-skip and end-trim are applied, wherever the granule positions begin. A new chain link (a new head)
    starts a new decoder. A packet that the codec refuses is left out, and `flush` raises DecodeError for it
    (see `Faults`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._demuxer = OggDemuxer()
        self._faults = Faults("Opus")
        self._serial: int | None = None
        """Of the stream that is followed; None: its head has not come."""
        self._others: list[str] = []
        """What else the chain link holds."""
        self._in_data = False
        """A page has come that is not the first of its stream: heads that follow are another link's."""
        self._ended = False
        self._decode_packet: PacketDecoder | None = None
        self._trim = Trim()
        self._headers_left = 0
        self._first_granule: int | None = None
        """The granule position at which the stream's first sample stands; None: its first page is not
        over."""
        self._page_samples = 0
        """Samples of the packets that ended on this page so far."""

    def _feed(self, data: bytes, chunks: list[PcmChunk]) -> None:
        self._demuxer.receive(data)
        while (event := self._demuxer.next_event()) is not None:
            if isinstance(event, Page):
                self._page(event)
            elif event.page.first and self._serial is None:
                self._head(event)
            elif event.page.serial == self._serial:
                chunks += self._packet(event)

    def _end(self) -> list[PcmChunk]:
        missing = self._demuxer.missing
        if missing:
            raise TruncatedAudio(f"the Ogg stream stopped {missing} bytes before the end of a page")
        if self._serial is None:
            raise DecodeError("there is no Opus stream in what the server sent")
        if not self._ended or self._demuxer.unfinished(self._serial):
            raise TruncatedAudio("the Opus stream stopped before its last page")
        self._faults.check(empty=True)  # headers, an end, and nothing to say: complete
        return []

    def _page(self, page: Page) -> None:
        if page.first:
            if self._in_data:
                self._serial = None
                self._others = []
                self._in_data = False
            return
        self._in_data = True
        if self._serial is None:
            raise DecodeError(f"the server sent {self._others_named()} in Ogg, which voice does not decode")
        if page.serial != self._serial:
            return
        self._page_samples = 0
        self._trim.end = None
        self._ended = page.last
        if page.last and page.granule is not None:
            # Only packets of this page may be cut: a muxer that writes any number there must not take them
            # all.
            end = page.granule - (self._first_granule or 0)
            self._trim.end = end if end >= self._trim.position else None

    def _head(self, packet: Packet) -> None:
        if not packet.data.startswith(b"OpusHead"):
            names = (name for magic, name in _OTHER_CODECS.items() if packet.data.startswith(magic))
            self._others.append(next(names, "an unknown codec"))
            return
        head = OpusHead.parse(packet.data)
        self._serial = packet.page.serial
        self._ended = packet.page.last
        self._decode_packet = _packet_decoder(head)
        self._trim = Trim(start=head.pre_skip)
        self._headers_left = 1
        self._first_granule = None

    def _packet(self, packet: Packet) -> list[PcmChunk]:
        if self._headers_left:
            self._headers_left -= 1
            if packet.data.startswith(b"OpusTags"):
                return []
        samples = packet_samples(packet.data)
        chunks: list[PcmChunk] = []
        if samples is None or self._decode_packet is None:
            self._faults.frame_refused()
        else:
            self._page_samples += samples
            try:
                decoded = self._decode_packet(packet.data, samples)
            except DecodeError as exc:
                self._trim.skip(samples)
                self._faults.frame_refused(exc)
            else:
                self._faults.frame_decoded()
                chunks = [kept for chunk in decoded for kept in self._trim.keep(chunk)]
        if packet.closes and self._first_granule is None and packet.page.granule is not None:
            # RFC 7845 section 4.3: a stream cut out of a longer one does not begin at 0. Less than the page
            # holds, on the other hand, it can only be where the page is the last, and trimmed.
            self._first_granule = max(0, packet.page.granule - self._page_samples)
        return chunks

    def _others_named(self) -> str:
        return " and ".join(self._others) or "a stream without a head"


def packet_samples(packet: bytes) -> int | None:
    """Samples a channel at 48 kHz that an Opus packet holds (RFC 6716 section 3.1); None: it is no packet."""
    if not packet:
        return None
    config, count_code = packet[0] >> 3, packet[0] & 3
    if config < 12:  # SILK: 10, 20, 40, 60 ms
        frame = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:  # hybrid: 10, 20 ms
        frame = (480, 960)[config & 1]
    else:  # CELT: 2.5, 5, 10, 20 ms
        frame = 120 << (config & 3)
    count = (1, 2, 2, packet[1] & 0x3F if len(packet) > 1 else 0)[count_code]
    samples = frame * count
    return samples if 0 < samples <= _MOST_SAMPLES else None


def load() -> None:
    """Load the library that packets will be decoded with."""
    if _opuslib() is None:
        import voice_cli.codecs.av_codec  # noqa: F401


@cache
def _opuslib() -> Any:
    """Import opuslib; None: it, or the system's libopus, is not there."""
    try:
        with warnings.catch_warnings():
            # Its code compares with `is not 0`: a SyntaxWarning on stderr, each time that it is compiled.
            warnings.simplefilter("ignore")
            import opuslib
    except Exception:  # a bare one is what it raises where there is no libopus
        return None
    return opuslib


def _packet_decoder(head: OpusHead) -> PacketDecoder:
    """Give what decodes a stream's packets.

    opuslib knows neither more channels than two nor, on every platform, how to pass libopus the gain (a
    variadic function, which it calls as if it were not): PyAV does both.
    """
    opuslib = _opuslib()
    if opuslib is None or head.family or head.gain:
        return _by_av(head)
    return _by_opuslib(head, opuslib)


def _by_opuslib(head: OpusHead, opuslib: Any) -> PacketDecoder:
    audio_format = AudioFormat(RATE, head.channels)
    try:
        decoder = opuslib.Decoder(RATE, head.channels)
    except opuslib.OpusError as exc:
        raise DecodeError(f"libopus does not start: {exc}") from exc
    # opuslib's own `decode` makes a list of every sample on its way to bytes, which doubles what decoding
    # costs.
    api = opuslib.api.decoder
    pcm = (ctypes.c_int16 * (_MOST_SAMPLES * head.channels))()
    pointer = ctypes.cast(pcm, ctypes.POINTER(ctypes.c_int16))

    def decode(packet: bytes, samples: int) -> list[PcmChunk]:
        given = api.libopus_decode(decoder.decoder_state, packet, len(packet), pointer, samples, 0)
        if given < 0:
            raise DecodeError(f"libopus refuses a packet: {opuslib.OpusError(given)}")
        return [PcmChunk(audio_format, ctypes.string_at(pcm, given * audio_format.frame_bytes))]

    return decode


def _by_av(head: OpusHead) -> PacketDecoder:
    from voice_cli.codecs.av_codec import AvDecoder

    # libopus by name: libavcodec's own decoder holds samples back. Without pre-skip: that is `Trim`'s.
    codec = AvDecoder("libopus", extradata=head.raw[:10] + b"\0\0" + head.raw[12:])

    def decode(packet: bytes, _: int) -> list[PcmChunk]:
        return codec.decode(packet)

    return decode


class OpusEncoder(ConvertingEncoder):
    """Packets of 20 ms. The first page with sound holds one, the next two, then four, then five.

    So the first sound leaves as soon as it can, a listener who begins with it does not run dry where speech is made at
    twice its own pace, and page headers come to a tenth of the bytes and not to a fifth.

    The encoder's delay is declared (pre-skip), and the last page's granule position says where the speech ends: to the
    frame, it decodes to what went in.
    """

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        """Take PCM of any rate.

        Raises:
            UsageError: `rate` is another than 48000.

        """
        if rate not in (None, RATE):
            raise UsageError(f"Opus decodes to {RATE} Hz, not to {rate}")
        from voice_cli.codecs.av_codec import AvEncoder, rates

        known = rates("libopus")
        inner = AudioFormat(next((rate for rate in known if rate >= source.rate), known[-1]), source.channels)
        super().__init__(source, Encoding("opus", AudioFormat(RATE, source.channels)), inner)
        self._codec = AvEncoder("libopus", inner, "s16", _OPTIONS, _BIT_RATES[inner.channels - 1])
        self._pre_skip = int.from_bytes(self._codec.header[10:12], "little")
        self._scale = RATE // inner.rate
        """Granules a frame."""
        self._frames = 0
        """Of speech that have come."""
        self._packets: list[bytes] = []
        """Of the page that is being filled."""
        self._page_packets = 1
        """How many it shall have."""
        self._granule = 0
        """The position at the end of the last one."""
        self._ogg = OggWriter(getrandbits(32))
        self._head = self._ogg.page([self._codec.header], 0) + self._ogg.page([_tags()], 0)

    def _encoded(self, pcm: bytes) -> bytes:
        self._frames += len(pcm) // self._wanted.frame_bytes
        return self._paged(self._codec.encode(pcm))

    def _end(self) -> bytes:
        # Silence pushes the last of the speech through the encoder: at least a frame of it, since there is a delay, so
        # that there always is a last packet to cut.
        end = self._pre_skip + self._frames * self._scale
        packet = self._codec.frame_size
        packets = -(-end // (packet * self._scale))
        padding = packets * packet - self._frames
        *others, last = self._codec.encode(bytes(padding * self._wanted.frame_bytes))
        pages = self._paged(others)
        self._packets.append(last)
        return pages + self._ogg.page(self._packets, end, last=True)

    def _paged(self, packets: list[bytes]) -> bytes:
        pages = b""
        for packet in packets:
            self._packets.append(packet)
            self._granule += self._codec.frame_size * self._scale
            if len(self._packets) == self._page_packets:
                pages += self._ogg.page(self._packets, self._granule)
                self._packets = []
                self._page_packets = min(2 * self._page_packets, _MOST_PACKETS)
        return pages


def _tags() -> bytes:
    """Make the comment header (section 5.2): who wrote it, and no comments."""
    vendor = b"voice-cli"
    return b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
