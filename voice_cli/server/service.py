"""The engine behind the protocols: who may use it now, and what became of each stream."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from voice_cli.audio import CODECS, AudioFormat
from voice_cli.backends import open_backend
from voice_cli.backends.base import Backend, Voice
from voice_cli.codecs.encoders import open_encoder
from voice_cli.codecs.media_types import DEFAULT_PCM
from voice_cli.errors import UsageError, VoiceError
from voice_cli.server.errors import DrainingError, LateError, OrderError, OverloadError, VoiceNotFoundError
from voice_cli.server.live_text import LiveText
from voice_cli.server.metrics import Metrics
from voice_cli.server.report import Report
from voice_cli.server.settings import ServerSettings
from voice_cli.server.speech import Event, Speech, SpeechOrder
from voice_cli.server.voices import Voices


def ended_by_us(report: Report) -> VoiceError | None:
    """Give what a client is told whose stream the server ended; None: the client did."""
    if report.reason == "shutdown":
        return DrainingError("the server stops")
    if report.reason == "overlong":
        return LateError("no stream may last that long")
    return None


class Service:
    """One engine, for all connections of one event loop."""

    def __init__(self, settings: ServerSettings, backend: Backend | None = None) -> None:
        """Take the engine, or make it of the settings.

        Raises:
            UsageError, BackendError: there is no such engine here.

        """
        self.settings = settings
        self.voices = Voices(settings)
        if backend is None:
            backend = open_backend(settings.server.engine, **self.voices.engine_options(settings.engine_options))
        self.backend = backend
        self.metrics = Metrics(lambda: self.waiting)
        self.on_begin: Callable[[SpeechOrder], None] = lambda _: None
        """Called with every order that was admitted."""
        self.on_end: Callable[[Report], None] = lambda _: None
        """Called with the report of every stream that ended."""
        self._streams: set[Speech] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self.voice_list: list[Voice] = []

    def warm_up(self) -> None:
        """Load the model and the codecs, and list the voices; waits for it. Any thread.

        Raises:
            BackendError: it does not load.

        """
        self.backend.warm_up()
        self._list_voices()
        source = self.format or DEFAULT_PCM
        for codec in (*CODECS, "mulaw"):  # what it takes to load a codec is not the first client's to wait for
            encoder = open_encoder(codec, source, rate=2 * source.rate if codec == "pcm" else None)
            encoder.encode(bytes(source.frames(0.1) * source.frame_bytes))
            encoder.finish()

    def _list_voices(self) -> None:
        with contextlib.suppress(VoiceError):  # an engine may keep no list
            self.voice_list = self.backend.voices()
        self.voices.know(self.voice_list)

    async def has_voice(self, voice: str) -> bool:
        """Say whether a voice can speak, after it was fetched, if it has to be.

        Raises:
            UsageError: that is no voice's id.
            NetworkError, ServerError: it could not be fetched.

        """
        self.voices.check(voice)

        def look() -> bool:
            try:
                self.voices.ready(voice)
            except VoiceNotFoundError:
                return False
            if not self.voices.has(voice):
                self._list_voices()
            return self.voices.has(voice)

        return await asyncio.to_thread(look)

    @property
    def compute_device(self) -> str:
        """Where the engine runs."""
        return self.backend.compute_device

    @property
    def format(self) -> AudioFormat | None:
        """What the engine's speech is, as far as it is known."""
        return self.backend.expected("pcm").format

    @property
    def active(self) -> int:
        return len(self._streams)

    @property
    def waiting(self) -> int:
        """How many of them wait for the engine. Any thread."""
        return sum("queued" not in speech.report.timestamps for speech in tuple(self._streams))

    @property
    def draining(self) -> bool:
        return self._draining

    def admit(self) -> None:
        """See that one more stream may begin.

        Raises:
            OverloadError: there are too many.
            DrainingError: the server is about to stop.

        """
        if self._draining:
            self.metrics.rejected("draining")
            raise DrainingError("the server is about to stop", hint="ask again in a moment")
        if len(self._streams) >= self.settings.server.max_streams:
            self.metrics.rejected("busy")
            raise OverloadError(
                f"{len(self._streams)} streams are under way, and no more may be", hint="ask again later"
            )

    @contextlib.asynccontextmanager
    async def speak(self, order: SpeechOrder) -> AsyncIterator[Speech]:
        """Begin to speak, for as long as the context lasts: what is not made at its end is given up.

        Raises:
            OverloadError: there are too many.
            DrainingError: the server is about to stop.
            VoiceNotFoundError: the engine refused the order, and its list of voices lacks the order's.

        """
        self.admit()
        speech = Speech(self.backend, self.voices, self.settings, order)
        overlong = asyncio.get_running_loop().call_later(self.settings.server.max_seconds, speech.cancel, "overlong")
        self._streams.add(speech)
        self._idle.clear()
        self.metrics.active(len(self._streams))
        try:
            self.on_begin(order)
            speech.start()
            yield speech
        except OrderError:
            raise
        except UsageError as error:
            if order.voice is not None and not self.voices.has(order.voice):
                raise VoiceNotFoundError from error
            raise
        finally:
            overlong.cancel()
            if not speech.is_over:
                speech.cancel("left")
            self._streams.discard(speech)
            self.metrics.active(len(self._streams))
            self.metrics.ended(speech.report)
            self.on_end(speech.report)
            if not self._streams:
                self._idle.set()

    def events(self, speech: Speech) -> "Events":
        """Give what a stream has, as it comes, several at a time."""
        return Events(self, speech)

    async def first(self, speech: Speech) -> list[Event]:
        """Take the first of a stream. One whose text is still coming may wait for it as long as it likes.

        Raises:
            LateError: nothing came within the time that a stream may wait.
            VoiceError: as `Speech.take`.

        """
        if isinstance(speech.order.text, LiveText):
            return await speech.take()
        try:
            async with asyncio.timeout(self.settings.server.queue_timeout):
                return await speech.take()
        except TimeoutError:
            speech.cancel("late")
            self.metrics.rejected("late")
            raise LateError("the engine did not come to it in time", hint="ask again later") from None

    async def drain(self, seconds: float) -> None:
        """Take no more orders, and wait for the streams that are under way; then end those that are left."""
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        for speech in list(self._streams):
            speech.cancel("shutdown")

    def close(self) -> None:
        """Give up what is under way, and free the engine."""
        for speech in list(self._streams):
            speech.cancel("shutdown")
        self.backend.close()


class Events:
    """A stream's events. Iteration raises as `Service.first` and `Speech.take` do.

    No generator: one that is left in the middle, as by a client that goes, is the loop's to close, some time later.
    """

    def __init__(self, service: Service, speech: Speech) -> None:
        self._service = service
        self._speech = speech
        self._is_first = True

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> list[Event]:
        is_first, self._is_first = self._is_first, False
        events = await (self._service.first(self._speech) if is_first else self._speech.take())
        if not events:
            raise StopAsyncIteration
        return events
