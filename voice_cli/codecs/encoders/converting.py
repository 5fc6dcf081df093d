"""What all encoders share: the head first, conversion of the source, an end after which nothing comes."""

from abc import abstractmethod

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs.encoders.base import Encoder
from voice_cli.codecs.media_types import content_type_of
from voice_cli.pcm.convert import Converter


class ConvertingEncoder(Encoder):
    """Gives the stream's head with the first call, and subclasses PCM of the format that they want.

    Subclasses set `_head` where they have one, and fill in `_encoded` and `_end`.
    """

    def __init__(
        self, source: AudioFormat, encoding: Encoding, wanted: AudioFormat, *, content_type: str | None = None
    ) -> None:
        """Take what goes in, what will come out, and the format that `_encoded` wants; None: the codec's own type."""
        self.source = source
        self.encoding = encoding
        self.content_type = content_type or content_type_of(encoding)
        self._wanted = wanted
        self._converter = Converter(source, wanted)
        self._head = b""
        self._finished = False

    def encode(self, pcm: bytes) -> bytes:
        if self._finished:
            raise RuntimeError("this stream is finished")
        if len(pcm) % self.source.frame_bytes:
            raise ValueError(f"{len(pcm)} bytes are no whole frames of {self.source}")
        return self._begun() + self._encoded(self._converter.convert(pcm))

    def finish(self) -> bytes:
        if self._finished:
            raise RuntimeError("this stream is finished")
        self._finished = True
        return self._begun() + self._encoded(self._converter.flush()) + self._end()

    def _begun(self) -> bytes:
        head, self._head = self._head, b""
        return head

    @abstractmethod
    def _encoded(self, pcm: bytes) -> bytes:
        """Take whole frames, perhaps none; give what is certain."""

    def _end(self) -> bytes:
        """Give what is left."""
        return b""
