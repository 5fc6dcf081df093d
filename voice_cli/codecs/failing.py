"""How a decoder fails: after all that it could decode has been given."""

from abc import abstractmethod

from voice_cli.audio import PcmChunk
from voice_cli.codecs.base import Decoder
from voice_cli.errors import DecodeError


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
