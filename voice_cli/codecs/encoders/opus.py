"""Opus in Ogg (RFC 7845), by libopus."""

import struct
from random import getrandbits

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs.encoders.av_codec import AvCodec, rates
from voice_cli.codecs.encoders.converting import ConvertingEncoder
from voice_cli.codecs.encoders.ogg import OggWriter
from voice_cli.errors import UsageError

RATE = 48_000
"""Hertz: what Opus decodes to, and what granule positions and pre-skip count in (RFC 7845 section 4)."""

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
        known = rates("libopus")
        inner = AudioFormat(next((rate for rate in known if rate >= source.rate), known[-1]), source.channels)
        super().__init__(source, Encoding("opus", AudioFormat(RATE, source.channels)), inner)
        self._codec = AvCodec("libopus", inner, "s16", _OPTIONS, _BIT_RATES[inner.channels - 1])
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
