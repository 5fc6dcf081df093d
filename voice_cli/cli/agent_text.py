"""The text of standard input or a file, sent to the agent."""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from voice_cli.agent.messages import WINDOW, Message
from voice_cli.errors import FileError
from voice_cli.script.pauses import LiveText
from voice_cli.script.text_encoding import TextDecoder

PIECE = 4096
"""Bytes to send at a time."""

FLUSH_SECONDS = 0.6
"""Seconds without text that are a pause, after the agent has died."""


class TextSender:
    """Sends the text of standard input or a file. A thread reads, since a read cannot be cancelled."""

    def __init__(self, path: str, send: Callable[..., None], sent: Callable[[], object] | None = None) -> None:
        """Open the file; `-` is standard input. The thread calls `sent` when all was sent.

        Raises:
            FileError: it cannot be read.

        """
        self.path = path
        self._send = send
        self._sent = sent
        self._changed = threading.Condition()
        """Guards all below."""
        self._credit = WINDOW
        self._has_agent_died = False
        self._decoder = TextDecoder("standard input" if path == "-" else path)
        self._text: list[str] = []
        """All that was read: it is needed if the agent dies."""
        self._error: FileError | None = None
        """Why it is not text. The agent reports this, unless it dies."""
        self._has_ended = threading.Event()
        self._rest: LiveText | None = None
        """What gets the text of standard input after the agent has died."""
        self.is_sent = False
        try:
            self._file = sys.stdin.fileno() if path == "-" else os.open(path, os.O_RDONLY)
        except OSError as exc:
            raise FileError(f"cannot read {path}: {exc.strerror}") from exc
        threading.Thread(target=self._run, name="voice-text", daemon=True).start()

    def credit(self, size: int) -> None:
        """Allow so many bytes more under way."""
        with self._changed:
            self._credit += size
            self._changed.notify_all()

    def _run(self) -> None:
        with suppress(OSError):
            while data := os.read(self._file, PIECE):
                if not self._keep(data):
                    return
                if self._may_send(len(data)):
                    self._send({"type": "text"}, data)
        self._keep(b"", final=True)
        self._send({"type": "text_end"})
        self.is_sent = True
        if self._sent is not None:
            self._sent()

    def _may_send(self, size: int) -> bool:
        """Wait until the agent reads; return False if it has died."""
        with self._changed:
            self._changed.wait_for(lambda: self._credit >= size or self._has_agent_died)
            self._credit -= size
            return not self._has_agent_died

    def _keep(self, data: bytes, *, final: bool = False) -> bool:
        """Keep text, or hand it over after the agent has died; return False if no more is needed."""
        with self._changed:
            text = self._decode(data, final=final)
            rest = self._rest
            if rest is None:
                self._text.append(text)
            if final:
                self._has_ended.set()
        if rest is not None:  # without the lock, since this waits while the queue is full
            if text and not rest.put(text):
                return False
            if final or self._error is not None:
                rest.close(self._error)
        return True

    def _decode(self, data: bytes, *, final: bool) -> str:
        if self._error is None:
            try:
                return self._decoder.decode(data, final=final)
            except FileError as exc:
                self._error = exc
        return ""

    def whole(self) -> str:
        """Return the text of the file, after the agent has died.

        Raises:
            FileError: it is not text.

        """
        with self._changed:
            self._end_sending()
        self._has_ended.wait()
        if self._error is not None:
            raise self._error
        return "".join(self._text)

    def rest(self, heard: Message) -> tuple[LiveText, str]:
        """Return what was not heard and still arrives, and what was heard, after the agent has died.

        Raises:
            FileError: it is not text.

        """
        with self._changed:
            if self._error is not None:
                raise self._error
            left, spoken = not_heard("".join(self._text), heard)
            self._rest = rest = LiveText(WINDOW, FLUSH_SECONDS)
            if left:
                rest.put(left)
            if self._has_ended.is_set():
                rest.close()
            self._end_sending()
        return rest, spoken

    def _end_sending(self) -> None:
        self._has_agent_died = True
        self._changed.notify_all()


def not_heard(text: str, heard: Message) -> tuple[str, str]:
    """Return the part of a text that was not heard, by the last message `heard`, and the part before it."""
    left = heard["rest"] + text[heard["end"] :]
    return left, text[: max(0, len(text) - len(left))]
