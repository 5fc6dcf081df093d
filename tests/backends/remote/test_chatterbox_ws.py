"""Chatterbox WebSocket sessions with the documented server and with ours: whole and streamed text."""

import base64
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.streams import collect
from support.threads import WAIT, happened, in_thread
from support.ws import WsServer
from support.ws_chatterbox import (
    RATE,
    DocumentServer,
    FlushingServer,
    floats_of,
    halves,
    mulaw_of,
    pcm_of,
)
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.chatterbox_ws import ChatterboxWsBackend
from voice_cli.codecs import open_decoder
from voice_cli.errors import AuthenticationError, Interrupted, RateLimitError, ServerError, TruncatedAudio
from voice_cli.pcm import g711 as mulaw
from voice_cli.protocol.chatterbox import DocumentBuffer

ANN = SpeechRequest("", voice="ann")
PIECES = ["Well, hello there, Ann.", "Dr. Smith is in his room.", "Yes.", "And so on, and so forth", "你好。"]


@pytest.fixture
def talk():
    """Start a server with a client handler and return it with a backend."""
    opened = []

    def start(handle, **options):
        server = WsServer(handle)
        backend = ChatterboxWsBackend(server.url, **options)
        opened.extend((backend, server))
        return server, backend

    yield start
    for one in opened:
        one.close()
    assert not [error for one in opened for error in getattr(one, "errors", [])]


def decoded(stream):
    """Read a stream to its end and decode it; return the format and the s16le data."""
    sound = b"".join(stream)
    _, decoder = open_decoder(stream.announced, stream.expected, sound, final=True)
    chunks = [*decoder.decode(sound), *decoder.flush()]
    return chunks[0].format, b"".join(chunk.data for chunk in chunks)


def say(conversation, *pieces):
    """Send the pieces and the end of the text on another thread; return a function that waits for it."""

    def work():
        for piece in pieces:
            if not conversation.say(piece):
                return False
        conversation.finish()
        return True

    return in_thread(work)


# Whole text.


def test_wav_header_in_each_message_is_removed(talk):
    server, backend = talk(DocumentServer(), preset="fast")
    stream = backend.synthesize(SpeechRequest("Hello there", voice="ann", speed=1.5))
    assert decoded(stream) == (AudioFormat(RATE, 1), pcm_of("Hello there"))
    assert server.client().said == [
        {"text": "Hello there", "output_format": "pcm", "voice_id": "ann", "preset": "fast", "speed": 1.5}
    ]
    assert floats_of("x").startswith(b"RIFF")


def test_pcm_cut_into_odd_lengths_is_reassembled(talk):
    _, backend = talk(FlushingServer(cut=333))
    stream = backend.synthesize(SpeechRequest("Hello there"))
    assert collect(stream) == (pcm_of("Hello there"), None)
    assert stream.announced == Encoding("pcm", AudioFormat(RATE, 1))


def test_mulaw_is_decoded(talk):
    def handle(client):
        client.receive()
        for data in (b"\x80\x00", b"\xff"):
            client.say({"audio": base64.b64encode(data).decode(), "format": "mulaw", "sample_rate": 8000})
        client.say({"audio": None, "is_final": True})
        client.wait_until_gone()

    _, backend = talk(handle)
    stream = backend.synthesize(ANN._replace(text="x"))
    assert decoded(stream) == (AudioFormat(8000, 1), struct.pack("<3h", 32124, -32124, 0))


def test_request_preset_overrides_the_profiles(talk):
    server, backend = talk(FlushingServer(), preset="fast")
    collect(backend.synthesize(SpeechRequest("x", options={"preset": "expressive"})))
    assert server.client().said[0]["preset"] == "expressive"


def test_unset_fields_are_not_sent(talk):
    server, backend = talk(FlushingServer())
    collect(backend.synthesize(SpeechRequest("x")))
    assert server.client().said == [{"text": "x", "output_format": "pcm"}]


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ({"error": "Voice not found: ann"}, ServerError, "Voice not found: ann"),
        ({"type": "error", "error": "Voice not found"}, ServerError, "Voice not found"),
        ({"error": {"message": "no\u001b[31m\nno"}}, ServerError, "no [31m no"),
        ({"type": "error"}, ServerError, "failed without a reason"),
        ({"error": "too many", "code": "rate_limit_exceeded"}, RateLimitError, "too many"),
        ({"error": "no key", "code": "invalid_api_key"}, AuthenticationError, "no key"),
    ],
)
def test_error_in_either_shape(talk, answer, kind, message):
    def handle(client):
        client.receive()
        client.say(answer)
        client.wait_until_gone()

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(ANN._replace(text="x")))
    assert sound == b""
    assert type(error) is kind
    assert message in error.message


def test_documented_error_message_is_reported(talk):
    _, backend = talk(DocumentServer())
    _, error = collect(backend.synthesize(SpeechRequest("no voice")))
    assert isinstance(error, ServerError)
    assert "Missing text or voice_id" in error.message


def test_error_after_audio_is_truncation(talk):
    def handle(client):
        client.receive()
        client.say({"audio": "AAAA", "format": "pcm", "sample_rate": 24_000})
        client.say({"error": "out of memory"})
        client.wait_until_gone()

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(ANN._replace(text="x")))
    assert sound == b"\0\0\0"
    assert isinstance(error, TruncatedAudio)
    assert "out of memory" in error.message


@pytest.mark.parametrize("sent", [False, True])
def test_close_before_the_final_message_is_an_error(talk, sent):
    def handle(client):
        client.receive()
        if sent:
            client.say({"audio": "AAAA", "format": "pcm", "sample_rate": 24_000})
        client.close(1000)

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(ANN._replace(text="x")))
    assert type(error) is (TruncatedAudio if sent else ServerError)
    assert "closed the session before its end" in error.message


def test_unknown_audio_format_is_an_error(talk):
    def handle(client):
        client.receive()
        client.say({"audio": "AAAA", "format": "speex", "sample_rate": 24_000})
        client.wait_until_gone()

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(ANN._replace(text="x")))
    assert isinstance(error, ServerError)
    assert "'speex'" in error.message


def test_change_of_audio_format_is_an_error(talk):
    def handle(client):
        client.receive()
        for rate in (24_000, 16_000):
            client.say({"audio": "AAAA", "format": "pcm", "sample_rate": rate})
        client.wait_until_gone()

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(ANN._replace(text="x")))
    assert sound == b"\0\0\0"
    assert isinstance(error, TruncatedAudio)
    assert "changed the audio format" in error.message


def test_unknown_messages_are_ignored(talk):
    def handle(client):
        client.receive()
        client.say({"type": "pong"})
        client.say({"audio": "AAAA", "format": "pcm", "sample_rate": 24_000})
        client.say({"type": "metrics", "x": [1]})
        client.say({"is_final": True})
        client.wait_until_gone()

    _, backend = talk(handle)
    assert collect(backend.synthesize(ANN._replace(text="x"))) == (b"\0\0\0", None)


def test_cancel_is_sent_before_the_connection_closes(talk):
    received = threading.Event()

    def handle(client):
        client.receive()
        client.say({"audio": "AAAA", "format": "pcm", "sample_rate": 24_000})
        if client.receive() == {"type": "cancel"}:
            received.set()

    _, backend = talk(handle)
    stream = backend.synthesize(ANN._replace(text="x"))
    next(iter(stream))
    stream.cancel()
    happened(received)


def test_voices_come_from_the_openai_endpoint(talk):
    server = WsServer(FlushingServer(), pages={"/v1/audio/voices": {"voices": [{"id": "ann", "name": "Ann"}]}})
    backend = ChatterboxWsBackend(server.url, api_key="sk-1")
    assert [voice.id for voice in backend.voices()] == ["ann"]
    assert server.requests[0].headers["Authorization"] == "Bearer sk-1"
    server.close()


def test_server_without_a_voice_list_is_an_error(talk):
    _, backend = talk(DocumentServer())
    with pytest.raises(ServerError):
        backend.voices()


# Streamed text.


def test_each_piece_is_its_own_stream(talk):
    server, backend = talk(FlushingServer(), preset="fast")
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, *PIECES)
    streams = [(collect(stream), stream.pieces) for stream in conversation]
    assert said()
    assert streams == [((pcm_of(piece), None), 1) for piece in PIECES]
    assert server.client().path == "/ws/synthesize-stream"
    assert server.client().said == [
        {"type": "init", "voice_id": "ann", "preset": "fast", "output_format": "pcm"},
        *({"type": "text", "content": f"{piece} ", "flush": True} for piece in PIECES),
        {"type": "end"},
    ]


def test_audio_arrives_before_the_next_piece_is_sent(talk):
    _, backend = talk(FlushingServer())
    conversation = backend.open_text_stream(ANN, ahead=1)
    streams = iter(conversation)
    assert conversation.waits_for_text
    for piece in PIECES:
        assert conversation.say(piece)
        assert collect(next(streams)) == (pcm_of(piece), None)
        assert conversation.waits_for_text
    conversation.finish()
    assert list(streams) == []
    assert not conversation.waits_for_text


def spoken_by_the_document(pieces):
    """Return the texts that the documented server synthesizes as one, each with its number of pieces."""
    buffer = DocumentBuffer()
    spoken, held = [], []
    for piece in pieces:
        held.append(piece)
        if buffer.add(f"{piece} "):
            spoken.append((" ".join(held), len(held)))
            held = []
    return spoken + ([(" ".join(held), len(held))] if held else [])


def test_pieces_are_counted_without_text_positions_from_the_server(talk):
    server, backend = talk(DocumentServer())
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, *PIECES)
    streams = [(collect(stream), stream.pieces, stream.announced) for stream in conversation]
    assert said()
    expected = spoken_by_the_document(PIECES)
    assert [count for _, count in expected] == [1, 1, 2, 1]
    telephone = Encoding("pcm", AudioFormat(8000, 1))
    for (sound, pieces, announced), (text, count) in zip(streams, expected, strict=True):
        assert pieces == count
        assert announced == telephone
        assert sound == (b"".join(mulaw.decode(mulaw_of(half)) for half in halves(text)), None)
    assert "flush" not in server.client().said[1]


@settings(max_examples=25)
@given(
    pieces=st.lists(
        st.text("abc ,.?!:你é", min_size=1, max_size=40).map(str.strip).filter(bool), min_size=1, max_size=6
    )
)
def test_no_piece_is_lost_for_any_text(pieces):
    for handle in (DocumentServer(), FlushingServer()):
        with WsServer(handle) as server:
            backend = ChatterboxWsBackend(server.url)
            conversation = backend.open_text_stream(ANN, ahead=1)
            said = say(conversation, *pieces)
            streams = [(collect(stream)[1], stream.pieces) for stream in conversation]
            assert said()
            backend.close()
            assert [error for error, _ in streams] == [None] * len(streams)
            assert sum(count for _, count in streams) == len(pieces)
            contents = [m["content"] for m in server.client().said if m["type"] == "text"]
            assert "".join(contents) == "".join(f"{piece} " for piece in pieces)


def test_server_combines_pieces(talk):
    def handle(client):
        client.receive()
        client.say({"type": "ready", "flush": True})
        texts = [client.receive()["content"], client.receive()["content"]]
        client.say({"type": "audio", "audio": "AAAA", "format": "pcm", "sample_rate": 24_000})
        client.say({"type": "sentence_complete", "chunks_in_sentence": 1, "text_end": sum(map(len, texts))})
        client.receive()
        client.say({"type": "complete"})
        client.wait_until_gone()

    _, backend = talk(handle)
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, "One.", "Two.")
    (stream,) = conversation
    assert said()
    assert stream.pieces == 2


def test_server_splits_a_piece(talk):
    def handle(client):
        client.receive()
        client.say({"type": "ready", "flush": True})
        length = len(client.receive()["content"])
        for text_end in (4, length - 1):  # trailing white space may not count
            client.say({"type": "audio", "audio": "AAAA", "format": "pcm", "sample_rate": 24_000})
            client.say({"type": "sentence_complete", "chunks_in_sentence": 1, "text_end": text_end})
        client.receive()
        client.say({"type": "audio", "audio": "AQEB", "format": "pcm", "sample_rate": 24_000})
        client.say({"type": "complete"})
        client.wait_until_gone()

    _, backend = talk(handle)
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, "One. Two.")
    streams = [(collect(stream), stream.pieces) for stream in conversation]
    assert said()
    assert streams == [((b"\0" * 6, None), 1), ((b"\1" * 3, None), 0)]


def test_pieces_without_audio_count_with_the_next(talk):
    def handle(client):
        client.receive()
        client.say({"type": "ready", "flush": True})
        first, second = len(client.receive()["content"]), len(client.receive()["content"])
        client.say({"type": "sentence_complete", "chunks_in_sentence": 0, "text_end": first})
        client.say({"type": "audio", "audio": "AAAA", "format": "pcm", "sample_rate": 24_000})
        client.say({"type": "sentence_complete", "chunks_in_sentence": 1, "text_end": first + second})
        client.receive()
        client.say({"type": "complete"})
        client.wait_until_gone()

    _, backend = talk(handle)
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, "…!", "Two.")
    (stream,) = conversation
    assert said()
    assert stream.pieces == 2


def test_session_completed_without_any_audio_is_an_error(talk):
    def handle(client):
        client.receive()
        client.say({"type": "ready", "voice_id": "ann"})
        while client.receive()["type"] != "end":
            client.say({"type": "sentence_complete", "chunks_in_sentence": 0})
        client.say({"type": "complete", "total_chunks": 0})
        client.wait_until_gone()

    _, backend = talk(handle)
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, "Well, hello there, Ann.")
    with pytest.raises(ServerError, match="contains no audio"):
        list(conversation)
    assert said()


def test_unknown_voice_is_an_error_before_any_text(talk):
    _, backend = talk(DocumentServer())
    conversation = backend.open_text_stream(SpeechRequest(""), ahead=1)
    with pytest.raises(ServerError, match="Missing voice_id"):
        next(iter(conversation))
    assert not conversation.say("Hello.")
    conversation.finish()


def test_error_between_pieces_ends_the_session(talk):
    def fail(text):
        if "Smith" in text:
            raise RuntimeError("out of memory")

    _, backend = talk(DocumentServer(fail))
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, *PIECES)
    streams = iter(conversation)
    assert collect(next(streams))[1] is None
    with pytest.raises(ServerError, match="out of memory"):
        next(streams)
    assert said() in (True, False)


def test_connection_broken_within_a_piece_is_truncation(talk):
    def handle(client):
        client.receive()
        client.say({"type": "ready", "flush": True})
        client.receive()
        client.say({"type": "audio", "audio": "AAAA", "format": "pcm", "sample_rate": 24_000})
        client.receive()
        client.cut()

    _, backend = talk(handle)
    conversation = backend.open_text_stream(ANN, ahead=1)
    assert conversation.say("One.")
    stream = next(iter(conversation))
    chunks = iter(stream)
    assert next(chunks) == b"\0\0\0"
    conversation.say("Two.")
    assert isinstance(collect(chunks)[1], TruncatedAudio)
    assert not conversation.waits_for_text


def test_completion_before_the_end_of_the_text_is_an_error(talk):
    def handle(client):
        client.receive()
        client.say({"type": "ready", "flush": True})
        client.receive()
        client.say({"type": "complete"})
        client.wait_until_gone()

    _, backend = talk(handle)
    conversation = backend.open_text_stream(ANN, ahead=1)
    conversation.say("One.")
    with pytest.raises(ServerError, match="ended before the text did"):
        next(iter(conversation))


def test_pieces_are_sent_at_most_two_ahead(talk):
    go = threading.Semaphore(0)
    spoken = []

    def before(text):
        spoken.append(text)
        assert go.acquire(timeout=WAIT)

    server, backend = talk(FlushingServer(before))
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, "One.", "Two.", "Three.", "Four.")
    streams = iter(conversation)
    for index in range(4):
        go.release()
        assert collect(next(streams))[1] is None
        contents = [message["content"] for message in server.client().said if message["type"] == "text"]
        assert len(contents) <= index + 3
    assert said()
    assert list(streams) == []
    assert spoken == ["One.", "Two.", "Three.", "Four."]


def test_unread_streams_hold_the_text_back(talk):
    """The text is not read to its end while no stream is read."""
    taken = []

    def texts():
        for number in range(200):
            taken.append(number)
            yield f"Number {number}."

    _, backend = talk(FlushingServer())
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, *texts())
    streams = iter(conversation)
    first = next(streams)
    assert collect(first)[1] is None
    assert len(backend._links) == 1
    link = next(iter(backend._links))
    with link._streams._changed:
        assert link._streams._changed.wait_for(lambda: len(link._streams._items) == 4, WAIT)
    assert sum(1 for stream in streams if collect(stream)[1] is None) == 199
    assert said()


def test_timeout_applies_only_while_audio_is_expected(talk):
    _, backend = talk(FlushingServer(), timeout=0.2)
    conversation = backend.open_text_stream(ANN, ahead=1)
    streams = iter(conversation)
    conversation.say("One.")
    assert collect(next(streams))[1] is None
    pause = threading.Event()
    assert not pause.wait(0.5)  # longer than the timeout
    conversation.say("Two.")
    assert collect(next(streams))[1] is None
    conversation.finish()
    assert list(streams) == []


def test_no_response_within_the_timeout_is_an_error(talk):
    def handle(client):
        client.receive()
        client.say({"type": "ready", "flush": True})
        client.wait_until_gone()

    _, backend = talk(handle, timeout=0.2)
    conversation = backend.open_text_stream(ANN, ahead=1)
    conversation.say("One.")
    conversation.finish()
    with pytest.raises(Exception, match=r"did not answer within 0.2 s"):
        next(iter(conversation))


def test_text_stream_without_text_has_no_audio(talk):
    for handle in (DocumentServer(), FlushingServer()):
        _, backend = talk(handle)
        conversation = backend.open_text_stream(ANN, ahead=1)
        conversation.finish()
        assert list(conversation) == []


@pytest.mark.parametrize("heard", [0, 1])
def test_cancel_wakes_the_writer_and_the_reader(talk, heard):
    waits = threading.Event()

    def before(text):
        if text == "Two.":
            waits.wait(WAIT)

    server, backend = talk(FlushingServer(before))
    conversation = backend.open_text_stream(ANN, ahead=1)
    said = say(conversation, "One.", "Two.", "Three.", "Four.", "Five.")
    streams = iter(conversation)
    for _ in range(heard):
        assert collect(next(streams))[1] is None
    ended = in_thread(lambda: [collect(stream) for stream in streams])
    server.client()
    conversation.cancel()
    result = ended()
    assert isinstance(result, Interrupted) or isinstance(result[-1][1], Interrupted)
    assert said() is False
    waits.set()
    happened(server.client().left)


def test_closing_a_stream_ends_its_session(talk):
    server, backend = talk(FlushingServer())
    conversation = backend.open_text_stream(ANN, ahead=1)
    conversation.say("One. " * 100)
    chunks = iter(next(iter(conversation)))
    next(chunks)
    chunks.close()
    assert not conversation.say("Two.")
    happened(server.client().left)


def test_idle_session_sends_keep_alive_messages(talk, monkeypatch):
    monkeypatch.setattr("voice_cli.backends.remote.ws_link.KEEP_ALIVE_SECONDS", 0.05)
    beat = threading.Event()

    def handle(client):
        client.receive()
        client.say({"type": "ready", "flush": True})
        assert client.receive() == {"type": "text", "content": ""}
        beat.set()
        client.wait_until_gone()

    _, backend = talk(handle)
    conversation = backend.open_text_stream(ANN, ahead=1)
    happened(beat)
    conversation.cancel()
