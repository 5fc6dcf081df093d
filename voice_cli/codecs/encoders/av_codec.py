"""PyAV's encoders: s16le PCM in, packets out. What stands around a packet is ours (see `adts`, `flac`, `ogg`).

libavformat's muxers would do it too, but its Ogg pages leave when the next one is full (the first sound after 40 ms
with pages of 20, after 200 with pages of 100), and each wants a file-like object and a call of it a packet.
"""

import av
from av.audio.codeccontext import AudioCodecContext
from av.error import FFmpegError

from voice_cli.audio import AudioFormat
from voice_cli.errors import UsageError

_LAYOUTS = {1: "mono", 2: "stereo"}


class AvCodec:
    """One of libavcodec's encoders. It gathers PCM until it has a frame, so that its cut does not matter."""

    def __init__(
        self,
        name: str,
        audio_format: AudioFormat,
        sample_format: str,
        options: dict[str, str],
        bit_rate: int | None = None,
    ) -> None:
        """Make the encoder that libavcodec calls `name`, which takes samples as `sample_format`.

        Raises:
            UsageError: this build of PyAV has no such encoder, or it does not take this.

        """
        try:
            context = av.CodecContext.create(name, "w")
            if not isinstance(context, AudioCodecContext):
                raise UsageError(f"{name} is no audio codec")
            context.sample_rate = audio_format.rate
            context.layout = _LAYOUTS[audio_format.channels]
            context.format = av.AudioFormat(sample_format)
            if bit_rate is not None:
                context.bit_rate = bit_rate
            context.options = options
            context.thread_count = 1
            context.open()
        except (FFmpegError, ValueError) as exc:
            raise UsageError(f"{name} does not encode {audio_format}: {exc}") from exc
        self.header = context.extradata or b""
        """What a decoder has to know of the stream, in the codec's own form."""
        self.frame_size = context.frame_size
        """PCM frames a packet."""
        self._context = context
        self._format = audio_format
        self._empty = True

    def encode(self, pcm: bytes) -> list[bytes]:
        """Take whole frames; give the packets that they complete."""
        if not pcm:
            return []
        self._empty = False
        frame = av.AudioFrame("s16", _LAYOUTS[self._format.channels], len(pcm) // self._format.frame_bytes)
        frame.sample_rate = self._format.rate
        frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\0"))
        return [bytes(packet) for packet in self._context.encode(frame)]

    def flush(self) -> list[bytes]:
        """Give the packets of all that is still in it, the last one filled up with silence if the codec needs that.

        Where nothing was encoded, it is one frame of silence: a decoder takes a stream without a packet for a failure.
        """
        packets = self.encode(bytes(self._format.frame_bytes)) if self._empty else []
        return packets + [bytes(packet) for packet in self._context.encode(None) if packet.size]


def rates(name: str) -> list[int]:
    """Give the rates that an encoder of libavcodec has, in hertz; an empty list: it takes any."""
    return sorted(av.Codec(name, "w").audio_rates or [])


def rate_of(name: str, source: AudioFormat, asked: int | None) -> int:
    """Give the rate to encode at: what is asked for, or the nearest to the source's.

    Raises:
        UsageError: the codec does not have what is asked for.

    """
    known = rates(name)
    if asked is None:
        return min(known, key=lambda rate: (abs(rate - source.rate), -rate))
    if asked not in known:
        raise UsageError(f"{name} has no {asked} Hz", hint=f"it has {', '.join(map(str, known))}")
    return asked
