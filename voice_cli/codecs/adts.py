"""AAC in ADTS frames (ISO 13818-7): decoded by PyAV, cut into frames by us."""

from voice_cli.audio import PcmChunk
from voice_cli.codecs.av_codec import AvCodec
from voice_cli.codecs.failing import DeferredErrorDecoder
from voice_cli.codecs.faults import Faults
from voice_cli.codecs.framer import Framer
from voice_cli.codecs.headers import ADTS_HEADER_BYTES, adts_header
from voice_cli.errors import DecodeError


class AacDecoder(DeferredErrorDecoder):
    """Gives what `ffmpeg -f s16le` gives of the whole file, each frame as soon as its last byte is here.

    The header's rate and channels are only half of HE-AAC's: the format is taken from what the codec gives.
    A frame that it refuses is left out, and `flush` raises DecodeError for it (see `Faults`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._faults = Faults("AAC")
        self._framer = Framer(adts_header, ADTS_HEADER_BYTES, self._faults)
        self._codec = AvCodec("aac")

    def _feed(self, data: bytes, chunks: list[PcmChunk]) -> None:
        self._framer.receive(data)
        while (frame := self._framer.next_frame()) is not None:
            try:
                decoded = self._codec.decode(frame[1])
            except DecodeError as exc:
                self._faults.frame_refused(exc)
                continue
            self._faults.frame_decoded()
            chunks += decoded

    def _end(self) -> list[PcmChunk]:
        self._framer.close()
        self._faults.check()
        return []
