"""The backend for the VibeVoice demo's server, and for ours: the text in the URL, PCM and log entries back."""

import time
from contextlib import closing
from typing import TYPE_CHECKING

from voice_cli.audio import Encoding
from voice_cli.backends.base import SpeechRequest, SpeechStream, Voice
from voice_cli.backends.remote.ws import WsBackend, sendable
from voice_cli.backends.remote.ws_session import Received, Session
from voice_cli.errors import RateLimitError, ServerError, UsageError
from voice_cli.printable import one_line
from voice_cli.protocol import vibevoice as wire
from voice_cli.protocol.fields import error_of, read

if TYPE_CHECKING:
    from voice_cli.backends.remote.ws_link import Link

BUSY_SECONDS = 1.0
"""How long to retry on "busy" after a stream of our own: the demo stays busy for some milliseconds after the close."""


class VibeVoiceWsBackend(WsBackend):
    """One server, which speaks one text at a time.

    It has no speed, and replaces an unknown voice by its own. `instructions` and `model` are ignored.
    """

    name = "vibevoice-ws"
    settings = ("steps", "cfg_scale")
    max_requests = 1

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        steps: float | None = None,
        cfg_scale: float | None = None,
    ) -> None:
        super().__init__(base_url, api_key=api_key, timeout=timeout)
        self._options = {"steps": steps, "cfg_scale": cfg_scale}
        self._latest: Link | None = None

    @property
    def own_speeds(self) -> tuple[float, float] | None:
        return None

    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        if request.speed not in (None, 1.0):
            raise UsageError(f"{self.name} has no speed", hint="leave the speed out")
        options = {**self._options, **request.options}
        steps = options.get("steps")
        query = wire.Query(
            sendable(request.text),
            cfg=options.get("cfg_scale"),
            steps=None if steps is None else int(steps),
            voice=request.voice,
        )
        before = self._latest
        has_just_spoken = before is not None and (
            before.ended_at is None
            or (before.single.received > 0 and time.monotonic() - before.ended_at < BUSY_SECONDS)
        )
        busy_seconds = BUSY_SECONDS if has_just_spoken else 0.0
        self._latest = self.open_link(VibeVoiceSession(self.where, query), busy_seconds=busy_seconds)
        return self._latest.single

    def voices(self) -> list[Voice]:
        try:
            with closing(self.http()) as http:
                voices = wire.voices_in(read(http.get(wire.CONFIG_PATH)))
        except ValueError as exc:
            raise ServerError(f"{self.where} does not list its voices: {exc}") from exc
        return [Voice(voice) for voice in voices]


class VibeVoiceSession(Session):
    """`/stream`.

    The protocol has no message for the end: the server closes with 1000, also if it stops early. A server that logs its
    steps logs the end, too; if that entry is missing, the speech is not complete.
    """

    encoding = Encoding("pcm", wire.FORMAT)
    pending = 1

    def __init__(self, where: str, query: wire.Query) -> None:
        super().__init__(where)
        self.path = query.path()
        self._has_audio = self._logs_steps = self._has_logged_end = False

    def opening(self) -> list[str]:
        return []

    def received(self, message: str | bytes) -> Received:
        if isinstance(message, bytes):
            self._has_audio = True
            return Received(message)
        try:
            log = wire.parse_log(read(message))
        except ValueError:
            log = None
        if log is None:
            return Received()
        reason = one_line(error_of(log.data, "message"))
        if log.event == wire.BUSY:
            raise RateLimitError(f"{self.where} is busy: {reason}", hint="try again later", is_transient=True)
        if log.event in wire.FAILURES:
            raise ServerError(f"{self.where} failed: {reason or log.event}")
        self._logs_steps |= log.event in wire.STEPS
        self._has_logged_end |= log.event == wire.STREAM_COMPLETE
        return Received()

    def is_complete(self, code: int) -> bool:
        return code == wire.CLOSED and (self._has_logged_end or (self._has_audio and not self._logs_steps))
