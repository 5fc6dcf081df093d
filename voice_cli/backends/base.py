"""The backends' interface: a request in, a stream of encoded bytes out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from voice_cli.audio import Encoding
from voice_cli.errors import UsageError


class UnknownVoiceError(UsageError):
    """The backend has no such voice, or the name is not valid."""


class SpeechRequest(NamedTuple):
    """One text and how to speak it. None: the backend's default."""

    text: str
    voice: str | None = None
    model: str | None = None
    codec: str = "pcm"
    """One of `audio.CODECS`; an engine in the process may ignore it and return PCM."""
    speed: float | None = None
    """A factor: 1 is the voice's normal speed."""
    instructions: str | None = None
    options: Mapping[str, Any] = {}
    """Settings of some backends, by name, which override those of the constructor for this request.
    `Backend.check_options` validates them; a backend ignores those it does not have."""
    due: float | None = None
    """When the first audio is needed, on `time.monotonic`; None: now. An engine generates the earliest due first."""


class Voice(NamedTuple):
    """One voice that a backend has."""

    id: str
    """What `SpeechRequest.voice` takes."""
    name: str = ""
    language: str = ""
    """A BCP 47 tag, or empty."""
    gender: str = ""


class WordEvent(NamedTuple):
    """A word of the text and its time in the audio.

    From espeak-ng, a number or a string of ideographs is several words at one place; inside a number the place is
    estimated.
    """

    text_start: int
    """The offset in the request's text, in code points."""
    text_length: int
    """Code points."""
    seconds: float
    """From the stream's first frame, in steps of a millisecond."""
    estimated: bool = False
    """The engine does not tell the time: it is computed from the phonemes or letters, and the length of the sound."""


class SpeechStream(ABC):
    """The encoded bytes of one utterance, in chunks as they arrive.

    The request is sent when the stream is created. One thread iterates; any other may call `cancel`.
    """

    expected: Encoding
    """The requested encoding, known at once, so that codec and device can be prepared before the first byte."""
    announced: Encoding | None = None
    """The encoding that the backend declares; set before the first chunk."""
    timestamps: dict[str, float]
    """When each step happened, on `time.monotonic`: `request_sent`, and what else the backend knows (`resolved`,
    `connected`, `tls`, `first_byte`, `last_byte`)."""
    words: Sequence[WordEvent] = ()
    """If the backend reports them; a chunk's words are added before the chunk. Any thread may read it."""
    notes: Sequence[str] = ()
    """Lines for the user (it does not stream, a setting was not applied); complete at the end of the stream."""
    is_external: bool = True
    """Whether the bytes come from outside this process, so that raw PCM is checked to be no noise (`codecs.noise`)."""
    total_bytes: int | None = None
    """Bytes of the whole stream, if the backend announces them; set before the first chunk."""
    marks: Sequence[float] = ()
    """Seconds of the audio, in order, to which a listener skips instead of to sentences; empty: there are none."""
    is_cached: bool = False
    """Whether the bytes come from the cache: no request was sent."""
    cache_key: str = ""
    """Where the cache has the stream; empty: it has not."""
    end_is_marked: bool = True
    """Whether an iteration that ends has all bytes; False: the connection was closed, which may be early. Valid at the
    end."""

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive, never empty; wait while there are none.

        Raises:
            BackendError: no audio arrived.
            TruncatedAudio: the audio ended early.
            Interrupted: `cancel` was called.

        """

    def keep(self) -> None:
        """Store the stream if it is one that is kept. Called when all of it was decoded."""

    @abstractmethod
    def cancel(self) -> None:
        """Abandon the request at once; iteration raises Interrupted. Any thread, any number of times."""


class TextStream(ABC):
    """A text that is sent to a backend in pieces; the audio is one stream for each piece, in order.

    One thread sends the pieces and another iterates. `cancel` may be called from any.
    """

    @abstractmethod
    def say(self, text: str) -> bool:
        """Send a piece: a sentence or a clause, to be spoken at once. Return False if the session has ended.

        Waits while the backend has enough to do.
        """

    @abstractmethod
    def finish(self) -> None:
        """End the text."""

    @property
    @abstractmethod
    def waits_for_text(self) -> bool:
        """Whether all pieces are spoken and the text has not ended: silence is then no underrun. Any thread."""

    @abstractmethod
    def __iter__(self) -> Iterator["PieceStream"]:
        """Yield the streams, each when its audio begins to arrive.

        Raises:
            BackendError: it failed; raised after the streams that arrived.
            Interrupted: `cancel` was called.

        """

    @abstractmethod
    def cancel(self) -> None:
        """Cancel at once. Any thread, any number of times."""


class PieceStream(SpeechStream):
    """A stream of a `TextStream`."""

    pieces: int
    """How many pieces it speaks, after those of the previous stream; final at its end. 0: it continues the audio of the
    previous stream."""


class Backend(ABC):
    """A server or an engine. Keeps a connection or a model between requests.

    The class attributes describe the backend; nothing else in the program lists these facts.
    """

    name: ClassVar[str]
    is_remote: ClassVar[bool] = False
    """It uses a server: its constructor takes `base_url`, `api_key` and `timeout` (seconds) besides `settings`."""
    settings: ClassVar[tuple[str, ...]] = ()
    """The keys of a profile that its constructor takes by keyword."""
    packages: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(module, distribution) of the packages that a local engine needs; any one of them is enough."""
    extra: ClassVar[str | None] = None
    """The extra of this package (`pip install "voice-cli[EXTRA]"`) that installs them; None: none is needed."""
    model_is: ClassVar[str] = ""
    """What its `model` is, for the error if it is missing ("a folder with its files"); empty: it takes none."""
    voices_are_files: ClassVar[bool] = False
    """Its voices are files in folders: its constructor takes `voices` (folders) and `allow_paths`."""
    runs_on_torch: ClassVar[bool] = False
    """It uses a GPU through torch."""
    has_formats: ClassVar[bool] = False
    """It sends the codec of a request; otherwise the codec is its own."""
    max_requests: ClassVar[int | None] = None
    """How many requests it accepts at once; None: any number."""
    is_worth_caching: ClassVar[bool] = True
    """Whether its speech takes longer to make than to read from a file."""
    supports_streaming_text: ClassVar[bool] = False
    """`open_text_stream` can be called."""
    compute_device: str = "cpu"
    """The compute device (`cpu`, `cuda`, `mps`); empty: not available. To read it may import the engine's library."""

    @property
    def where(self) -> str:
        """The server, or the engine's name."""
        return self.name

    @property
    def own_speeds(self) -> tuple[float, float] | None:
        """The slowest and the fastest speed that a request may have; None: only 1."""
        return (0.25, 4.0)

    @abstractmethod
    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        """Send the request, or queue it for the engine; return without waiting for audio.

        Raises:
            UsageError: the request is not possible (a speed, a voice's name).
            BackendError: it failed.

        """

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Validate the request options that this backend has; ignore the others.

        Raises:
            UsageError: a value is invalid.

        """

    def open_text_stream(self, request: SpeechRequest, *, ahead: int) -> TextStream:
        """Open a stream of text, with the settings of `request` (its `text` is ignored); return at once.

        `ahead`: how many pieces may be sent beyond the one whose audio arrives.

        Raises:
            UsageError: the request is not possible.

        """
        raise NotImplementedError

    def prepare(self) -> None:
        """Connect to the server or load the model in the background. Return at once.

        A failure is not reported: the request retries.
        """

    def expected(self, codec: str) -> Encoding:
        """Return the expected encoding of a request for this codec."""
        return Encoding(codec)

    def language(self, voice: str | None) -> str:
        """Return the BCP 47 tag of a voice's language (None: the default voice); empty if unknown.

        Uses no server and no model: the text is split by it before the first request.
        """
        del voice
        return ""

    def warm_up(self) -> None:
        """Load and compile all that the first request needs; return when done.

        Raises:
            UsageError, BackendError: as iteration over a stream.

        """

    def check_access(self) -> None:
        """Check the address and the key with a request that costs nothing.

        Raises:
            BackendError: it failed.
            NotImplementedError: the backend has no such request.

        """
        raise NotImplementedError

    @abstractmethod
    def voices(self) -> list[Voice]:
        """Return the voices.

        Raises:
            BackendError: the request failed, or the backend has no list.

        """

    def close(self) -> None:
        """Close the connection or free the model. No stream of the backend may be in use."""
