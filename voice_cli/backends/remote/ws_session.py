"""The seam between a protocol and the WebSocket that it is spoken over (`ws_link`): messages in, messages out, no I/O.

A session says one text, whole or in pieces. What the server speaks as one is an utterance: one piece or several.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from voice_cli.audio import AudioFormat, Encoding

if TYPE_CHECKING:
    from voice_cli.backends.base import WordEvent

EXPECTED = Encoding("pcm", AudioFormat(rate=24_000, channels=1))
"""What the engines behind these servers make."""


class Received(NamedTuple):
    """What a message brought."""

    sound: bytes = b""
    pieces: int = 0
    """With it, all sound has come of so many pieces of the text, after those before: an utterance has ended."""
    is_refused: bool = False
    """What was sent was for nothing: `amends` has to be sent."""


class Session(ABC):
    """Knows what was asked for and what was answered. The link sees to it that one thread at a time calls it."""

    path: str
    """What is asked for on the server, with its query."""
    encoding: Encoding | None = None
    """Of the sound: set before there is any."""
    is_ready = True
    """Pieces can be said."""
    is_over = False
    """Nothing more comes, and nothing is missing."""
    owed = 0
    """Pieces that are with the server and whose end has not come."""

    def __init__(self, where: str) -> None:
        """Take the server's name for people."""
        self.where = where
        self.words: list[WordEvent] = []
        """When the words of the utterance that is coming are heard; a list of its own for each."""

    @property
    def is_waiting(self) -> bool:
        """The server has to say something now: its silence is a fault."""
        return self.owed > 0 or not self.is_ready

    @property
    def pieces_begun(self) -> int:
        """How many pieces the utterance has that is next to sound; 0: it is what is left of the one before."""
        return min(1, self.owed)

    @abstractmethod
    def opening(self) -> list[str]:
        """Return what is sent first."""

    @abstractmethod
    def received(self, message: str | bytes) -> Received:
        """Take what came.

        Raises:
            VoiceError: it says that it failed.
            ValueError: it makes no sense; a line that says why.

        """

    def say(self, text: str) -> list[str]:
        """Return what is sent for a piece of the text."""
        raise NotImplementedError

    def finish(self) -> list[str]:
        """Return what is sent when the text is over."""
        raise NotImplementedError

    def amends(self) -> list[str]:
        """Return the messages that replace refused ones."""
        raise NotImplementedError

    def heartbeat(self) -> list[str]:
        """Return the keep-alive messages."""
        return []

    def farewell(self) -> list[str]:
        """Return what is sent to cancel, before the connection is closed."""
        return []

    def is_complete(self, code: int) -> bool:  # noqa: ARG002
        """Return whether nothing is missing when the server closes with that code."""
        return False
