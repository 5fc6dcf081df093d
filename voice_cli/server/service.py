"""The engine behind the protocols: admission, time limits, drain and metrics of its streams."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from voice_cli.audio import CODECS, AudioFormat
from voice_cli.backends import open_backend
from voice_cli.backends.base import Backend, Voice
from voice_cli.codecs import open_encoder
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
    """Return the error for a stream that the server ended; None if the client ended it."""
    if report.reason == "shutdown":
        return DrainingError("the server is shutting down")
    if report.reason == "overlong":
        return LateError("the stream exceeded the time limit")
    return None


class Service:
    """One engine, shared by all connections of one event loop."""

    def __init__(self, settings: ServerSettings, backend: Backend | None = None) -> None:
        """Use `backend`, or open the engine of the settings.

        Raises:
            UsageError, BackendError: the engine cannot be opened.

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
        """Load the model and the codecs, and list the voices. Blocks; any thread.

        Raises:
            BackendError: the model does not load.

        """
        self.backend.warm_up()
        self._list_voices()
        source = self.format or DEFAULT_PCM
        for codec in (*CODECS, "mulaw"):  # so that the first client does not wait for imports
            encoder = open_encoder(codec, source, rate=2 * source.rate if codec == "pcm" else None)
            encoder.encode(bytes(source.frames(0.1) * source.frame_bytes))
            encoder.finish()

    def _list_voices(self) -> None:
        with contextlib.suppress(VoiceError):  # not every engine has a list
            self.voice_list = self.backend.voices()
        self.voices.know(self.voice_list)

    async def has_voice(self, voice: str) -> bool:
        """Return whether a voice exists; fetch it if necessary.

        Raises:
            OrderError: that is not a voice id.
            NetworkError, ServerError: the voice could not be fetched.

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
        return self.backend.compute_device

    @property
    def format(self) -> AudioFormat | None:
        """The format of the engine's speech; None if unknown."""
        return self.backend.expected("pcm").format

    @property
    def active(self) -> int:
        return len(self._streams)

    @property
    def waiting(self) -> int:
        """Streams that wait for the engine. Any thread."""
        return sum("queued" not in speech.report.timestamps for speech in tuple(self._streams))

    @property
    def draining(self) -> bool:
        return self._draining

    def admit(self) -> None:
        """Check the admission limit.

        Raises:
            OverloadError: the limit is reached.
            DrainingError: the server is shutting down.

        """
        if self._draining:
            self.metrics.rejected("draining")
            raise DrainingError("the server is shutting down", hint="retry in a moment")
        if len(self._streams) >= self.settings.server.max_streams:
            self.metrics.rejected("busy")
            raise OverloadError(f"the limit of {len(self._streams)} streams is reached", hint="retry later")

    @contextlib.asynccontextmanager
    async def speak(self, order: SpeechOrder) -> AsyncIterator[Speech]:
        """Start a stream; an unfinished one is cancelled when the context ends.

        Raises:
            OverloadError: the admission limit is reached.
            DrainingError: the server is shutting down.
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
        """Return an iterator over batches of a stream's events."""
        return Events(self, speech)

    async def first(self, speech: Speech) -> list[Event]:
        """Return a stream's first events. There is no timeout while its text is still coming.

        Raises:
            LateError: the queue timeout expired.
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
            raise LateError("the engine was busy until the queue timeout", hint="retry later") from None

    async def drain(self, seconds: float) -> None:
        """Refuse new orders, wait up to `seconds` for active streams, then cancel the remaining ones."""
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        for speech in list(self._streams):
            speech.cancel("shutdown")

    def close(self) -> None:
        """Cancel active streams and close the engine."""
        for speech in list(self._streams):
            speech.cancel("shutdown")
        self.backend.close()


class Events:
    """Iterator over batches of a stream's events; raises as `Service.first` and `Speech.take` do.

    Not a generator: the event loop would close an abandoned one at some later time.
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
