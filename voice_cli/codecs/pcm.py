"""Raw PCM: interleaved, no header."""

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import Decoder, Encoder, checked_format
from voice_cli.codecs.noise import NoiseGuard
from voice_cli.codecs.sample_types import SAMPLE_TYPES
from voice_cli.errors import TruncatedAudio


class PcmDecoder(Decoder):
    """Cuts the stream at whole frames, since HTTP chunks may end anywhere, and converts the samples to s16le.

    `is_external`: refuse s16le that is noise at full scale, which is compressed or encrypted (see `noise`).
    """

    def __init__(self, audio_format: AudioFormat, samples: str = "s16le", *, is_external: bool = True) -> None:
        self._format = checked_format(*audio_format)
        self._samples = SAMPLE_TYPES[samples]
        self._frame_bytes = self._samples.size * audio_format.channels
        self._carry = b""
        self._guard = NoiseGuard(audio_format.channels) if is_external and samples == "s16le" else None

    def decode(self, data: bytes) -> list[PcmChunk]:
        data = self._carry + data if self._carry else data
        size = len(data) - len(data) % self._frame_bytes
        self._carry = data[size:]
        return self._chunks(self._samples.convert(bytes(data[:size])))

    def flush(self) -> list[PcmChunk]:
        rest = self._guard.finish() if self._guard is not None else b""
        if self._carry:
            raise TruncatedAudio("the PCM stream stopped inside a frame")
        return [PcmChunk(self._format, rest)] if rest else []

    def _chunks(self, pcm: bytes) -> list[PcmChunk]:
        if self._guard is not None:
            pcm = self._guard.check(pcm)
            if self._guard.is_done:
                self._guard = None
        return [PcmChunk(self._format, pcm)] if pcm else []


class PcmEncoder(Encoder):
    """s16le, interleaved, no header."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("pcm", target), target)
