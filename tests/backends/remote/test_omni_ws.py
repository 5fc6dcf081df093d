"""vLLM-omni WebSocket sessions: sentences, word timestamps and errors."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.streams import collect
from support.threads import WAIT, happened, in_thread
from support.ws import WsServer
from support.ws_chatterbox import RATE, pcm_of
from support.ws_omni import OmniServer, milliseconds
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, WordEvent
from voice_cli.backends.remote.omni_ws import OmniWsBackend
from voice_cli.codecs import open_decoder
from voice_cli.errors import Interrupted, RateLimitError, ServerError, TruncatedAudio
from voice_cli.queues import BoundedQueue

TEXT = "Well, hello there: it is Ann."
ANN = SpeechRequest("", voice="ann", model="qwen", instructions="gently")
PIECES = ["Well, hello there, Ann.", "Dr. Smith is in.", "Yes.", "And so on"]


@pytest.fixture
def talk():
    """Start a server with a client handler and return it with a backend."""
    opened = []

    def start(handle, **options):
        server = WsServer(handle)
        backend = OmniWsBackend(server.url, **options)
        opened.extend((backend, server))
        return server, backend

    yield start
    for one in opened:
        one.close()
    assert not [error for one in opened for error in getattr(one, "errors", [])]


def words_in(text, at=0.0):
    """Return the word timestamps that the server sends for a text whose audio begins at `at`."""
    found, position = [], 0
    for word in (word.strip(",.!?;:") for word in text.split()):
        position = text.index(word, position)
        found.append(WordEvent(position, len(word), at + milliseconds(text[:position]) / 1000))
        position += len(word)
    return found


def say(conversation, *pieces):
    def work():
        for piece in pieces:
            if not conversation.say(piece):
                return False
        conversation.finish()
        return True

    return in_thread(work)


def test_audio_and_words_of_a_whole_text(talk):
    server, backend = talk(OmniServer())
    stream = backend.synthesize(ANN._replace(text=TEXT))
    assert collect(stream) == (pcm_of(TEXT), None)
    assert stream.announced == Encoding("pcm", AudioFormat(RATE, 1))
    assert stream.words == words_in(TEXT)
    assert server.client().said == [
        {
            "type": "session.config",
            "voice": "ann",
            "model": "qwen",
            "instructions": "gently",
            "response_format": "pcm",
            "stream_audio": True,
            "word_timestamps": True,
            "split_granularity": "none",
        },
        {"type": "input.text", "text": TEXT},
        {"type": "input.done"},
    ]


def test_the_rate_is_the_servers(talk):
    _, backend = talk(OmniServer(rate=22_050))
    stream = backend.synthesize(ANN._replace(text=TEXT))
    assert collect(stream)[1] is None
    assert stream.announced == Encoding("pcm", AudioFormat(22_050, 1))


def test_server_without_an_aligner_gets_a_second_request_without_words(talk):
    server, backend = talk(OmniServer(aligner=False))
    for _ in range(2):
        stream = backend.synthesize(ANN._replace(text=TEXT))
        assert collect(stream) == (pcm_of(TEXT), None)
        assert stream.words == []
    asked = [[m["word_timestamps"] for m in c.said if m["type"] == "session.config"] for c in server.clients]
    assert asked == [[True, False], [False]]


@pytest.mark.parametrize("ahead", [1, 3])
def test_refused_pieces_are_sent_again_and_played_once(talk, ahead):
    _, backend = talk(OmniServer(aligner=False))
    conversation = backend.open_text_stream(ANN, ahead=ahead)
    said = say(conversation, *PIECES)
    streams = [(collect(stream), stream.pieces) for stream in conversation]
    assert said()
    assert streams == [((pcm_of(piece), None), 1) for piece in PIECES]


def test_each_piece_is_its_own_stream_with_words(talk):
    _, backend = talk(OmniServer())
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, *PIECES)
    streams = [(collect(stream), stream.pieces, stream.words) for stream in conversation]
    assert said()
    assert streams == [((pcm_of(piece), None), 1, words_in(piece)) for piece in PIECES]


def test_audio_arrives_before_the_next_piece_is_sent(talk):
    _, backend = talk(OmniServer())
    conversation = backend.open_text_stream(ANN, ahead=1)
    streams = iter(conversation)
    for piece in PIECES:
        assert conversation.say(piece)
        assert collect(next(streams)) == (pcm_of(piece), None)
    assert conversation.waits_for_text
    conversation.finish()
    assert list(streams) == []


def test_word_times_of_the_second_sentence_follow_the_first(talk):
    text = "Hello there. It is Ann"
    _, backend = talk(OmniServer(split_at="."))
    stream = backend.synthesize(ANN._replace(text=text))
    first, second = pcm_of("Hello there"), pcm_of("It is Ann")
    assert collect(stream) == (first + second, None)
    moved = [word._replace(text_start=word.text_start + 13) for word in words_in("It is Ann", len(first) / 2 / RATE)]
    assert stream.words == words_in("Hello there") + moved


@settings(max_examples=25)
@given(words=st.lists(st.text("abé你 ,.", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=1, max_size=8))
def test_words_are_in_the_text_and_in_order(words):
    text = " ".join(words)
    with WsServer(OmniServer()) as server:
        backend = OmniWsBackend(server.url)
        stream = backend.synthesize(SpeechRequest(text))
        assert collect(stream)[1] is None
        backend.close()
    ends = 0
    for word in stream.words:
        assert ends <= word.text_start
        ends = word.text_start + word.text_length
    assert ends <= len(text)


def test_word_that_is_not_in_the_text_is_omitted(talk):
    def handle(client):
        while client.receive()["type"] != "input.done":
            pass
        client.say({"type": "audio.start", "format": "pcm", "sample_rate": 24_000})
        times = [{"word": word, "start_ms": 100 * index} for index, word in enumerate(["It", "is", "three", "o'clock"])]
        client.say({"type": "audio.chunk", "audio_b64": "AAAA", "sample_rate": 24_000, "timestamps": None})
        client.say({"type": "audio.chunk", "audio_b64": "", "sample_rate": 24_000, "timestamps": times})
        client.say({"type": "audio.done"})
        client.say({"type": "session.done"})
        client.wait_until_gone()

    _, backend = talk(handle)
    stream = backend.synthesize(SpeechRequest("It is 3 o'clock."))
    assert collect(stream) == (b"\0\0\0", None)
    assert [(word.text_start, word.text_length) for word in stream.words] == [(0, 2), (3, 2), (8, 7)]


def test_speed_uses_whole_wav_files(talk):
    server, backend = talk(OmniServer(split_at="."))
    stream = backend.synthesize(SpeechRequest("Hello there. It is Ann", speed=1.5))
    sound = b"".join(stream)
    assert stream.announced == Encoding("wav")
    _, decoder = open_decoder(stream.announced, stream.expected, sound, final=True)
    pcm = b"".join(chunk.data for chunk in [*decoder.decode(sound), *decoder.flush()])
    assert pcm == pcm_of("Hello there") + pcm_of("It is Ann")
    config = server.client().said[0]
    assert (config["speed"], config["stream_audio"], config["response_format"]) == (1.5, False, "wav")


@pytest.mark.parametrize("sent", [False, True])
def test_failed_sentence_is_an_error(talk, sent):
    def fail(_text):
        if not sent:
            raise RuntimeError("out of memory")

    def handle(client):
        while client.receive()["type"] != "input.done":
            pass
        client.say({"type": "audio.start", "format": "pcm", "sample_rate": 24_000})
        client.send(b"\0\0\0")
        client.say({"type": "error", "message": "Generation failed: out of memory", "partial_audio": True})
        client.say({"type": "audio.done", "error": True})
        client.wait_until_gone()

    _, backend = talk(handle if sent else OmniServer(before=fail))
    sound, error = collect(backend.synthesize(ANN._replace(text=TEXT)))
    assert sound == (b"\0\0\0" if sent else b"")
    assert type(error) is (TruncatedAudio if sent else ServerError)
    assert "out of memory" in error.message


@pytest.mark.parametrize(
    ("done", "message"),
    [({"error": True, "total_bytes": 3}, "failed in the middle"), ({"total_bytes": 9}, "6 bytes of the audio")],
)
def test_incomplete_sentence_is_truncation(talk, done, message):
    def handle(client):
        while client.receive()["type"] != "input.done":
            pass
        client.say({"type": "audio.start", "format": "pcm", "sample_rate": 24_000})
        client.send(b"\0\0\0")
        client.say({"type": "audio.done", **done})
        client.wait_until_gone()

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(ANN._replace(text=TEXT)))
    assert sound == b"\0\0\0"
    assert isinstance(error, TruncatedAudio)
    assert message in error.message


def test_busy_server_is_a_rate_limit_error(talk):
    def handle(client):
        client.receive()
        client.say({"type": "error", "message": "too many streams", "code": "rate_limit_exceeded"})
        client.wait_until_gone()

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(ANN._replace(text=TEXT)))
    assert isinstance(error, RateLimitError)
    assert "too many streams" in error.message


def test_refused_config_is_a_server_error(talk):
    def handle(client):
        client.receive()
        client.say({"type": "error", "message": "Invalid session config: no such voice"})
        client.close()

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(ANN._replace(text=TEXT)))
    assert isinstance(error, ServerError)
    assert "no such voice" in error.message


@pytest.mark.parametrize("code", [1000, 1011])
def test_close_before_the_end_is_an_error(talk, code):
    def handle(client):
        while client.receive()["type"] != "input.done":
            pass
        client.close(code)

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(ANN._replace(text=TEXT)))
    assert isinstance(error, ServerError)


def test_audio_before_its_start_message_is_an_error(talk):
    def handle(client):
        client.receive()
        client.send(b"\0\0")
        client.wait_until_gone()

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(ANN._replace(text=TEXT)))
    assert isinstance(error, ServerError)
    assert "before audio.start" in error.message


def test_unknown_audio_format_is_an_error(talk):
    def handle(client):
        client.receive()
        client.say({"type": "audio.start", "format": "speex"})
        client.wait_until_gone()

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(ANN._replace(text=TEXT)))
    assert isinstance(error, ServerError)
    assert "'speex'" in error.message


def test_cancel_closes_the_session(talk):
    received = threading.Event()

    def handle(client):
        while client.receive()["type"] != "input.done":
            pass
        client.say({"type": "audio.start", "format": "pcm", "sample_rate": 24_000})
        client.send(b"\0\0")
        if client.receive() == {"type": "session.close"}:
            received.set()

    _, backend = talk(handle)
    stream = backend.synthesize(ANN._replace(text=TEXT))
    next(iter(stream))
    stream.cancel()
    happened(received)


def test_cancel_while_waiting_for_a_stream_interrupts(talk, monkeypatch):
    _, backend = talk(OmniServer())
    conversation = backend.open_text_stream(ANN, ahead=1)
    take = BoundedQueue.get

    def take_and_cancel(queue, timeout=None):
        stream = take(queue, timeout)
        conversation.cancel()
        return stream

    assert conversation.say("One.")
    with monkeypatch.context() as patched:
        patched.setattr(BoundedQueue, "get", take_and_cancel)
        with pytest.raises(Interrupted):
            next(iter(conversation))


def test_text_stream_without_text_has_no_audio(talk):
    server, backend = talk(OmniServer())
    conversation = backend.open_text_stream(ANN, ahead=1)
    conversation.finish()
    assert list(conversation) == []
    assert server.client().said[-1] == {"type": "session.close"}


def test_idle_session_sends_keep_alive_messages(talk, monkeypatch):
    monkeypatch.setattr("voice_cli.backends.remote.ws_link.KEEP_ALIVE_SECONDS", 0.05)
    beat = threading.Event()

    def handle(client):
        client.receive()
        assert client.receive() == {"type": "input.text", "text": ""}
        beat.set()
        client.wait_until_gone()

    _, backend = talk(handle)
    conversation = backend.open_text_stream(ANN, ahead=1)
    assert beat.wait(WAIT)
    conversation.cancel()
