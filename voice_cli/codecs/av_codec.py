"""PyAV's codecs, between whole packets and s16le PCM. Framing is ours: see `framer`, `flac`, `aac` and `ogg`.

libavformat would frame too, but its Ogg demuxer and muxer wait for whole pages (the first sound after 200 ms with
pages of 100), and its muxers need a file-like object.
"""

from typing import TYPE_CHECKING, cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.errors import DecodeError, UsageError
from voice_cli.pcm.convert import from_av, layout_of, to_av

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext


class AvDecoder:
    """One of libavcodec's decoders, with libswresample's conversion to s16: the same samples as `ffmpeg -f s16le`.

    The format follows that of the frames.
    """

    def __init__(self, name: str, extradata: bytes | None = None) -> None:
        """Open the decoder that libavcodec calls `name`; `extradata` is the codec's header, if it has one."""
        try:
            context = cast("AudioCodecContext", av.CodecContext.create(name, "r"))
        except (FFmpegError, ValueError) as exc:
            raise DecodeError(f"PyAV has no decoder called {name}", hint="install av from PyPI") from exc
        if extradata is not None:
            context.extradata = extradata
        context.thread_count = 1  # frame threads would hold frames back
        self._context = context
        self._resampler: AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        """Sample format, layout and rate that the resampler was made for."""

    def decode(self, packet: bytes) -> list[PcmChunk]:
        """Decode one whole packet; raise DecodeError if it is corrupt. The next one may be good."""
        try:
            frames = self._context.decode(av.Packet(packet))
            return [chunk for frame in frames for chunk in self._convert(frame)]
        except (FFmpegError, ValueError) as exc:
            raise DecodeError(f"{self._context.name} refuses a frame: {exc}") from exc

    def _convert(self, frame: AudioFrame) -> list[PcmChunk]:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or source != self._source:
            self._resampler = AudioResampler(format="s16")
            self._source = source
        chunks: list[PcmChunk] = []
        for out in self._resampler.resample(frame):
            audio_format = AudioFormat(out.sample_rate, len(out.layout.channels))
            if out.samples:
                chunks.append(PcmChunk(audio_format, from_av(out, audio_format)))
        return chunks


class AvEncoder:
    """One of libavcodec's encoders. Buffers PCM until it has a frame."""

    def __init__(
        self,
        name: str,
        audio_format: AudioFormat,
        sample_format: str,
        options: dict[str, str],
        bit_rate: int | None = None,
    ) -> None:
        """Open the encoder that libavcodec calls `name`, with samples in `sample_format`.

        Raises UsageError if PyAV has no such encoder, or if it does not have this format.
        """
        try:
            context = cast("AudioCodecContext", av.CodecContext.create(name, "w"))
            context.sample_rate = audio_format.rate
            context.layout = layout_of(audio_format.channels)
            context.format = av.AudioFormat(sample_format)
            if bit_rate is not None:
                context.bit_rate = bit_rate
            context.options = options
            context.thread_count = 1
            context.open()
        except (FFmpegError, ValueError) as exc:
            raise UsageError(f"{name} does not encode {audio_format}: {exc}") from exc
        self.header = context.extradata or b""
        """The decoder's configuration, in the codec's own form."""
        self.frame_size = context.frame_size
        """PCM frames a packet."""
        self._context = context
        self._format = audio_format
        self._empty = True

    def encode(self, pcm: bytes) -> list[bytes]:
        """Encode whole frames and return the packets that are complete."""
        if not pcm:
            return []
        self._empty = False
        return [bytes(packet) for packet in self._context.encode(to_av(pcm, self._format))]

    def flush(self) -> list[bytes]:
        """Return the remaining packets, the last one padded with silence if the codec needs that.

        If nothing was encoded, encode one frame of silence: decoders reject a stream without packets.
        """
        packets = self.encode(bytes(self._format.frame_bytes)) if self._empty else []
        return packets + [bytes(packet) for packet in self._context.encode(None) if packet.size]


def rates(name: str) -> list[int]:
    """Return the rates of an encoder of libavcodec, in hertz; an empty list: any."""
    return sorted(av.Codec(name, "w").audio_rates or [])


def rate_of(name: str, source: AudioFormat, wanted: int | None) -> int:
    """Return the rate to encode at: `wanted`, which the codec must have, or the nearest to the source's."""
    known = rates(name)
    if wanted is None:
        return min(known, key=lambda rate: (abs(rate - source.rate), -rate))
    if wanted not in known:
        raise UsageError(f"{name} has no {wanted} Hz", hint=f"it has {', '.join(map(str, known))}")
    return wanted
