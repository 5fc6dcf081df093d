"""The decoders' seam: bytes in any cut, PCM out."""

from abc import ABC, abstractmethod

from voice_cli.audio import PcmChunk


class Decoder(ABC):
    """One stream of one codec. Used by one thread; does no I/O.

    Fed any cut of a stream, one byte at a time included, it gives the same samples as fed the whole: what is
    incomplete is carried. A codec library's errors are wrapped here, `from exc`, as `DecodeError`.
    """

    @abstractmethod
    def decode(self, data: bytes) -> list[PcmChunk]:
        """Take the next bytes of the stream and give every frame that is now certain.

        The format may change from one chunk to the next (chained streams, a second header).

        Raises:
            DecodeError: these bytes are not of this codec.

        """

    @abstractmethod
    def flush(self) -> list[PcmChunk]:
        """Say that the stream is over, once, and give what is left in the codec.

        Whatever is whole was given before: a caller that gets the error has all the samples there are.

        Raises:
            TruncatedAudio: the stream stopped inside a frame, page or header that promised more; says what.
            DecodeError: there was no audio in it.

        """
