"""The text of standard input or a file, sent to the agent."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from voice_cli.agent.messages import WINDOW, Message
from voice_cli.agent.session import SessionText
from voice_cli.errors import FileError
from voice_cli.script.text_encoding import decode_text

PIECE = 4096
"""Bytes to send at a time."""


class TextSender:
    """Sends the text of standard input or a file. A thread reads, since a read cannot be cancelled."""

    def __init__(self, path: str, send: Callable[..., None]) -> None:
        """Open the file; `-` is standard input.

        Raises:
            FileError: it cannot be read.

        """
        self.path = path
        self._send = send
        self._lock = threading.Condition()
        self._credit = WINDOW
        self._read = bytearray()
        """All that was read: it is needed if the agent dies."""
        self._has_ended = threading.Event()
        self._next: SessionText | None = None
        """What gets the text after the agent has died."""
        try:
            self._file = sys.stdin.fileno() if path == "-" else os.open(path, os.O_RDONLY)
        except OSError as exc:
            raise FileError(f"cannot read {path}: {exc.strerror}") from exc
        threading.Thread(target=self._run, name="voice-text", daemon=True).start()

    def credit(self, size: int) -> None:
        """Allow so many bytes more under way."""
        with self._lock:
            self._credit += size
            self._lock.notify_all()

    def wait(self, messages: Iterator[tuple[Message, bytes]]) -> None:
        """Wait until all was sent. `messages`: those of the agent, of which only the credits are used."""
        threading.Thread(target=self._take_credits, args=(messages,), daemon=True).start()
        self._has_ended.wait()

    def _take_credits(self, messages: Iterator[tuple[Message, bytes]]) -> None:
        for message, _ in messages:
            if message["type"] == "taken":
                self.credit(message["bytes"])

    def _run(self) -> None:
        with suppress(OSError):
            while data := os.read(self._file, PIECE):
                self._pass_on(data)
        with self._lock:
            self._has_ended.set()
            if self._next is not None:
                self._next.feed(b"", final=True)
        self._send({"type": "text_end"})

    def _pass_on(self, data: bytes) -> None:
        with self._lock:
            if self._next is None:
                self._read += data
                self._lock.wait_for(lambda: self._credit >= len(data) or self._next is not None)
                self._credit -= len(data)
                self._send({"type": "text"}, data)
                return
        self._next.feed(data)

    def whole(self) -> str:
        """Return the text of the file, after the agent has died.

        Raises:
            FileError: it is not text.

        """
        self._hand_over(SessionText(lambda _: None))
        self._has_ended.wait()
        return decode_text(bytes(self._read), self.path)

    def rest(self, heard: Message) -> tuple[SessionText, str]:
        """Return what was not heard and still arrives, and what was heard, after the agent has died.

        Raises:
            FileError: it is not text.

        """
        text = SessionText(lambda _: None)
        with self._lock:
            left, spoken = not_heard(decode_text(bytes(self._read), "standard input"), heard)
            text.feed(left.encode(), final=self._has_ended.is_set())
            self._hand_over(text)
        return text, spoken

    def _hand_over(self, text: SessionText) -> None:
        with self._lock:
            self._next = text
            self._lock.notify_all()


def not_heard(text: str, heard: Message) -> tuple[str, str]:
    """Return the part of a text that was not heard, by the last message `heard`, and the part before it."""
    left = heard["rest"] + text[heard["end"] :]
    return left, text[: max(0, len(text) - len(left))]
