"""The protocol side of a WebSocket session: messages in, messages out, no I/O. `ws_link` owns the connection.

A session speaks one text, whole or in pieces. What the server speaks as one is an utterance, of one or more pieces.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.errors import AuthenticationError, BackendError, RateLimitError, ServerError
from voice_cli.printable import one_line
from voice_cli.protocol.fields import BUSY, UNAUTHORIZED

if TYPE_CHECKING:
    from voice_cli.backends.base import WordEvent

EXPECTED = Encoding("pcm", AudioFormat(rate=24_000, channels=1))
"""The usual format of these servers."""


class Received(NamedTuple):
    """The content of a message."""

    audio: bytes = b""
    pieces: int = 0
    """If not 0, an utterance has ended: all audio of the next so many pieces has arrived."""
    must_resend: bool = False
    """The server refused what was sent: send the messages of `resend`."""


class Session(ABC):
    """The state of a session. One thread at a time calls it."""

    path: str
    """Of the URL, with its query."""
    encoding: Encoding | None = None
    """Of the audio; set before the first audio."""
    is_ready = True
    """The server accepts text."""
    is_finished = False
    """The server has sent everything."""
    pending = 0
    """Number of pieces that were sent and whose end has not arrived."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.words: list[WordEvent] = []
        """Words of the utterance that is arriving; a new list for each utterance."""

    @property
    def expects_message(self) -> bool:
        """Whether the server must send something now, so that the timeout applies."""
        return self.pending > 0 or not self.is_ready

    @property
    def pieces_begun(self) -> int:
        """Number of pieces of the utterance whose audio arrives next; 0: the rest of the utterance before."""
        return min(1, self.pending)

    @abstractmethod
    def opening(self) -> list[str]:
        """Return the first messages."""

    @abstractmethod
    def received(self, message: str | bytes) -> Received:
        """Process a message.

        Raises:
            VoiceError: the server reports a failure.
            ValueError: the message is invalid; one line that says why.

        """

    def say(self, text: str) -> list[str]:
        """Return the messages for a piece of the text."""
        raise NotImplementedError

    def finish(self) -> list[str]:
        """Return the messages for the end of the text."""
        raise NotImplementedError

    def resend(self) -> list[str]:
        """Return the messages that replace refused ones."""
        raise NotImplementedError

    def keep_alive(self) -> list[str]:
        return []

    def cancel(self) -> list[str]:
        """Return the messages to send before the connection is closed early."""
        return []

    def is_complete(self, code: int) -> bool:  # noqa: ARG002
        """Return whether all audio has arrived if the server closes with that code."""
        return False

    def announced(self, codec: str, pcm: AudioFormat) -> Encoding:
        """Return the encoding that a server announced; `pcm`: the format, if the codec is pcm."""
        if codec not in CODECS:
            raise ServerError(f"{self.where} sends {one_line(codec)!r}, which cannot be decoded")
        return Encoding(codec, pcm if codec == "pcm" else None)

    def failure(self, text: str, code: str | None) -> BackendError:
        """Return the error for a server's error message."""
        message = f"{self.where}: {one_line(text) or 'it failed without a reason'}"
        if code == BUSY:
            return RateLimitError(message, hint="try again later", is_transient=True)
        return AuthenticationError(message) if code == UNAUTHORIZED else ServerError(message)
