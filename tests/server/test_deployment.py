"""Two replicas on this machine: same output as one server, disconnects, and killed replicas.

The engine is `support.steady_engine`; Ray, the processes and the sockets are real.
"""

import base64
import collections
import contextlib
import http.client
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.command import environment_in
from support.environment import cleaned
from support.on_ray import KEY, STEADY, OnRay, post, socket_to, speech
from support.packages import needs
from support.processes import family_of, listening
from support.serving import Serving
from support.sessions import receive, receive_all, receive_until, send_json, sound_in
from support.steady_engine import BREAKS, LONG, VOICES
from support.threads import WAIT, happened, in_thread, wait_until
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.http import HttpBackend
from voice_cli.errors import ConfigError, TruncatedAudio

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\..*"),  # raised by importing Ray
]

needs("ray", target="test-ray")

ROOT = Path(__file__).parents[2]
SENTENCE = "Every word of this has a sound of its own, wherever it is said."


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def two(home):
    """Two replicas, for tests that do not change them."""
    with OnRay("--replicas", 2, "--engine", "chatterbox", "--api-key-env", "VOICE_KEY", folder=home) as server:
        assert server.port, server.lines
        yield server


@pytest.fixture(scope="module")
def one(home):
    """One server without Ray, with the same engine."""
    with Serving(
        *("--engine", "chatterbox", "--api-key-env", "VOICE_KEY"), folder=home, environment={**STEADY, "VOICE_KEY": KEY}
    ) as server:
        assert server.port, server.lines
        yield server


# Requests.


@pytest.mark.parametrize("text", [SENTENCE, LONG], ids=["short", "long"])
@pytest.mark.parametrize("codec", ["pcm", "wav", "mp3", "opus", "aac", "flac"])
def test_a_body_equals_that_of_a_single_server(one, two, codec, text):
    bodies = [speech(server.port, text, response_format=codec, voice=VOICES[0]).read() for server in (one, two)]
    assert len(bodies[0]) > 1000
    if codec == "opus":  # each Ogg stream has a random serial number
        bodies = [without_serials(body) for body in bodies]
    assert bodies[1] == bodies[0]


def without_serials(ogg):
    """Remove the serial numbers and checksums of Ogg pages."""
    pages = re.split(rb"(?=OggS\x00)", ogg)[1:]
    return [(page[:14], page[18:22], page[26:]) for page in pages]


def test_server_sent_events_carry_the_whole_audio(two):
    answer = speech(two.port, SENTENCE, stream_format="sse")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.read().decode().splitlines() if line.startswith("data: ")]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")
    assert events[-1]["type"] == "speech.audio.done"
    assert sound == speech(two.port, SENTENCE).read()


def test_audio_is_streamed_during_generation(two):
    answer = speech(two.port, LONG)
    count = len(two.streams)
    assert len(answer.read(4800)) == 4800
    assert len(two.streams) == count
    answer.close()


def whole_text(server):
    with socket_to(server, "/ws/synthesize") as websocket:
        send_json(websocket, {"text": SENTENCE, "voice_id": VOICES[0], "output_format": "mulaw"})
        messages = receive_until(websocket, lambda message: message.get("is_final"))
    return b"".join(base64.b64decode(message["audio"]) for message in messages[:-1])


def streamed_text(server):
    with socket_to(server, "/ws/synthesize-stream") as websocket:
        send_json(websocket, {"type": "init", "voice_id": VOICES[0], "output_format": "pcm"})
        assert receive(websocket)["type"] == "ready"
        send_json(websocket, {"type": "text", "content": SENTENCE}, {"type": "end"})
        messages = receive_until(websocket, lambda message: message["type"] == "complete")
    return b"".join(base64.b64decode(message["audio"]) for message in messages if message["type"] == "audio")


def demo(server):
    with socket_to(server, f"/stream?text={SENTENCE.replace(' ', '+')}&voice={VOICES[0]}") as websocket:
        ending = receive_all(websocket)
    assert ending.code == 1000
    return sound_in(ending.messages)


def omni(server):
    with socket_to(server, "/v1/audio/speech/stream") as websocket:
        config = {"type": "session.config", "voice": VOICES[0], "response_format": "pcm", "stream_audio": True}
        send_json(websocket, config, {"type": "input.text", "text": SENTENCE}, {"type": "input.done"})
        last = ("audio.done", "error")
        messages = receive_until(websocket, lambda message: isinstance(message, dict) and message["type"] in last)
    return sound_in(messages)


def call(server):
    with socket_to(server, "/twilio") as websocket:
        parameters = {"text": "Two words.", "voice": VOICES[0], "api_key": KEY}
        start(websocket, "MZ1", parameters)
        messages = receive_until(websocket, lambda message: message["event"] == "mark")
    return b"".join(base64.b64decode(one["media"]["payload"]) for one in messages if one["event"] == "media")


def start(websocket, stream_sid, parameters):
    send_json(
        websocket,
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": stream_sid,
            "start": {
                "streamSid": stream_sid,
                "accountSid": "AC1",
                "callSid": "CA1",
                "tracks": ["inbound"],
                "customParameters": parameters,
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        },
    )


@pytest.mark.parametrize("protocol", [whole_text, streamed_text, demo, omni, call])
def test_websocket_audio_equals_that_of_a_single_server(one, two, protocol):
    sound = protocol(two)
    assert sound == protocol(one)
    assert len(sound) > 1000


def test_an_error_keeps_its_status(two):
    def outcome(answer):
        return answer.status, json.loads(answer.read())["error"]["code"]

    assert outcome(speech(two.port, SENTENCE, voice="../alice")) == (400, "string_pattern_mismatch")
    assert outcome(speech(two.port, " ")) == (400, "invalid_value")
    assert outcome(speech(two.port, "x" * 20_001)) == (400, "too_long")
    assert outcome(post(two.port, "/v1/audio/speech", {"input": SENTENCE}, key=None)) == (401, "invalid_api_key")
    assert outcome(post(two.port, "/v1/nowhere", {})) == (404, "not_found")
    assert outcome(speech(two.port, BREAKS)) == (500, "engine_error")


def test_an_engine_error_in_the_middle_truncates_the_body(two):
    text = f"{LONG} And now it is {BREAKS}."
    answer = speech(two.port, text)
    with pytest.raises(http.client.IncompleteRead) as broken:
        answer.read()
    assert len(broken.value.partial) > 100_000
    backend = HttpBackend(f"http://127.0.0.1:{two.port}/v1", api_key=KEY)
    with pytest.raises(TruncatedAudio), contextlib.closing(backend):
        list(backend.synthesize(SpeechRequest(text)))
    assert two.streams[-1]["outcome"] == "truncated"


# Disconnects.


@contextlib.contextmanager
def listener(two):
    answer = speech(two.port, LONG)
    assert answer.read(4800)
    yield
    answer.close()


@contextlib.contextmanager
def socket_listener(two, path, *messages):
    with socket_to(two, path) as websocket:
        send_json(websocket, *messages)
        receive_until(websocket, lambda message: isinstance(message, bytes) or message.get("audio"))
        yield
        websocket.socket.shutdown(2)


@pytest.mark.parametrize(
    "leave",
    [
        listener,
        lambda two: socket_listener(two, "/ws/synthesize", {"text": LONG, "voice_id": VOICES[0]}),
        lambda two: socket_listener(two, f"/stream?text={LONG.replace(' ', '+')}"),
    ],
    ids=["http", "chatterbox", "vibevoice"],
)
def test_a_disconnect_stops_the_generation(two, leave):
    count = len(two.streams)
    with leave(two):
        assert len(two.streams) == count
    left = two.wait_for_streams(count + 1)[-1]
    assert (left["outcome"], left["reason"]) == ("cancelled", "left")
    assert left["characters"] < len(LONG)


# Routing.


def replica_of(server, voice):
    """Synthesize with a voice; return the replica used."""
    count = len(server.streams)
    speech(server.port, "Here.", voice=voice).read()
    return server.wait_for_streams(count + 1)[-1]["replica"]


def cache_voices(server):
    """Synthesize with each voice until the proxy routes by it."""
    for voice in VOICES:
        replica_of(server, voice)
    time.sleep(1)


def test_a_voice_is_routed_to_the_replica_that_has_it_cached(two):
    cache_voices(two)
    went = [replica_of(two, voice) for _ in range(6) for voice in VOICES]
    homes = [collections.Counter(went[at :: len(VOICES)]) for at in range(len(VOICES))]
    at_home = sum(counts.most_common(1)[0][1] for counts in homes)
    assert at_home >= 0.9 * len(went), homes


def test_a_voice_in_demand_is_cached_by_another_replica(two):
    count = len(two.streams)
    text = " ".join([SENTENCE] * 8)
    listeners = [in_thread(lambda: speech(two.port, text, voice=VOICES[0]).read()) for _ in range(12)]
    bodies = {body() for body in listeners}
    assert len(bodies) == 1
    assert len({stream["replica"] for stream in two.wait_for_streams(count + 12)[count:]}) == 2


def test_requests_of_a_call_reach_its_replica(two):
    with socket_to(two, "/twilio") as websocket:
        start(websocket, "MZ2", {"text": "Hello.", "api_key": KEY})
        receive_until(websocket, lambda message: message["event"] == "mark")

        def say(text):
            return post(two.port, "/twilio/MZ2/say", {"text": text}).status

        wait_until(lambda: say("Hello.") == 200, "the call is not found")
        assert [say("Hello.") for _ in range(20)] == [200] * 20


def test_metrics_are_labelled_with_the_replica(two):
    seen = set()

    def figures():
        connection = http.client.HTTPConnection("127.0.0.1", two.port, timeout=WAIT)
        connection.request("GET", "/metrics", headers={"authorization": f"Bearer {KEY}"})
        text = connection.getresponse().read().decode()
        connection.close()
        names = {re.search(r'replica="(\w+)"', line) for line in text.splitlines() if not line.startswith("#")}
        assert None not in names
        (name,) = {match[1] for match in names}
        seen.add(name)
        return len(seen) == 2

    wait_until(figures, "one replica has no metrics")
    assert seen == {stream["replica"] for stream in two.streams}


# Open ports.


def is_loopback(address):
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def test_ports_listen_on_loopback_or_require_a_token(two):
    import grpc
    from ray.serve.generated import serve_pb2, serve_pb2_grpc

    open_ports = [
        (process.title, address, port) for process in family_of(two.process.pid) for address, port in listening(process)
    ]
    assert two.port in [port for _, _, port in open_ports]
    for title, address, port in open_ports:
        if is_loopback(address):
            continue
        assert title.startswith("ray::ServeReplica"), title
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = serve_pb2_grpc.ASGIServiceStub(channel)
            with pytest.raises(grpc.RpcError) as refused:
                stub.HandleRequest(serve_pb2.ASGIRequest(pickled_request_metadata=b"x"), timeout=WAIT)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


# Killed replicas.


def curl(port, voice, begin):
    body = json.dumps({"input": LONG, "response_format": "pcm", "voice": voice})
    address = f"http://127.0.0.1:{port}/v1/audio/speech"
    headers = ("-H", "content-type: application/json", "-H", f"authorization: Bearer {KEY}")
    with subprocess.Popen(
        ["curl", "-sSN", address, *headers, "-d", body], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.read(4800)
        begin()
        _, err = process.communicate(timeout=2 * WAIT)
    return {0: "whole", 18: "short"}.get(process.returncode, err)


def ours(port, voice, begin):
    with contextlib.closing(HttpBackend(f"http://127.0.0.1:{port}/v1", api_key=KEY)) as backend:
        try:
            for _ in backend.synthesize(SpeechRequest(LONG, voice=voice)):
                begin()
        except TruncatedAudio:
            return "short"
    return "whole"


def demos(port, voice, begin):
    address = f"ws://127.0.0.1:{port}/stream?voice={voice}&text={LONG.replace(' ', '+')}"
    key = {"Authorization": f"Bearer {KEY}"}
    with connect(address, additional_headers=key, compression=None, max_size=None, proxy=None) as websocket:
        with contextlib.suppress(ConnectionClosed):
            while True:
                if isinstance(websocket.recv(timeout=WAIT), bytes):
                    begin()
        return "whole" if websocket.close_code == 1000 else "short"


def test_a_killed_replica_truncates_only_its_own_streams(two):
    cache_voices(two)
    homes = {replica_of(two, voice): voice for voice in VOICES}
    assert len(homes) == 2
    ends = {}
    for voice in homes.values():
        for client in (curl, ours, demos):
            begun = threading.Event()
            work = in_thread(lambda client=client, voice=voice, begun=begun: client(two.port, voice, begun.set))
            happened(begun)
            ends.setdefault(voice, []).append(work)
    os.kill(two.replicas[0].pid, signal.SIGKILL)
    outcomes = sorted([client() for client in clients] for clients in ends.values())
    assert outcomes == [["short"] * 3, ["whole"] * 3]
    for _ in range(10):
        answer = speech(two.port, SENTENCE)
        assert (answer.status, len(answer.read()) > 10_000) == (200, True)
    wait_until(lambda: len(two.replicas) == 2, "the replica is not replaced")


# On a cluster.


def test_the_deployment_file_serves(home, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = (ROOT / "deploy" / "ray-serve.yaml").read_text("utf-8")
    assert "port: 8880" in file
    assert "host: 0.0.0.0" in file
    (tmp_path / "serve.yaml").write_text(file.replace("port: 8880", f"port: {port}").replace("0.0.0.0", "127.0.0.1"))
    local = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "VOICE_KEY": KEY}
    with (
        open(tmp_path / "log", "w+b") as log,
        subprocess.Popen(
            [Path(sys.executable).parent / "serve", "run", tmp_path / "serve.yaml"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment_in(home, local),
            cwd=home,
        ) as process,
    ):
        try:
            wait_until(lambda: status(port) == 200 or process.poll() is not None, "it does not serve", 4 * WAIT)
            assert process.poll() is None, (tmp_path / "log").read_text("utf-8")
            assert speech(port, SENTENCE, key=None).status == 401
            answer = speech(port, SENTENCE)
            assert (answer.status, len(answer.read()) > 10_000) == (200, True)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(2 * WAIT)


def status(port):
    with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/health")
        return connection.getresponse().status
    return None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "no API key"),
        ({"api_key_env": "NOWHERE"}, "NOWHERE"),
        ({"insecure": "yes"}, "no API key"),
        ({"insecure": True, "max_stream": 3}, "max_streams"),
        ({"insecure": True, "max_streams": "3"}, "whole number"),
        ({"insecure": True, "model": 3}, "string"),
        ({"insecure": True, "engine": "http"}, "engine"),
    ],
)
def test_invalid_serve_configs_are_refused(monkeypatch, args, words):
    from voice_cli.server.deployment import build

    cleaned(monkeypatch)
    with pytest.raises(ConfigError, match=words):
        build(args)
