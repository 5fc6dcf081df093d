"""The interfaces of decoders and encoders, and what their implementations share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from voice_cli.audio import MAX_CHANNELS, MAX_HERTZ, MIN_HERTZ, AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.media_types import content_type_of
from voice_cli.errors import DecodeError
from voice_cli.pcm.convert import Converter

if TYPE_CHECKING:
    from voice_cli.codecs.av_codec import AvEncoder


def checked_format(rate: int, channels: int) -> AudioFormat:
    """Return the format that a stream declares; raise DecodeError if nothing plays it."""
    if not MIN_HERTZ <= rate <= MAX_HERTZ:
        raise DecodeError(f"a sound of {rate} Hz cannot be played ({MIN_HERTZ} to {MAX_HERTZ} Hz can)")
    if not 1 <= channels <= MAX_CHANNELS:
        raise DecodeError(f"a sound of {channels} channels cannot be played (1 to {MAX_CHANNELS} can)")
    return AudioFormat(rate, channels)


class Decoder(ABC):
    """Decodes one stream of one codec. Used by one thread; does no I/O.

    The samples do not depend on how the stream is cut: incomplete data is buffered. A codec library's errors are raised
    as `DecodeError`, `from exc`.
    """

    @abstractmethod
    def decode(self, data: bytes) -> list[PcmChunk]:
        """Decode the next bytes of the stream and return every frame that is complete.

        The format may change from one chunk to the next (chained streams, a second header).

        Raises:
            DecodeError: these bytes are not of this codec.

        """

    @abstractmethod
    def flush(self) -> list[PcmChunk]:
        """End the stream and return what is left in the codec. Called once.

        Complete frames were returned before: a caller that gets the error has all the samples.

        Raises:
            UnmarkedEnd: the stream stopped between two frames, without the end that the codec has.
            TruncatedAudio: it stopped inside a frame, page or header.
            DecodeError: there was no audio in it.

        """


class ParsingDecoder(Decoder):
    """A decoder that is written as a generator, `_parse`.

    What was decoded before an error is returned, and the next call raises the error, so that the samples do not depend
    on how the stream is cut.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._failure: DecodeError | None = None
        self._parser = self._parse()

    def decode(self, data: bytes) -> list[PcmChunk]:
        if self._failure is not None:
            raise self._failure
        self._buffer += data
        chunks: list[PcmChunk] = []
        try:
            while (chunk := next(self._parser)) is not None:
                chunks.append(chunk)
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
    def _parse(self) -> Iterator[PcmChunk | None]:
        """Take bytes from `_buffer`; yield chunks, and None if more bytes are needed. Never return."""

    @abstractmethod
    def _end(self) -> list[PcmChunk]:
        """Implement `flush`."""

    def _need(self, size: int) -> Iterator[None]:
        """Wait until `_buffer` has `size` bytes."""
        while len(self._buffer) < size:
            yield None

    def _skip(self, size: int) -> Iterator[None]:
        """Remove `size` bytes, which may not have arrived."""
        while size > len(self._buffer):
            size -= len(self._buffer)
            self._buffer.clear()
            yield None
        del self._buffer[:size]


class Encoder:
    """Encodes one stream, which is valid after every call. Used by one thread at a time.

    The bytes do not depend on how the PCM is cut. Subclasses set `_head` if the stream has one, and override `_encoded`
    and `_end` unless it is PCM.
    """

    def __init__(self, source: AudioFormat, encoding: Encoding, wanted: AudioFormat) -> None:
        """Set the format of the input, the encoding of the output and the format of the input of `_encoded`."""
        self.source = source
        self.encoding = encoding
        """The codec, and the format that the stream decodes to."""
        self.content_type = content_type_of(encoding)
        """The media type to announce."""
        self._wanted = wanted
        self._converter = Converter(source, wanted)
        self._head = b""
        self._finished = False

    def encode(self, pcm: bytes) -> bytes:
        """Encode whole frames of the source and return the bytes that are complete, perhaps none."""
        if self._finished:
            raise RuntimeError("this stream is finished")
        if len(pcm) % self.source.frame_bytes:
            raise ValueError(f"{len(pcm)} bytes are no whole frames of {self.source}")
        return self._take_head() + self._encoded(self._converter.convert(pcm))

    def finish(self) -> bytes:
        """End the stream and return the rest of its bytes. Called once."""
        if self._finished:
            raise RuntimeError("this stream is finished")
        self._finished = True
        return self._take_head() + self._encoded(self._converter.flush()) + self._end()

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    def _encoded(self, pcm: bytes) -> bytes:
        """Encode whole frames, perhaps none, and return the bytes that are complete."""
        return pcm

    def _end(self) -> bytes:
        """Return what is left in the codec."""
        return b""


class PacketEncoder(Encoder):
    """Encodes with one of libavcodec's encoders. Subclasses set `_codec`."""

    _codec: "AvEncoder"

    def _encoded(self, pcm: bytes) -> bytes:
        return self._framed(self._codec.encode(pcm))

    def _end(self) -> bytes:
        return self._framed(self._codec.flush())

    def _framed(self, packets: list[bytes]) -> bytes:
        """Return the stream's bytes for these packets."""
        return b"".join(packets)
