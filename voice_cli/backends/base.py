"""The backends' seam: a request in, a stream of encoded bytes out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
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
    preset: str | None = None
    """Chatterbox's. It and the two below are settings of engines, for this request alone, over those that the backend
    was made with; a backend that has no such thing ignores them."""
    steps: int | None = None
    """In which a model refines each chunk of its speech: 1 to 100."""
    cfg_scale: float | None = None
    """How closely VibeVoice follows the text and the voice: 0 to 10."""
    due: float | None = None
    """When its first sound is needed, on `time.monotonic`; None: at once. An engine turns to the earliest first."""


class Voice(NamedTuple):
    """One voice that a backend has."""

    id: str
    """What `--voice` takes."""
    name: str = ""
    language: str = ""
    """A BCP 47 tag, or empty."""
    gender: str = ""


class WordEvent(NamedTuple):
    """A word, and when it is heard, as a stream's `words` has them where the backend tells.

    espeak-ng tells them as it speaks: a number or a string of ideographs is several words at one place, and inside a
    number the place is a guess.
    """

    text_start: int
    """Code points before it in the request's text."""
    text_length: int
    """Code points."""
    seconds: float
    """From the stream's first frame, in milliseconds' steps."""


class SpeechStream(ABC):
    """One utterance on its way: iterate over it for its encoded bytes, in chunks as they come.

    The request is under way when the stream is made. One thread iterates; `cancel` may come from any other.
    """

    expected: Encoding
    """What was asked for: known at once, so that codec and device can be made ready while nothing has come."""
    announced: Encoding | None = None
    """What the backend says it sends: set before the first chunk is given."""
    timestamps: dict[str, float]
    """When what happened, on `time.monotonic`: `request_sent`, and what else the backend knows (`resolved`,
    `connected`, `tls`, `first_byte`, `last_byte`)."""
    words: Sequence[WordEvent] = ()
    """Of a backend that tells them: grows while it speaks, a chunk's words before the chunk. Any thread may read it."""
    notes: Sequence[str] = ()
    """What a person should know of this speech besides its sound (that it does not stream, what was not applied): a
    line each, known when it ends."""

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


class TextStream(ABC):
    """A text that is given to a backend piece by piece, and comes back as streams, one a piece, in order.

    Another thread says the pieces than the one that iterates. `cancel` may come from any.
    """

    @abstractmethod
    def say(self, text: str) -> bool:
        """Send a piece: a sentence or a clause, to be spoken at once. False: nobody will hear it.

        Waits while the backend has enough to do.
        """

    @abstractmethod
    def finish(self) -> None:
        """Send that the text is over."""

    @property
    @abstractmethod
    def waits_for_text(self) -> bool:
        """All that was said has come back, and the text is not over: a silence is its writer's. Any thread."""

    @abstractmethod
    def __iter__(self) -> Iterator["PieceStream"]:
        """Give the streams, each when its sound begins to come.

        Raises:
            BackendError: nothing more comes, and why: after the streams that did.
            Interrupted: `cancel` was called.

        """

    @abstractmethod
    def cancel(self) -> None:
        """Give it up at once. Any thread, any number of times."""


class PieceStream(SpeechStream):
    """A stream of a conversation."""

    pieces: int
    """How many pieces of the text it speaks, after those of the stream before. Grows, if at all, up to its end: a
    backend may speak several as one. 0: it is what is left of the sound of the stream before."""


class Backend(ABC):
    """A server or an engine that speaks. Keeps what is dear between requests (a connection, a model)."""

    name: str
    supports_streaming_text: bool = False
    """`open_text_stream` can be called."""
    max_requests: int | None = None
    """How many requests it takes at once; None: any number."""

    @property
    def where(self) -> str:
        """Which server it is; an engine's own name, where there is none."""
        return self.name

    @property
    def compute_device(self) -> str:
        """Where a model runs, or would: `cpu`, `cuda`, `mps`; empty: that is not here. May import its library."""
        return "cpu"

    @abstractmethod
    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        """Send the request, or start the engine, and return without waiting for the answer.

        Raises:
            UsageError: it cannot do what is asked (a speed, a voice's name).
            BackendError: it can be told at once that nothing will come.

        """

    def open_text_stream(self, request: SpeechRequest, *, ahead: int) -> TextStream:
        """Begin a text that will come in pieces, said as `request` says (its `text` means nothing); wait for nothing.

        `ahead`: how many pieces may be under way besides the one that arrives.

        Raises:
            UsageError: it cannot do what is asked.

        """
        raise NotImplementedError

    def prepare(self) -> None:
        """Get ready while the text is still to come: reach the server, load the model. Returns at once.

        What goes wrong is for the request to tell, which tries again.
        """

    def expected(self, codec: str) -> Encoding:
        """Say what asking for a codec should bring, before there is anything to ask."""
        return Encoding(codec)

    def warm_up(self) -> None:
        """Have all loaded and compiled that the first request would else wait for. Waits for it.

        Raises:
            UsageError, BackendError: as iteration over a stream.

        """

    @abstractmethod
    def voices(self) -> list[Voice]:
        """List the voices that it has.

        Raises:
            BackendError: they could not be asked for, or the backend keeps no list.

        """

    def close(self) -> None:
        """Free what was kept. No stream of it may be in use."""
