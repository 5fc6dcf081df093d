"""The interfaces of decoders and encoders, and what their implementations share."""

from abc import ABC, abstractmethod

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.media_types import content_type_of
from voice_cli.errors import DecodeError


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


class DeferredErrorDecoder(Decoder):
    """Gives what a call decoded before its bytes went bad, and fails on the call after it.

    So what is heard of a stream that goes bad is the same whatever its cut. Subclasses fill in `_feed` and
    `_end`.
    """

    def __init__(self) -> None:
        self._failure: DecodeError | None = None

    def decode(self, data: bytes) -> list[PcmChunk]:
        if self._failure is not None:
            raise self._failure
        chunks: list[PcmChunk] = []
        try:
            self._feed(data, chunks)
        except DecodeError as exc:
            self._failure = exc
            if not chunks:
                raise
        return chunks

    def flush(self) -> list[PcmChunk]:
        if self._failure is not None:
            raise self._failure
        return self._end()

    @abstractmethod
    def _feed(self, data: bytes, chunks: list[PcmChunk]) -> None:
        """Take the next bytes and append what they give to `chunks`; what is there when it raises is good."""

    @abstractmethod
    def _end(self) -> list[PcmChunk]:
        """Do what `flush` does."""


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


class ConvertingEncoder(Encoder):
    """Gives the stream's head with the first call, and subclasses PCM of the format that they want.

    Subclasses set `_head` where they have one, and fill in `_encoded` and `_end`.
    """

    def __init__(self, source: AudioFormat, encoding: Encoding, wanted: AudioFormat) -> None:
        """Set the format of the input, the encoding of the output and the format that `_encoded` wants."""
        self.source = source
        self.encoding = encoding
        self.content_type = content_type_of(encoding)
        self._wanted = wanted
        from voice_cli.pcm.convert import Converter  # decoders do not need it

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
