"""The engine behind the protocols: admission, time limits, drain and metrics of its streams."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from voice_cli.audio import CODECS
from voice_cli.backends import open_backend
from voice_cli.backends.base import Backend, Voice
from voice_cli.codecs import open_encoder
from voice_cli.codecs.media_types import DEFAULT_PCM
from voice_cli.errors import Interrupted, UsageError, VoiceError
from voice_cli.server.errors import DrainingError, LateError, OrderError, OverloadError, VoiceNotFoundError
from voice_cli.server.metrics import Metrics
from voice_cli.server.report import Report
from voice_cli.server.settings import ServerSettings
from voice_cli.server.speech import Speech, SpeechOrder
from voice_cli.server.voices import Voices


class Service:
    """One engine, shared by all connections of one event loop."""

    def __init__(self, settings: ServerSettings, backend: Backend | None = None) -> None:
        """Use `backend`, or open the engine of the settings; raises as `open_backend`."""
        self.settings = settings
        self.voices = Voices(settings)
        if backend is None:
            backend = open_backend(settings.server.engine, **self.voices.engine_options(settings.engine_options))
        self.backend = backend
        self.metrics = Metrics(lambda: self.active, lambda: self.waiting)
        self.announce: Callable[[str], None] = lambda _: None
        """Called with the voice of every stream, and with the routing key of every call."""
        self.on_end: Callable[[Report], None] = lambda _: None
        """Called with the report of every stream that ended."""
        self._streams: set[Speech] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self.voice_list: list[Voice] = []

    def warm_up(self) -> None:
        """Load the model and the codecs, and list the voices. Blocks; any thread.

        Raises BackendError if the model does not load.
        """
        self.backend.warm_up()
        self._list_voices()
        source = self.backend.expected("pcm").format or DEFAULT_PCM
        for codec in (*CODECS, "mulaw"):  # so that the first client does not wait for imports
            encoder = open_encoder(codec, source, rate=2 * source.rate if codec == "pcm" else None)
            encoder.encode(bytes(source.frames(0.1) * source.frame_bytes))
            encoder.finish()

    def _list_voices(self) -> None:
        with contextlib.suppress(VoiceError):  # not every engine has a list
            self.voice_list = self.backend.voices()
        self.voices.know(self.voice_list)

    def check_order(
        self, text: str = "", *, voice: str | None = None, preset: str | None = None, param: str = "text"
    ) -> None:
        """Raise OrderError if a parameter is wrong. `param`: the text's parameter in the protocol."""
        if preset is not None:
            try:
                self.backend.check_options({"preset": preset})
            except UsageError as exc:
                raise OrderError(f"{exc.message} ({exc.hint})", param="preset") from exc
        self.check_length(len(text), param=param)
        if voice is not None:
            self.voices.check(voice)

    def check_length(self, characters: int, *, param: str = "text") -> None:
        """Raise OrderError if a text is too long."""
        limit = self.settings.server.max_text
        if characters > limit:
            raise OrderError(f"the text has {characters} characters (at most {limit})", param=param, code="too_long")

    async def check_voice(self, voice: str | None, *, param: str = "voice") -> None:
        """Raise VoiceNotFoundError if a voice does not exist; other errors as `has_voice`."""
        if voice is not None and not await self.has_voice(voice):
            raise VoiceNotFoundError(param=param)

    async def has_voice(self, voice: str) -> bool:
        """Return whether a voice exists; fetch it if necessary.

        Raises:
            OrderError: it is not a voice id.
            NetworkError, ServerError: the voice could not be fetched.
            OverloadError: too many others are being fetched.

        """
        try:
            waiter = await asyncio.to_thread(self.voices.fetch, voice)
            if waiter is not None:
                try:
                    await waiter.take()
                finally:
                    waiter.cancel()
        except VoiceNotFoundError:
            return False
        if not self.voices.has(voice):
            await asyncio.to_thread(self._list_voices)
        return self.voices.has(voice)

    @property
    def active(self) -> int:
        return len(self._streams)

    @property
    def waiting(self) -> int:
        """Streams that wait for the engine. Any thread."""
        return sum("queued" not in speech.report.timestamps for speech in tuple(self._streams))

    def admit(self) -> None:
        """Raise OverloadError if the admission limit is reached, DrainingError if the server is shutting down."""
        if self.draining:
            self.metrics.rejected("draining")
            raise DrainingError("the server is shutting down", hint="retry in a moment")
        if len(self._streams) >= self.settings.server.max_streams:
            self.metrics.rejected("busy")
            raise OverloadError(f"the limit of {len(self._streams)} streams is reached", hint="retry later")

    @contextlib.asynccontextmanager
    async def speak(self, order: SpeechOrder) -> AsyncIterator[Speech]:
        """Start a stream; an unfinished one is cancelled when the context ends.

        Raises:
            OverloadError, DrainingError: as `admit`.
            VoiceNotFoundError: the engine refused the order, and its list of voices lacks the order's.
            LateError, DrainingError: the body was interrupted because the server ended the stream.

        """
        self.admit()
        speech = Speech(self.backend, self.voices, self.settings, order)
        overlong = asyncio.get_running_loop().call_later(self.settings.server.max_seconds, speech.cancel, "overlong")
        self._streams.add(speech)
        self._idle.clear()
        try:
            if order.voice is not None:
                self.announce(order.voice)
            speech.start()
            yield speech
        except Interrupted:
            if speech.report.reason == "shutdown":
                raise DrainingError("the server is shutting down") from None
            if speech.report.reason == "overlong":
                raise LateError("the stream exceeded the time limit") from None
            raise
        except UsageError as error:
            if isinstance(error, OrderError) or order.voice is None or self.voices.has(order.voice):
                raise
            raise VoiceNotFoundError(param="voice" if order.protocol == "openai" else None) from error
        finally:
            overlong.cancel()
            if not speech.is_over:
                speech.cancel("left")
            self._streams.discard(speech)
            self.metrics.ended(speech.report)
            self.on_end(speech.report)
            if not self._streams:
                self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Refuse new orders, wait up to `seconds` for active streams, then cancel the remaining ones."""
        self.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        self._cancel_all()

    def close(self) -> None:
        """Cancel active streams and close the engine."""
        self._cancel_all()
        self.backend.close()

    def _cancel_all(self) -> None:
        for speech in list(self._streams):
            speech.cancel("shutdown")
