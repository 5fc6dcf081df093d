"""Fakes of two Chatterbox WebSocket servers: the one in the protocol document, and one like ours.

The document's server pads each piece of µ-law to whole frames, sends a header before each piece of WAV, splits text at
the end of a message, does not report the text spoken, has two forms of errors, and no `cancel`.
"""

import base64
import re
import struct
from collections.abc import Callable
from typing import Any

from support.ws import Client
from voice_cli.audio import AudioFormat
from voice_cli.codecs.wav import wav_header

RATE = 24_000
FRAME = 160
LETTER_FRAMES = 40
"""Frames of audio per byte of text."""


def mulaw_of(text: str) -> bytes:
    """Return the document's audio for a text: its bytes as µ-law, padded to whole frames."""
    sound = text.encode() * 7
    return sound + b"\x7f" * (-len(sound) % FRAME)


def pcm_of(text: str) -> bytes:
    """Return a text's audio as s16le: audible, and different for each text."""
    values = [1000 + 50 * code for code in text.encode() for _ in range(LETTER_FRAMES)]
    return struct.pack(f"<{len(values)}h", *values)


def floats_of(text: str) -> bytes:
    """Return the same audio as a float WAV file, as torchaudio writes it."""
    values = [value / 32768 for (value,) in struct.iter_unpack("<h", pcm_of(text))]
    data = struct.pack(f"<{len(values)}f", *values)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 50 + len(data), b"WAVE", b"fmt ", 16, 3, 1, RATE, 4 * RATE, 4, 32)
    return head + struct.pack("<4sII", b"fact", 4, len(values)) + struct.pack("<4sI", b"data", len(data)) + data


def halves(text: str) -> tuple[str, str]:
    """Split a text into the two pieces that the model generates."""
    middle = (len(text) + 1) // 2
    return text[:middle], text[middle:]


class DocumentServer:
    """`before(text)` is called before a text is spoken; it may wait, or raise a RuntimeError to report."""

    def __init__(self, before: Callable[[str], None] = lambda _text: None) -> None:
        self._before = before

    def __call__(self, client: Client) -> None:
        if client.path == "/ws/synthesize":
            self._whole(client)
        else:
            self._pieces(client)

    def _whole(self, client: Client) -> None:
        while True:
            asked = client.receive()
            text, voice = asked.get("text", ""), asked.get("voice_id")
            if not text or not voice:
                client.say({"error": "Missing text or voice_id"})
                continue
            try:
                self._before(text)
            except RuntimeError as error:
                client.say({"error": str(error)})
                return
            messages = self._messages(text, asked.get("output_format", "mulaw"))
            for index, message in enumerate(messages):
                client.say({**message, "chunk_index": index, "is_final": False})
            last = {"audio": None, "chunk_index": len(messages), "is_final": True}
            client.say({**last, "first_chunk_ms": 1, "total_ms": 2})

    def _messages(self, text: str, output_format: str) -> list[dict[str, Any]]:
        if output_format != "mulaw":
            return [{"audio": _base64(floats_of(h)), "format": "wav", "sample_rate": RATE} for h in halves(text)]
        frames = []
        for sound in map(mulaw_of, halves(text)):
            frames += [sound[at : at + FRAME] for at in range(0, len(sound), FRAME)]
        return [{"audio": _base64(frame), "format": "mulaw", "sample_rate": 8000} for frame in frames]

    def _pieces(self, client: Client) -> None:
        held, voice, sent = "", None, 0
        while True:
            message = client.receive()
            kind = message.get("type", "text")
            if kind == "init":
                voice = message.get("voice_id")
                if not voice:
                    client.say({"error": "Missing voice_id in init"})
                    continue
                client.say({"type": "ready", "voice_id": voice, "preset": message.get("preset", "adaptive")})
            elif kind == "text":
                held += message.get("content", "")
                if not _speaks(held):
                    continue
                sent += self._speak(client, held.strip())
                client.say({"type": "sentence_complete", "chunks_in_sentence": 1})
                held = ""
            elif kind == "end":
                if held.strip():
                    sent += self._speak(client, held.strip())
                client.say({"type": "complete", "total_chunks": sent, "total_ms": 2})
                held = ""

    def _speak(self, client: Client, text: str) -> int:
        try:
            self._before(text)
        except RuntimeError as error:
            client.say({"type": "error", "error": str(error)})
            raise_closed(client)
        messages = self._messages(text, "mulaw")
        for index, message in enumerate(messages):
            client.say({**message, "type": "audio", "chunk_index": index})
        return len(messages)


def raise_closed(client: Client) -> None:
    """End the handler after an error, as the document's server does."""
    client.close()
    client.receive()


def _speaks(held: str) -> bool:
    sentence = re.search(r"[.!?]\s*$", held)
    clause = sentence or re.search(r"[,;:]\s+\S", held)
    return bool((sentence and len(held) >= 15) or (clause and len(held) >= 25))


class FlushingServer:
    """A server like ours: it speaks each flushed piece as PCM in odd-sized chunks and reports the text position."""

    def __init__(
        self,
        before: Callable[[str], None] = lambda _text: None,
        *,
        cut: int = 333,
        sound: Callable[[str], bytes] = pcm_of,
    ) -> None:
        self._before = before
        self._cut = cut
        self._sound = sound

    def __call__(self, client: Client) -> None:
        if client.path == "/ws/synthesize":
            asked = client.receive()
            self._before(asked["text"])
            sound = wav_header(AudioFormat(RATE, 1), None) + self._sound(asked["text"])
            self._send(client, sound if asked["output_format"] == "wav" else sound[44:], {"is_final": False})
            client.say({"audio": None, "is_final": True, "total_chunks": 1, "total_ms": 1})
            client.wait_until_gone()
        at = 0
        pending = ""
        client.receive()
        client.say({"type": "ready", "voice_id": None, "preset": None, "flush": True})
        while True:
            message = client.receive()
            if message["type"] == "end":
                break
            if message["type"] == "cancel":
                client.say({"type": "complete", "total_chunks": 0, "total_ms": 1, "cancelled": True})
                continue
            pending += message["content"]
            at += len(message["content"])
            if message.get("flush"):
                self._before(pending.strip())
                self._send(client, self._sound(pending.strip()), {"type": "audio"})
                client.say({"type": "sentence_complete", "chunks_in_sentence": 1, "text_end": at})
                pending = ""
        client.say({"type": "complete", "total_chunks": 1, "total_ms": 1})
        client.wait_until_gone()

    def _send(self, client: Client, sound: bytes, more: dict[str, Any]) -> None:
        for at in range(0, len(sound), self._cut):
            piece = {"audio": _base64(sound[at : at + self._cut]), "chunk_index": at // self._cut}
            client.say({**piece, "format": "pcm", "sample_rate": RATE, **more})


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
