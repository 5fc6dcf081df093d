"""MP3, and MPEG audio layer II (ISO 11172-3, ISO 13818-3): decoded by libmpg123, or PyAV if the system has none.

The stream is cut into frames here.
"""

from collections.abc import Callable
from typing import NamedTuple

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs import mpg123
from voice_cli.codecs.base import PacketEncoder
from voice_cli.codecs.framer import FramedDecoder
from voice_cli.codecs.headers import MPEG_HEADER_BYTES, FrameHeader, mpeg_header
from voice_cli.codecs.trim import Trim
from voice_cli.errors import DecodeError, TruncatedAudio

_FRAMES, _BYTES, _CONTENTS, _QUALITY = 1, 2, 4, 8
"""Flags of the Xing tag's fields."""
_DECODER_DELAY = 528 + 1
"""Delay of every MP3 decoder in samples, as measured by LAME's authors."""

_CODECS = {2: "mp2", 3: "mp3float"}
"""libavcodec's decoder of each layer: ffmpeg's defaults. The others round differently."""

_BIT_RATES = (96_000, 160_000)
"""Bits a second, mono and stereo. LAME's noise at this speed is above a simple masking threshold in 7 % of the time and
bands of speech; at 64,000 in 23 %, for the same work."""
_NARROW_BIT_RATES = (48_000, 64_000)
"""Of MPEG-2.5, whose maximum is 64."""
_NARROW_HERTZ = 12_000
_OPTIONS = {
    "reservoir": "0",  # a frame is sent at once, and decodes without the ones before it
    "compression_level": "7",  # LAME's -q: half the work of its default
}


class InfoTag(NamedTuple):
    """What the Xing, Info or VBRI frame at the head of an MP3 declares."""

    frames: int
    """MP3 frames after it; 0: unknown."""
    delay: int | None = None
    """Encoder delay in samples; None: not declared."""
    padding: int = 0
    """Samples of silence at the end."""


def load() -> None:
    """Load the library that decodes frames."""
    if mpg123.library() is None:
        import voice_cli.codecs.av_codec  # noqa: F401


def open_frame_decoder(layer: int) -> Callable[[bytes], list[PcmChunk]]:
    """Open the decoder of a layer's frames, libmpg123's if it is installed. It raises DecodeError for a corrupt one."""
    lib = mpg123.library()
    if lib is not None:
        return mpg123.Mpg123Decoder(lib).decode
    from voice_cli.codecs.av_codec import AvDecoder

    return AvDecoder(_CODECS[layer]).decode


class Mp3Decoder(FramedDecoder):
    """Returns the samples of `ffmpeg -f s16le`, each frame as soon as its last byte has arrived.

    With libmpg123 a sample may differ by 1. It mutes frames after a cut whose bit reservoir is missing.

    A stream may be several MP3s joined, as from a server that encodes sentence by sentence: a second Info frame is
    dropped too, and its delay and padding are applied from there on, so that there is no gap. (ffmpeg plays silence.)
    """

    def __init__(self) -> None:
        super().__init__("MP3", mpeg_header, MPEG_HEADER_BYTES)
        self._codecs: dict[int, Callable[[bytes], list[PcmChunk]]] = {}
        """By layer."""
        self._trim = Trim()
        self._tag: InfoTag | None = None
        self._frames = 0
        """MP3 frames since the tag."""

    def _check_rest(self) -> None:
        super()._check_rest()
        if self._tag is not None:
            # Some encoders (not LAME or libavformat) count the tag's own frame.
            missing = self._tag.frames - self._frames - (1 if self._tag.delay is None else 0)
            if missing > 0:
                raise TruncatedAudio(f"the MP3 stream stopped {missing} frames before its end")

    def _decode_frame(self, header: FrameHeader, frame: bytes) -> list[PcmChunk] | None:
        tag = info_tag(header, frame)
        if tag is not None:
            self._begin(tag, header.samples)
            return None
        self._frames += 1
        try:
            _, layer, _ = header.key
            if layer not in self._codecs:
                self._codecs[layer] = open_frame_decoder(layer)
            decoded = self._codecs[layer](frame)
        except DecodeError:
            self._trim.position += header.samples
            raise
        return [kept for chunk in decoded for kept in self._trim.keep(chunk)]

    def _begin(self, tag: InfoTag, samples: int) -> None:
        self._tag = tag
        self._frames = 0
        self._trim = Trim()
        if tag.delay is None:
            return
        start = tag.delay + _DECODER_DELAY
        total = tag.frames * samples
        # The decoder delay also shifts the end, so there is less padding to remove. Frames after those that the tag
        # counts are kept.
        self._trim = Trim(start, total - max(tag.padding - _DECODER_DELAY, 0), total) if total else Trim(start)


def info_tag(header: FrameHeader, frame: bytes) -> InfoTag | None:
    """Read the Xing, Info or VBRI tag of an MP3 frame; None: it has none, or an empty one.

    Source: Gabriel Bouvigne's "MP3 Info Tag rev 1" and libavformat's mp3dec.c, which decides where they differ.
    """
    version, layer, _ = header.key
    if layer != 3:
        return None
    mono = frame[3] >> 6 == 3
    side_info = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[version == 3, mono]
    at = MPEG_HEADER_BYTES + side_info
    if frame[at : at + 4] in (b"Xing", b"Info"):
        return _xing(frame, at + 4)
    at = MPEG_HEADER_BYTES + 32
    if frame[at : at + 6] == b"VBRI\0\1":
        size, frames = (int.from_bytes(frame[at + n : at + n + 4]) for n in (10, 14))
        return InfoTag(frames) if size or frames else None
    return None


def _xing(frame: bytes, at: int) -> InfoTag | None:
    flags = int.from_bytes(frame[at : at + 4])
    fields = {}
    at += 4
    for flag, size in ((_FRAMES, 4), (_BYTES, 4), (_CONTENTS, 100), (_QUALITY, 4)):
        if flags & flag:
            fields[flag] = int.from_bytes(frame[at : at + size])
            at += size
    frames = fields.get(_FRAMES, 0)
    if not frames and not fields.get(_BYTES):
        return None
    if frame[at : at + 4] not in (b"LAME", b"Lavf", b"Lavc") or len(frame) < at + 24:
        return InfoTag(frames)
    gaps = int.from_bytes(frame[at + 21 : at + 24])
    return InfoTag(frames, delay=gaps >> 12, padding=gaps & 0xFFF)


class Mp3Encoder(PacketEncoder):
    """LAME at a constant bit rate, so that players compute the right time from bytes.

    No ID3 tag and no Xing frame, which declares a number of frames that is not known yet. So the delay is not declared
    either: 1105 frames of silence come before the speech (576 of LAME, 529 of every decoder) and less than two MP3
    frames after it.
    """

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        from voice_cli.codecs.av_codec import AvEncoder, rate_of

        target = AudioFormat(rate_of("libmp3lame", source, rate), source.channels)
        super().__init__(source, Encoding("mp3", target), target)
        bit_rates = _NARROW_BIT_RATES if target.rate <= _NARROW_HERTZ else _BIT_RATES
        self._codec = AvEncoder("libmp3lame", target, "s16p", _OPTIONS, bit_rates[target.channels - 1])
