"""vLLM-omni's `/v1/audio/speech/stream`, for any engine; see `protocol.omni`.

Differences from vLLM-omni's server: every format streams; our splitter splits the text; pcm is 24000 Hz, and says so;
messages are read during generation, so that a disconnect is noticed and the next utterance can be queued; a session
survives invalid messages. As there, `session.close` lets queued utterances finish.
"""

from collections import deque

from fastapi import APIRouter
from starlette.websockets import WebSocket

from voice_cli.codecs.media_types import DEFAULT_PCM
from voice_cli.protocol import omni as wire
from voice_cli.script.splitter import Boundary
from voice_cli.server.errors import OrderError, Problem, problem_of
from voice_cli.server.sockets import MOST_MESSAGE, POLICY, SocketSession, decoded
from voice_cli.server.speech import Began, Ended, Event, Speech, SpeechOrder
from voice_cli.speech.spoken import Word

router = APIRouter()

EVERY = {"none": None, "sentence": Boundary.SENTENCE, "clause": Boundary.CLAUSE}
"""`split_granularity` → the boundary that ends a sentence; None: an utterance is one sentence."""


class OmniSession(SocketSession):
    """One utterance after another. One to be split is ordered with its first text, any other with `input.done`."""

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self._config: wire.SessionConfig | None = None
        self._begun = 0
        """Number of ordered utterances."""
        self._waiting: deque[Sentences] = deque()
        """Ordered utterances that have not ended; the first is being spoken."""
        self._pieces: list[str] = []
        """Text of the next utterance, which is not ordered yet."""
        self._characters = 0
        """Of `_pieces`."""
        self._failed: wire.SessionDone | None = None
        """The answer to the end of the utterance: it failed, and the rest of its text is dropped."""
        self._closing = False

    async def on_message(self, message: str | bytes) -> None:
        request = wire.parse_request(decoded(message))
        if self._closing:
            return
        if request is wire.SESSION_CLOSE:
            self._closing = True
            self.end_text()
            if not self.is_speaking:
                await self.close()
        elif isinstance(request, wire.SessionConfig):
            await self._configure(request)
        elif self._config is None:
            raise OrderError("no session was begun (send session.config first)", code="no_session")
        elif isinstance(request, wire.InputText):
            await self._take(request.text, self._config)
        else:
            await self._end_utterance(self._config, committed=request is wire.INPUT_COMMIT)

    async def _configure(self, config: wire.SessionConfig) -> None:
        if self._pieces or self.text is not None or self._failed is not None:
            raise OrderError("an utterance has begun (send input.done before session.config)", code="in_progress")
        if config.word_timestamps and not (config.stream_audio and config.response_format == "pcm"):
            raise OrderError("word_timestamps needs stream_audio and response_format pcm", param="word_timestamps")
        try:
            self.service.check_order(voice=config.voice)
            await self.check_voice(config.voice)
        except OrderError as error:
            if self._config is not None:
                raise
            # The client waits for the answers to the text that it sends next.
            problem = problem_of(error)
            await self.on_problem(problem)
            await self.close(POLICY, problem.message)
        else:
            self._config = config

    async def _take(self, text: str, config: wire.SessionConfig) -> None:
        if not text or self._failed is not None:
            return
        if config.split_granularity == "none":
            self.service.check_length(self._characters + len(text))
            self._characters += len(text)
            self._pieces.append(text)
            return
        self.service.check_order(text)
        if self.text is None:
            self.text = self.say_live(order_of(config))
            self._add(config)
        self.text.put_nowait(text)
        await self.text.room()

    async def _end_utterance(self, config: wire.SessionConfig, *, committed: bool) -> None:
        if self._failed is not None:
            done, self._failed = self._failed, None
            await self.send(done._replace(is_committed=committed).message())
            return
        if self.text is not None:
            self.end_text()
        else:
            text = "".join(self._pieces)
            self._pieces.clear()
            self._characters = 0
            if text.strip():
                self.say(order_of(config, text))
            else:
                self.say_live(order_of(config)).close()  # not an error: an utterance without sentences
            self._add(config, text.strip())
        self._waiting[-1].is_committed = committed

    def _add(self, config: wire.SessionConfig, text: str = "") -> None:
        self._waiting.append(Sentences(self, self._begun, config, text))
        self._begun += 1

    async def deliver(self, speech: Speech) -> None:
        sentences = self._waiting[0]
        sentences.speech = speech
        async for events in speech:
            for event in events:
                await sentences.take(event)
        await sentences.end()
        await self.send(sentences.done().message())

    async def on_problem(self, problem: Problem) -> None:
        await self.send(wire.Failure(problem.message, code=problem.code).message())

    async def on_failed(self, order: SpeechOrder, problem: Problem) -> None:
        """Send the error, then the ends of the sentence and the utterance, which clients wait for."""
        sentences = self._waiting[0]
        failure = wire.Failure(problem.message, sentences.sent > 0, problem.code)
        await self.send(failure.message())
        await sentences.end(error=True)
        if order.text is self.text:
            self.text, self._failed = None, sentences.done()
        else:
            await self.send(sentences.done().message())

    async def on_over(self, order: SpeechOrder) -> None:  # noqa: ARG002
        self._waiting.popleft()
        if self._closing and not self.is_speaking:
            await self.close()


def order_of(config: wire.SessionConfig, text: str = "") -> SpeechOrder:
    every = EVERY[config.split_granularity]
    return SpeechOrder(
        text,
        "omni",
        codec=config.response_format,
        rate=DEFAULT_PCM.rate if config.response_format == "pcm" else None,
        voice=config.voice,
        speed=config.speed,
        instructions=config.instructions,
        separate=every is not None,
        every=every,
    )


class Sentences:
    """Sends the audio of one utterance."""

    speech: Speech
    """Set before the first event."""
    is_committed = False
    """The client ended the utterance with `input.commit`."""

    def __init__(self, session: OmniSession, number: int, config: wire.SessionConfig, text: str) -> None:
        """`text`: the whole text if it is one sentence, else empty."""
        self.sent = 0
        """Sent bytes of the sentence."""
        self._session = session
        self._number = number
        self._config = config
        self._text = text
        self._count = 0
        """Number of begun sentences."""
        self._is_open = False
        self._at = 0.0
        """Seconds of the sentence's audio before the current utterance."""
        self._format = DEFAULT_PCM
        self._gathered = bytearray()
        self._chunks = 0
        self._words: list[Word] = []

    async def take(self, event: Event) -> None:
        """Send the messages for an event."""
        if isinstance(event, Began):
            self._at = event.at if self._config.split_granularity == "none" else 0.0
            if not self._is_open:
                await self._begin(event)
        elif isinstance(event, Ended):
            self._words += [Word(word.text, self._at + word.start, self._at + word.end) for word in event.words]
            if self._config.split_granularity != "none":
                await self.end()
        elif self._config.word_timestamps:
            await self._send_chunk(event)
        else:
            self._gathered += event
            if self._config.stream_audio or len(self._gathered) >= MOST_MESSAGE:
                await self._send_gathered()

    async def end(self, *, error: bool = False) -> None:
        """End the open sentence, if any. `error`: it is incomplete."""
        if not self._is_open:
            return
        self._is_open = False
        if not error:
            await self._send_gathered()
            if self._config.word_timestamps:
                await self._send_chunk(b"", self._times())
        await self._session.send(wire.AudioDone(self._number, self._count - 1, self.sent, error).message())

    def done(self) -> wire.SessionDone:
        return wire.SessionDone(self._number, self._count, self.is_committed)

    async def _begin(self, began: Began) -> None:
        self._is_open = True
        self.sent = self._chunks = 0
        self._gathered.clear()
        self._words.clear()
        self._format = began.encoding.format or DEFAULT_PCM
        pcm = self._format if self._config.response_format == "pcm" else None
        start = wire.AudioStart(
            self._number,
            self._count,
            self._text or began.line.text.strip(),
            self._config.response_format,
            pcm and pcm.rate,
            pcm and pcm.channels,
            self._config.word_timestamps,
        )
        self._count += 1
        await self._session.send(start.message())

    async def _send_gathered(self) -> None:
        """Send gathered audio in messages no larger than clients accept by default."""
        gathered = bytes(self._gathered)
        self._gathered.clear()
        for at in range(0, len(gathered), MOST_MESSAGE):
            piece = gathered[at : at + MOST_MESSAGE]
            await self._session.send_binary(piece)
            self._count_sent(piece)

    async def _send_chunk(self, data: bytes, times: list[wire.WordTime] | None = None) -> None:
        begin, end = self._milliseconds(self.sent), self._milliseconds(self.sent + len(data))
        chunk = wire.AudioChunk(
            self._number,
            self._count - 1,
            self._chunks,
            data,
            self._format.rate,
            self._format.channels,
            begin if data else 0,
            end,
            times,
        )
        await self._session.send(chunk.message())
        self._chunks += 1
        self._count_sent(data)

    def _count_sent(self, data: bytes) -> None:
        self.sent += len(data)
        if data:
            self.speech.report.mark("sent")

    def _times(self) -> list[wire.WordTime] | None:
        """Return the words' times, none after the end of the sent audio; None if the engine has none."""
        times: list[wire.WordTime] = []
        until = self._milliseconds(self.sent)
        for word in reversed(self._words):
            start = min(round(1000 * word.start), until)
            times.append(wire.WordTime(word.text, start, min(round(1000 * word.end), until)))
            until = start
        return times[::-1] or None

    def _milliseconds(self, size: int) -> int:
        return round(1000 * self._format.seconds(size // self._format.frame_bytes))


router.add_websocket_route(wire.STREAM_PATH, OmniSession.endpoint)
