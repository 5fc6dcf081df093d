"""Raw PCM: s16le, interleaved, no header."""

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import Decoder, Encoder
from voice_cli.errors import TruncatedAudio


class PcmDecoder(Decoder):
    """Cuts the stream at whole frames: HTTP chunks may end anywhere."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._carry = b""

    def decode(self, data: bytes) -> list[PcmChunk]:
        data = self._carry + data if self._carry else data
        size = len(data) - len(data) % self._format.frame_bytes
        self._carry = data[size:]
        return [PcmChunk(self._format, bytes(data[:size]))] if size else []

    def flush(self) -> list[PcmChunk]:
        if self._carry:
            raise TruncatedAudio("the PCM stream stopped inside a frame")
        return []


class PcmEncoder(Encoder):
    """s16le, interleaved, no header."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("pcm", target), target)
