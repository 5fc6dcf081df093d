"""A fake of the VibeVoice demo's server: frames and log entries, without a final message."""

import math
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.ws import Client

FRAME_BYTES = 6400
CONFIG = {"voices": ["de-Spk0_man", "en-Carter_man"], "default_voice": "en-Carter_man"}
PAGES = {"/config": CONFIG}


def query_of(client: Client) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(client.path).query).items()}


def log(event: str, **data: Any) -> dict[str, Any]:
    return {"type": "log", "event": event, "data": data, "timestamp": "2026-11-20 10:00:00.000"}


class DemoServer:
    """Speaks `sound` in frames, with log entries between them.

    `before(index)` is called before each frame; it may wait, or raise RuntimeError like a failing model. `busy`: refuse
    all requests. `refused_after`: serve one stream at a time, and refuse this many requests after each.
    """

    def __init__(
        self,
        sound: bytes,
        *,
        frame: int = FRAME_BYTES,
        before: Callable[[int], None] = lambda _index: None,
        busy: bool = False,
        refused_after: int | None = None,
    ) -> None:
        self._sound = sound
        self._frame = frame
        self._before = before
        self._busy = busy
        self._refused_after = refused_after
        self._to_refuse = 0
        self._lock = threading.Lock()

    def __call__(self, client: Client) -> None:
        with self._lock:
            is_busy = self._busy or self._to_refuse > 0
            if is_busy:
                self._to_refuse -= 1
            elif self._refused_after is not None:
                self._to_refuse = math.inf  # until this stream is closed
        if is_busy:
            client.say(log("backend_busy", message="Please wait for the other requests to complete."))
            client.close(1013, "Service busy")
            return
        client.say(log("backend_request_received", text_length=len(query_of(client).get("text", ""))))
        try:
            for index, at in enumerate(range(0, len(self._sound), self._frame)):
                self._before(index)
                client.say(log("model_progress", generated_sec=at / 48_000))
                client.send(self._sound[at : at + self._frame])
                if not index:
                    client.say(log("backend_first_chunk_sent"))
        except RuntimeError as error:
            client.say(log("generation_error", message=str(error)))
            client.say(log("backend_error", message=str(error)))
        client.say(log("backend_stream_complete"))
        client.close()
        with self._lock:
            self._to_refuse = self._refused_after or 0
