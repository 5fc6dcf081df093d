"""The backends' seam: a request in, a stream of encoded bytes out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from voice_cli.audio import Encoding
from voice_cli.errors import UsageError


class UnknownVoiceError(UsageError):
    """The backend has no such voice, or the name is no voice's."""


class SpeechRequest(NamedTuple):
    """One text and how to speak it. None leaves a value to the backend."""

    text: str
    voice: str | None = None
    model: str | None = None
    codec: str = "pcm"
    """One of `audio.CODECS`; an engine in the process may give PCM whatever was asked."""
    speed: float | None = None
    """A factor: 1 is the voice's own pace."""
    instructions: str | None = None
    options: Mapping[str, Any] = {}
    """Settings that only some backends have, by name, for this request alone: they override those that the backend was
    made with. `Backend.check_options` validates them; a backend ignores those it does not have."""
    due: float | None = None
    """When its first sound is needed, on `time.monotonic`; None: at once. An engine turns to the earliest first."""


class Voice(NamedTuple):
    """One voice that a backend has."""

    id: str
    """What `SpeechRequest.voice` takes."""
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
    """When each step happened, on `time.monotonic`: `request_sent`, and what else the backend knows (`resolved`,
    `connected`, `tls`, `first_byte`, `last_byte`)."""
    words: Sequence[WordEvent] = ()
    """Of a backend that tells them: grows while it speaks, a chunk's words before the chunk. Any thread may read it."""
    notes: Sequence[str] = ()
    """Lines for the person about this speech (it does not stream, a setting was not applied); complete when it ends."""

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive, never empty; wait while there are none.

        Raises:
            BackendError: nothing came, and why.
            TruncatedAudio: something came, and then it broke off.
            Interrupted: `cancel` was called.

        """

    @abstractmethod
    def cancel(self) -> None:
        """Abandon the request at once; iteration raises Interrupted. Any thread, any number of times."""


class TextStream(ABC):
    """A text that is sent to a backend piece by piece, and comes back as streams, one a piece, in order.

    One thread sends the pieces and another iterates. `cancel` may be called from any.
    """

    @abstractmethod
    def say(self, text: str) -> bool:
        """Send a piece: a sentence or a clause, to be spoken at once. Return False if the session has ended.

        Waits while the backend has enough to do.
        """

    @abstractmethod
    def finish(self) -> None:
        """Send that the text is over."""

    @property
    @abstractmethod
    def waits_for_text(self) -> bool:
        """Whether every piece has come back and the text is not over: a silence is then the writer's. Any thread."""

    @abstractmethod
    def __iter__(self) -> Iterator["PieceStream"]:
        """Yield the streams, each when its sound begins to arrive.

        Raises:
            BackendError: nothing more comes, and why: after the streams that did.
            Interrupted: `cancel` was called.

        """

    @abstractmethod
    def cancel(self) -> None:
        """Abandon it at once. Any thread, any number of times."""


class PieceStream(SpeechStream):
    """A stream of a conversation."""

    pieces: int
    """How many pieces of the text it speaks, after those of the stream before. Grows, if at all, up to its end: a
    backend may speak several as one. 0: it is what is left of the sound of the stream before."""


class Backend(ABC):
    """A server or an engine that speaks. Keeps a connection or a model between requests.

    The class attributes below are the facts about a backend; nothing else in the program lists them.
    """

    name: ClassVar[str]
    is_remote: ClassVar[bool] = False
    """It talks to a server: its constructor takes `base_url`, `api_key` and `timeout` (seconds) besides `settings`."""
    settings: ClassVar[tuple[str, ...]] = ()
    """The keys of a profile that its constructor takes by keyword."""
    packages: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(module, distribution) of what a local engine runs on; any one of them is enough."""
    extra: ClassVar[str | None] = None
    """The extra of this package (`pip install "voice-cli[EXTRA]"`) that installs them; None: none is needed."""
    model_is: ClassVar[str] = ""
    """What its `model` is, for the message that asks for one ("a folder with its files"); empty: it takes none."""
    voices_are_files: ClassVar[bool] = False
    """Its voices are files in folders: its constructor takes `voices` (folders) and `allow_paths`."""
    runs_on_torch: ClassVar[bool] = False
    """It uses a GPU that torch finds."""
    max_requests: ClassVar[int | None] = None
    """How many requests it takes at once; None: any number."""
    supports_streaming_text: ClassVar[bool] = False
    """`open_text_stream` can be called."""

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
            BackendError: it has failed already.

        """

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Check the options of a request that this backend has; ignore the others.

        Raises:
            UsageError: a value is not possible.

        """

    def open_text_stream(self, request: SpeechRequest, *, ahead: int) -> TextStream:
        """Begin a text that will come in pieces, said as `request` says (its `text` means nothing); wait for nothing.

        `ahead`: how many pieces may be under way besides the one that arrives.

        Raises:
            UsageError: it cannot do what is asked.

        """
        raise NotImplementedError

    def prepare(self) -> None:
        """Connect to the server or load the model while the text is awaited. Return at once.

        A failure is not reported: the request tries again.
        """

    def expected(self, codec: str) -> Encoding:
        """Return the encoding that a request for this codec is expected to bring."""
        return Encoding(codec)

    def language(self, voice: str | None) -> str:
        """Return the BCP 47 tag of the language in which that voice speaks (None: the default); empty if unknown.

        Asks no server and loads no model: the text is split by it before the first request.
        """
        del voice
        return ""

    def warm_up(self) -> None:
        """Load and compile all that the first request would wait for. Return when it is done.

        Raises:
            UsageError, BackendError: as iteration over a stream.

        """

    @abstractmethod
    def voices(self) -> list[Voice]:
        """List the voices that it has.

        Raises:
            BackendError: the server cannot be asked, or the backend has no list.

        """

    def close(self) -> None:
        """Free the connection or the model. No stream of the backend may be in use."""
