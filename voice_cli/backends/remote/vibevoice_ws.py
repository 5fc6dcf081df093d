"""The VibeVoice demo's server, and ours: the text in the address, PCM and log entries back."""

import time
from typing import TYPE_CHECKING

from voice_cli.audio import Encoding
from voice_cli.backends.base import SpeechRequest, SpeechStream, Voice
from voice_cli.backends.remote.ws import WsBackend, sendable
from voice_cli.backends.remote.ws_session import Received, Session
from voice_cli.errors import RateLimitError, ServerError, UsageError, one_line
from voice_cli.protocol import vibevoice as wire
from voice_cli.protocol.fields import read

if TYPE_CHECKING:
    from voice_cli.backends.remote.ws_link import Link

BUSY_SECONDS = 1.0
"""How long to retry on "busy" after a stream of our own: the demo is busy for some milliseconds after it closed it."""


class VibeVoiceWsBackend(WsBackend):
    """One such server. It speaks one text at a time, at one pace.

    A voice that it does not have, it replaces by its own. `instructions` and `model` mean nothing to it.
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
        """Make ready, as `WsBackend`; `steps` and `cfg_scale`: the model's."""
        super().__init__(base_url, api_key=api_key, timeout=timeout)
        self._options = {"steps": steps, "cfg_scale": cfg_scale}
        self._latest: Link | None = None

    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        """Ask for it.

        Raises:
            UsageError: there is a speed in it.

        """
        if request.speed not in (None, 1.0):
            raise UsageError(f"{self.name} speaks at its own pace", hint="leave the speed out")
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
            before.ended_at is None or time.monotonic() - before.ended_at < BUSY_SECONDS
        )
        self._latest = self.begin(
            AddressedText(self.where, query), is_one=True, busy_seconds=BUSY_SECONDS if has_just_spoken else 0.0
        )
        return self._latest.first

    def voices(self) -> list[Voice]:
        try:
            config = wire.parse_config(read(self.get(wire.CONFIG_PATH)))
        except ValueError as exc:
            raise ServerError(f"{self.where} does not say which voices it has: {exc}") from exc
        return [Voice(voice) for voice in config.voices]


class AddressedText(Session):
    """`/stream`. Log entries between the sound are only looked at for a failure; what is none is passed over."""

    encoding = Encoding("pcm", wire.FORMAT)
    owed = 1

    def __init__(self, where: str, query: wire.Query) -> None:
        super().__init__(where)
        self.path = query.path()

    def opening(self) -> list[str]:
        return []

    def received(self, message: str | bytes) -> Received:
        if isinstance(message, bytes):
            return Received(message)
        try:
            log = wire.parse_log(read(message))
        except ValueError:
            log = None
        if log is None:
            return Received()
        if log.event == wire.BUSY:
            raise RateLimitError(f"{self.where} is busy: {one_line(log.reason)}", hint="try again later")
        if log.event in wire.FAILURES:
            raise ServerError(f"{self.where} failed: {one_line(log.reason) or log.event}")
        return Received()

    def is_complete(self, code: int) -> bool:
        return code == wire.CLOSED
