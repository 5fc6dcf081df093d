"""The encoders' seam: PCM in, the bytes of one stream out."""

from abc import ABC, abstractmethod

from voice_cli.audio import AudioFormat, Encoding


class Encoder(ABC):
    """Makes one stream, which is valid from its first byte on and at every place where its sender may stop.

    How the PCM is cut makes no difference to the bytes, put together. One thread at a time.
    """

    source: AudioFormat
    """What `encode` is given."""
    encoding: Encoding
    """What comes out: the codec, and the format that it decodes to."""
    content_type: str
    """The media type to announce."""

    @abstractmethod
    def encode(self, pcm: bytes) -> bytes:
        """Take whole frames of the source; give what is certain so far, the stream's head with it. May be empty."""

    @abstractmethod
    def finish(self) -> bytes:
        """Give the rest, whatever the format wants at its end; nothing may be encoded after it."""
