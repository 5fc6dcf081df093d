"""Opus in Ogg (RFC 7845): decoded by opuslib, or PyAV if the system has no libopus; encoded by PyAV.

opuslib saves 35 ms and 30 MB; PyAV's wheel contains a libopus.
"""

import ctypes
import struct
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from random import getrandbits
from typing import Any, NamedTuple

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import PacketEncoder, ParsingDecoder
from voice_cli.codecs.faults import Faults
from voice_cli.codecs.ogg import OggDemuxer, OggWriter, Packet, Page
from voice_cli.codecs.trim import Trim
from voice_cli.errors import DecodeError, TruncatedAudio, UnmarkedEnd, UsageError

RATE = 48_000
"""Hertz of the decoded stream, of granule positions and of the pre-skip (RFC 7845 section 4)."""
_MAX_SAMPLES = 5760
"""Samples a channel of the longest packet: 120 ms."""

_MAX_PACKETS = 5
"""On a page: 100 ms."""
_BIT_RATES = (48_000, 80_000)
"""Bits a second, mono and stereo. RFC 7587 section 3.1.1 recommends 28 to 40 kbit/s for fullband speech; with a
little more, CELT alone is as good, at a third of the work of the speech modes."""
_OPTIONS = {
    "application": "lowdelay",  # CELT alone, and 4 ms less delay
    "vbr": "constrained",  # otherwise speech takes half as much again
    "compression_level": "5",
    "frame_duration": "20",
}
_TAGS = struct.pack("<8sI9sI", b"OpusTags", 9, b"voice-cli", 0)
"""The comment header (RFC 7845 section 5.2): a vendor, no comments."""

_OTHER_CODECS = {
    b"\x01vorbis": "Vorbis",
    b"\x7fFLAC": "FLAC",
    b"Speex   ": "Speex",
    b"\x80theora": "Theora",
    b"fishead\0": "Skeleton",
}


class OpusHead(NamedTuple):
    """The identification header (RFC 7845 section 5.1)."""

    channels: int
    pre_skip: int
    """Samples a channel, at 48 kHz, to drop at the start."""
    gain: int
    """Gain of the output in 1/256 dB."""
    family: int
    """Channel mapping: 0 mono and stereo, 1 Vorbis's orders up to 7.1."""
    raw: bytes

    @classmethod
    def parse(cls, packet: bytes) -> "OpusHead":
        """Parse the header; raise DecodeError if it is corrupt or its version is unknown."""
        if len(packet) < 19:
            raise DecodeError("the Opus stream's header is cut")
        if packet[8] >> 4:
            raise DecodeError(f"unknown version {packet[8]} of Opus in Ogg")
        head = cls(
            channels=packet[9],
            pre_skip=int.from_bytes(packet[10:12], "little"),
            gain=int.from_bytes(packet[16:18], "little", signed=True),
            family=packet[18],
            raw=packet,
        )
        if not head.channels or (head.family == 0 and head.channels > 2):
            raise DecodeError(f"{head.channels} channels are not valid in Opus mapping family {head.family}")
        if head.family and len(packet) < 21 + head.channels:
            raise DecodeError("the Opus stream's header is cut")
        return head


class OpusDecoder(ParsingDecoder):
    """Decodes the first Opus stream, each packet as soon as it is complete.

    Pre-skip and end trimming are applied; granule positions may begin anywhere. A new chain link (a new head) starts a
    new decoder. A packet that the codec refuses is skipped, and `flush` raises DecodeError (see `Faults`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._demuxer = OggDemuxer(self._buffer)
        self._faults = Faults("Opus")
        self._serial: int | None = None
        """Of the decoded stream; None: its head has not arrived."""
        self._others: list[str] = []
        """Other codecs in the chain link."""
        self._in_data = False
        """A page after the first ones has arrived: later heads belong to another link."""
        self._ended = False
        self._decode_packet: Callable[[bytes], list[PcmChunk]] | None = None
        self._trim = Trim()
        self._headers_left = 0
        self._first_granule: int | None = None
        """Granule position of the stream's first sample; None: its first page is not complete."""
        self._page_granule: int | None = None
        """Granule position at the end of the current page."""
        self._page_samples = 0
        """Samples of the packets that ended on the current page."""

    def _parse(self) -> Iterator[PcmChunk | None]:
        while True:
            event = self._demuxer.next_event()
            if event is None:
                yield None
            elif isinstance(event, Page):
                self._page(event)
            elif event.page.first and self._serial is None:
                self._head(event)
            elif event.page.serial == self._serial:
                yield from self._packet(event)

    def _end(self) -> list[PcmChunk]:
        missing = self._demuxer.missing
        if missing:
            raise TruncatedAudio(f"the Ogg stream stopped {missing} bytes before the end of a page")
        if self._serial is None:
            raise DecodeError("the server sent no Opus stream")
        if self._demuxer.unfinished(self._serial):
            raise TruncatedAudio("the Opus stream stopped inside a packet")
        self._faults.check(empty=True)  # a complete stream may be empty
        if not self._ended:
            raise UnmarkedEnd("the Opus stream has no last page")
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
            others = " and ".join(self._others) or "a stream without a head"
            raise DecodeError(f"the server sent {others} in Ogg, which voice does not decode")
        if page.serial != self._serial:
            return
        if self._first_granule is None and self._page_granule is not None and self._page_samples:
            # RFC 7845 section 4.3: a part of a longer stream does not begin at 0.
            self._first_granule = max(0, self._page_granule - self._page_samples)
        self._page_granule = page.granule
        self._page_samples = 0
        self._trim.end = None
        self._ended = page.last
        if page.last and page.granule is not None:
            # Trim only this page's packets, whatever position a muxer wrote.
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
        self._first_granule = self._page_granule = None

    def _packet(self, packet: Packet) -> list[PcmChunk]:
        if self._headers_left:
            self._headers_left -= 1
            if packet.data.startswith(b"OpusTags"):
                return []
        samples = packet_samples(packet.data)
        if samples is None or self._decode_packet is None:
            self._faults.frame_refused()
            return []
        self._page_samples += samples
        try:
            decoded = self._decode_packet(packet.data)
        except DecodeError as exc:
            self._trim.position += samples
            self._faults.frame_refused(exc)
            return []
        self._faults.frame_decoded()
        return [kept for chunk in decoded for kept in self._trim.keep(chunk)]


def packet_samples(packet: bytes) -> int | None:
    """Return the samples a channel, at 48 kHz, of a packet (RFC 6716 section 3.1); None: it is not valid."""
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
    return samples if 0 < samples <= _MAX_SAMPLES else None


def load() -> None:
    """Load the library that decodes packets."""
    if _opuslib() is None:
        import voice_cli.codecs.av_codec  # noqa: F401


@cache
def _opuslib() -> Any:
    """Import opuslib; return None if it, or the system's libopus, is missing."""
    try:
        with warnings.catch_warnings():
            # It compares with `is not 0`: a SyntaxWarning each time that it is compiled.
            warnings.simplefilter("ignore")
            import opuslib
    except Exception:  # it raises a bare one without libopus
        return None
    return opuslib


def has_libopus() -> bool:
    """Return whether libopus is used; without it, PyAV decodes."""
    return _opuslib() is not None


def _packet_decoder(head: OpusHead) -> Callable[[bytes], list[PcmChunk]]:
    """Return the decoder of a stream's packets. It raises DecodeError for a corrupt one.

    PyAV's if there are more than two channels, or a gain: opuslib has only stereo, and calls the variadic function that
    sets the gain in a way that some platforms do not support.
    """
    opuslib = _opuslib()
    if opuslib is None or head.family or head.gain:
        from voice_cli.codecs.av_codec import AvDecoder

        # libopus by name: libavcodec's own decoder delays samples. Without pre-skip: `Trim` applies it.
        return AvDecoder("libopus", extradata=head.raw[:10] + b"\0\0" + head.raw[12:]).decode
    audio_format = AudioFormat(RATE, head.channels)
    try:
        decoder = opuslib.Decoder(RATE, head.channels)
    except opuslib.OpusError as exc:
        raise DecodeError(f"cannot open libopus: {exc}") from exc
    # opuslib's own `decode` makes a list of all samples, which doubles the cost.
    api = opuslib.api.decoder
    pcm = (ctypes.c_int16 * (_MAX_SAMPLES * head.channels))()
    pointer = ctypes.cast(pcm, ctypes.POINTER(ctypes.c_int16))

    def decode(packet: bytes) -> list[PcmChunk]:
        samples = api.libopus_decode(decoder.decoder_state, packet, len(packet), pointer, _MAX_SAMPLES, 0)
        if samples < 0:
            raise DecodeError(f"libopus refuses a packet: {opuslib.OpusError(samples)}")
        return [PcmChunk(audio_format, ctypes.string_at(pcm, samples * audio_format.frame_bytes))]

    return decode


class OpusEncoder(PacketEncoder):
    """Packets of 20 ms. The first page of audio holds one, the next two, then four, then five.

    So the first packet is sent at once, playback does not underrun if speech is generated at twice real time, and page
    headers take a tenth of the bytes, not a fifth.

    The delay is declared (pre-skip), and the last page's granule position is the end of the speech, so that a stream
    decodes to as many frames as were encoded.
    """

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        """Open the encoder; the source may have any rate, and `rate` must be 48000 or None."""
        if rate not in (None, RATE):
            raise UsageError(f"Opus is {RATE} Hz, not {rate}")
        from voice_cli.codecs.av_codec import AvEncoder, rates

        known = rates("libopus")
        inner = AudioFormat(next((rate for rate in known if rate >= source.rate), known[-1]), source.channels)
        super().__init__(source, Encoding("opus", AudioFormat(RATE, source.channels)), inner)
        self._codec = AvEncoder("libopus", inner, "s16", _OPTIONS, _BIT_RATES[inner.channels - 1])
        self._pre_skip = int.from_bytes(self._codec.header[10:12], "little")
        self._scale = RATE // inner.rate
        """Granules per frame."""
        self._frames = 0
        """PCM frames encoded so far."""
        self._packets: list[bytes] = []
        """Of the current page."""
        self._page_packets = 1
        """Packets that the current page will have."""
        self._granule = 0
        """Position at the end of the last packet."""
        self._ogg = OggWriter(getrandbits(32))
        self._head = self._ogg.page([self._codec.header], 0) + self._ogg.page([_TAGS], 0)

    def _encoded(self, pcm: bytes) -> bytes:
        self._frames += len(pcm) // self._wanted.frame_bytes
        return super()._encoded(pcm)

    def _end(self) -> bytes:
        # Silence flushes the encoder. It is never empty, because of the delay, so there is a last packet to trim.
        end = self._pre_skip + self._frames * self._scale
        packet = self._codec.frame_size
        packets = -(-end // (packet * self._scale))
        padding = packets * packet - self._frames
        *others, last = self._codec.encode(bytes(padding * self._wanted.frame_bytes))
        pages = self._framed(others)
        self._packets.append(last)
        return pages + self._ogg.page(self._packets, end, last=True)

    def _framed(self, packets: list[bytes]) -> bytes:
        pages = b""
        for packet in packets:
            self._packets.append(packet)
            self._granule += self._codec.frame_size * self._scale
            if len(self._packets) == self._page_packets:
                pages += self._ogg.page(self._packets, self._granule)
                self._packets = []
                self._page_packets = min(2 * self._page_packets, _MAX_PACKETS)
        return pages
