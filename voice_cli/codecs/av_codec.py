"""PyAV's codecs, one whole packet in, s16le PCM out. Framing is ours: see `framer`, `flac` and `ogg`."""

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from voice_cli.audio import SAMPLE_BYTES, AudioFormat, PcmChunk
from voice_cli.errors import DecodeError


class AvCodec:
    """One of libavcodec's decoders, and libswresample's conversion of its samples.

    The conversion is ffmpeg's own with no options, so that what comes out is to the sample what `ffmpeg -f
    s16le` writes. The format is the frames' own, and follows them when it changes.
    """

    def __init__(self, name: str, extradata: bytes | None = None) -> None:
        """Make the decoder that libavcodec calls `name`; `extradata` is its codec's header, where it has one.

        Raises:
            DecodeError: this build of PyAV has no such decoder.

        """
        try:
            context = av.CodecContext.create(name, "r")
        except (FFmpegError, ValueError) as exc:
            raise DecodeError(f"PyAV has no decoder called {name}", hint="install av from PyPI") from exc
        if not isinstance(context, AudioCodecContext):
            raise DecodeError(f"{name} is no audio codec")
        if extradata is not None:
            context.extradata = extradata
        context.thread_count = 1  # frame threads would hold frames back
        self._context = context
        self._resampler: AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        """Sample format, layout and rate of the frames that the resampler was made for."""

    def decode(self, packet: bytes) -> list[PcmChunk]:
        """Decode one whole packet.

        Raises:
            DecodeError: the codec refuses it. The next one may be good.

        """
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
            size = out.samples * audio_format.channels * SAMPLE_BYTES
            if size:
                chunks.append(PcmChunk(audio_format, bytes(out.planes[0])[:size]))  # planes end in padding
        return chunks
