"""Raw PCM: s16le, interleaved, no header."""

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import ConvertingEncoder, Decoder
from voice_cli.errors import TruncatedAudio


class PcmDecoder(Decoder):
    """Cuts the stream at whole frames: HTTP chunks may end anywhere."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._carry = b""

    def decode(self, data: bytes) -> list[PcmChunk]:
        if self._carry:
            data = self._carry + data
        over = len(data) % self._format.frame_bytes
        self._carry = data[len(data) - over :]
        whole = data[: len(data) - over] if over else data
        return [PcmChunk(self._format, bytes(whole))] if whole else []

    def flush(self) -> list[PcmChunk]:
        if self._carry:
            missing = self._format.frame_bytes - len(self._carry)
            raise TruncatedAudio(f"the PCM stream stopped {_bytes(missing)} short of a whole frame")
        return []


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


class PcmEncoder(ConvertingEncoder):
    """s16le, interleaved, no header."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("pcm", target), target)

    def _encoded(self, pcm: bytes) -> bytes:
        return pcm
