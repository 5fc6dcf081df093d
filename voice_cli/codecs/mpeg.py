"""MP3, and MPEG audio layer II (ISO 11172-3, ISO 13818-3): decoded by PyAV, cut into frames by us."""

from typing import NamedTuple

from voice_cli.audio import PcmChunk
from voice_cli.codecs.av_codec import AvCodec
from voice_cli.codecs.failing import DeferredErrorDecoder
from voice_cli.codecs.faults import Faults
from voice_cli.codecs.framer import Framer
from voice_cli.codecs.headers import MPEG_HEADER_BYTES, FrameHeader, mpeg_header
from voice_cli.codecs.trim import Trim
from voice_cli.errors import DecodeError, TruncatedAudio

_DECODER_DELAY = 528 + 1
"""Samples by which every MP3 decoder is late: the number that LAME's authors measured, and everybody uses."""

_CODECS = {2: "mp2", 3: "mp3float"}
"""libavcodec's decoder of each layer: the ones that ffmpeg takes, since the others round otherwise."""


class InfoTag(NamedTuple):
    """What the Xing, Info or VBRI frame at the head of an MP3 says of it."""

    frames: int
    """MP3 frames that follow it; 0: not known."""
    delay: int | None = None
    """Samples that the encoder put before the sound; None: it does not say."""
    padding: int = 0
    """Samples that it put behind the sound."""


class Mp3Decoder(DeferredErrorDecoder):
    """Gives what `ffmpeg -f s16le` gives of the whole file, each frame as soon as its last byte is here.

    A stream may be several MP3s joined, as of a server that encodes sentence by sentence: a second Info
    frame is dropped as the first one is, and its delay and padding hold from there on, which leaves no gap
    at the join. (ffmpeg plays both as silence.) A frame that the codec refuses is left out, and `flush`
    raises DecodeError for it (see `Faults`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._faults = Faults("MP3")
        self._framer = Framer(mpeg_header, MPEG_HEADER_BYTES, self._faults)
        self._codecs: dict[int, AvCodec] = {}
        """By layer."""
        self._trim = Trim()
        self._tag: InfoTag | None = None
        self._frames = 0
        """MP3 frames since the tag."""

    def _feed(self, data: bytes, chunks: list[PcmChunk]) -> None:
        self._framer.receive(data)
        while (frame := self._framer.next_frame()) is not None:
            chunks += self._frame(*frame)

    def _end(self) -> list[PcmChunk]:
        self._framer.close()
        missing = self._missing()
        if missing:
            raise TruncatedAudio(f"the MP3 stream stopped {missing} frames before its end")
        self._faults.check()
        return []

    def _frame(self, header: FrameHeader, frame: bytes) -> list[PcmChunk]:
        tag = info_tag(header, frame)
        if tag is not None:
            self._begin(tag, header.samples)
            return []
        self._frames += 1
        try:
            decoded = self._codec(header).decode(frame)
        except DecodeError as exc:
            self._trim.skip(header.samples)
            self._faults.frame_refused(exc)
            return []
        self._faults.frame_decoded()
        return [kept for chunk in decoded for kept in self._trim.keep(chunk)]

    def _codec(self, header: FrameHeader) -> AvCodec:
        _, layer, _ = header.key
        if layer not in self._codecs:
            self._codecs[layer] = AvCodec(_CODECS[layer])
        return self._codecs[layer]

    def _begin(self, tag: InfoTag, samples: int) -> None:
        self._tag = tag
        self._frames = 0
        if tag.delay is None:
            self._trim = Trim()
            return
        start = tag.delay + _DECODER_DELAY
        total = tag.frames * samples
        # The sound's last sample leaves the decoder late too: by so much less is there to take away at the
        # end. What comes after all the frames that the tag speaks of is not its business.
        self._trim = Trim(start, total - max(tag.padding - _DECODER_DELAY, 0), total) if total else Trim(start)

    def _missing(self) -> int:
        """MP3 frames that the tag promised and that did not come."""
        if self._tag is None:
            return 0
        # Some encoders, LAME and libavformat not among them, count the tag's own frame.
        tolerated = 1 if self._tag.delay is None else 0
        return max(0, self._tag.frames - self._frames - tolerated)


def info_tag(header: FrameHeader, frame: bytes) -> InfoTag | None:
    """Read the Xing, Info or VBRI tag of an MP3 frame; None: it has none, or one that says nothing.

    Source: Gabriel Bouvigne's "MP3 Info Tag rev 1", and libavformat's mp3dec.c, which is whom to agree with.
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
    at += 4
    frames = size = 0
    if flags & 1:
        frames = int.from_bytes(frame[at : at + 4])
        at += 4
    if flags & 2:
        size = int.from_bytes(frame[at : at + 4])
        at += 4
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)  # the table of contents; the quality
    if not frames and not size:
        return None
    if frame[at : at + 4] not in (b"LAME", b"Lavf", b"Lavc") or len(frame) < at + 24:
        return InfoTag(frames)
    gaps = int.from_bytes(frame[at + 21 : at + 24])
    return InfoTag(frames, delay=gaps >> 12, padding=gaps & 0xFFF)
