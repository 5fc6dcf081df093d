"""The backends' seam: a request in, a stream of encoded bytes out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from voice_cli.audio import Encoding


class SpeechRequest(NamedTuple):
    """What is to be said, and how. None leaves it to the backend."""

    text: str
    voice: str | None = None
    model: str | None = None
    codec: str = "pcm"
    """One of `audio.CODECS`; an engine in the process may give PCM whatever was asked."""
    speed: float | None = None
    """A factor: 1 is the voice's own pace."""
    instructions: str | None = None


class Voice(NamedTuple):
    """One voice that a backend has."""

    id: str
    """What `--voice` takes."""
    name: str = ""
    language: str = ""
    """A BCP 47 tag, or empty."""
    gender: str = ""


class SpeechStream(ABC):
    """One utterance on its way: iterate over it for its encoded bytes, in chunks as they come.

    The request is under way when the stream is made. One thread iterates; `cancel` may come from any other.
    """

    expected: Encoding
    """What was asked for: known at once, so that codec and device can be made ready while nothing has come."""
    announced: Encoding | None = None
    """What the backend says it sends: set before the first chunk is given."""
    moments: dict[str, float]
    """When what happened, on `time.monotonic`: `request_sent`, and what else the backend knows (`resolved`,
    `connected`, `tls`, `first_byte`, `last_byte`)."""

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]:
        """Give the bytes as they come, never empty; wait for what is not there yet.

        Raises:
            BackendError: nothing came, and why.
            TruncatedAudio: something came, and then it broke off.
            Interrupted: `cancel` was called.

        """

    @abstractmethod
    def cancel(self) -> None:
        """Give up the request at once; whoever iterates gets Interrupted. Any thread, any number of times."""


class Backend(ABC):
    """A server or an engine that speaks. Keeps what is dear between requests (a connection, a model)."""

    name: str

    @abstractmethod
    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        """Send the request, or start the engine, and return without waiting for the answer.

        Raises:
            UsageError: it cannot do what is asked (a speed, a voice's name).
            BackendError: it can be told at once that nothing will come.

        """

    def expected(self, codec: str) -> Encoding:
        """Say what asking for a codec should bring, before there is anything to ask."""
        return Encoding(codec)

    @abstractmethod
    def voices(self) -> list[Voice]:
        """List the voices that it has.

        Raises:
            BackendError: they could not be asked for, or the backend keeps no list.

        """

    def close(self) -> None:
        """Free what was kept. No stream of it may be in use."""
