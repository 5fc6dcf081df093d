"""`voice say` with WebSocket backends whose connections are cut: all of the speech is saved, once."""

import wave

import numpy as np
import pytest

from faults.listed import parse
from faults.server import WS_FAULTS, with_ws_faults
from support.cutting_proxy import CuttingProxy
from support.serving import Serving
from support.ws import WsServer
from support.ws_chatterbox import FlushingServer, pcm_of
from support.ws_omni import OmniServer
from support.ws_vibevoice import DemoServer

TEXT = "Hello there, my dear Ann"
PIPED = "Well, hello there,\nmy dear Ann.\nDr. Smith is in his room!\n"

SERVERS = {
    "chatterbox-ws": FlushingServer(cut=400),
    "omni-ws": OmniServer(chunk=400),
    "vibevoice-ws": DemoServer(pcm_of(TEXT), frame=400),
}
STREAMED = ["chatterbox-ws", "omni-ws"]


def saved(path):
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


def faulty(name, spec):
    return WsServer(with_ws_faults(SERVERS[name], parse(f"first=1,{spec}", WS_FAULTS)))


def check(done, *, resumed=(1,)):
    assert done.code == 0, done.err
    assert done.json["outcome"] == "complete"
    assert done.json["retries"] == 1
    assert len(done.json["resumed"]) in resumed
    assert done.err.count("the speech was cut") == len(done.json["resumed"])
    assert done.json["text_remaining"] == ""


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("spec", ["cut=4", "close=4:1011", "close=4:1000"])
def test_a_text_is_whole_after_a_cut(voice, tmp_path, name, spec):
    arguments = ["say", TEXT, "--backend", name, "--no-play", "-o", "x.wav", "--json"]
    with faulty(name, spec) as server:
        done = voice(*arguments, "--base-url", server.url)
    check(done)
    assert saved(tmp_path / "x.wav") == pcm_of(TEXT)


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("spec", ["cut=8", "close=8:1011", "close=8:1000"])
def test_a_pipe_is_spoken_whole_after_a_cut(voice, tmp_path, name, spec):
    arguments = ["say", "--backend", name, "--no-play", "--json"]
    with WsServer(SERVERS[name]) as server:
        assert voice(*arguments, "--base-url", server.url, "-o", "whole.wav", text=PIPED.encode()).code == 0
        assert len(server.clients) == 1
    with faulty(name, spec) as server:
        done = voice(*arguments, "--base-url", server.url, "-o", "x.wav", text=PIPED.encode())
    # Omni had sent no audio of its second line. A reset can overtake audio that the client has not read yet.
    check(done, resumed=(0,) if name == "omni-ws" else (0, 1) if spec == "cut=8" else (1,))
    assert saved(tmp_path / "x.wav") == saved(tmp_path / "whole.wav")
    assert done.json["text_spoken"].split() == PIPED.split()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Serving(folder=tmp_path_factory.mktemp("serve")) as server:
        yield server.port


def check_same(folder):
    """Check that both files have the same words at the same times. Two takes of espeak-ng differ by up to 50 ms."""
    sound, whole = (np.frombuffer(saved(folder / name), "<i2") for name in ("x.wav", "whole.wav"))
    assert len(sound) == pytest.approx(len(whole), abs=0.1 * 24_000)
    levels = [np.abs(each[: 2400 * 70].astype(float)).reshape(-1, 2400).mean(axis=1) for each in (sound, whole)]
    assert np.corrcoef(*levels)[0, 1] > 0.7


LONG = " ".join(f"This is the sentence with number {number}." for number in range(4))


@pytest.mark.parametrize("name", ["http", *SERVERS])
@pytest.mark.parametrize("after", [60_000, 200_000])
def test_the_connection_to_our_server_is_reset(voice, served, tmp_path, name, after):
    path = "/v1" if name == "http" else ""
    scheme = "http" if name == "http" else "ws"
    arguments = ["say", LONG, "--backend", name, "--no-play", "--json"]
    whole = voice(*arguments, "--base-url", f"{scheme}://127.0.0.1:{served}{path}", "-o", "whole.wav")
    assert whole.code == 0, whole.err
    with CuttingProxy(served, after) as proxy:
        done = voice(*arguments, "--base-url", f"{scheme}://127.0.0.1:{proxy.port}{path}", "-o", "x.wav")
    check(done)
    check_same(tmp_path)


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("after", [60_000, 200_000])
def test_the_connection_to_our_server_is_reset_while_a_pipe_is_spoken(voice, served, tmp_path, name, after):
    arguments = ["say", "--backend", name, "--no-play", "--json"]
    whole = voice(*arguments, "--base-url", f"ws://127.0.0.1:{served}", "-o", "whole.wav", text=LONG.encode())
    assert whole.code == 0, whole.err
    with CuttingProxy(served, after) as proxy:
        address = f"ws://127.0.0.1:{proxy.port}"
        done = voice(*arguments, "--base-url", address, "-o", "x.wav", text=LONG.encode())
    check(done, resumed=(0, 1))  # 0: the cut was between two sentences
    check_same(tmp_path)
