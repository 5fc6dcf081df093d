"""Raw PCM and WAV: the source's own samples, at the source's rate or another."""

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs.encoders.converting import ConvertingEncoder
from voice_cli.codecs.wav_header import wav_header


class PcmEncoder(ConvertingEncoder):
    """s16le, interleaved, no header."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("pcm", target), target)

    def _encoded(self, pcm: bytes) -> bytes:
        return pcm


class WavEncoder(ConvertingEncoder):
    """One header for the stream, which says that its length is unknown; then s16le."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("wav", target), target)
        self._head = wav_header(target, None)

    def _encoded(self, pcm: bytes) -> bytes:
        return pcm
