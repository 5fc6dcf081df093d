"""The faulty server: cuts at every byte, faults chosen by path, and `python -m tests.faults`."""

import subprocess
import sys
import wave
from contextlib import suppress
from pathlib import Path

import pytest

from faults.listed import Sound, is_due, parse, split_path
from faults.server import FaultyServer
from support.command import environment_in
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.http import HttpBackend
from voice_cli.errors import NetworkError, TruncatedAudio

BODY = bytes(range(1, 41))
HEAD = b"HTTP/1.1 200 X\r\nContent-Type: audio/pcm\r\nTransfer-Encoding: chunked\r\n\r\n"


def short(_text, _codec, take):
    return Sound(BODY[take:] + BODY[:take], "audio/pcm", 1.0)


def received(server, spec, timeout=20.0):
    """Return the bytes of an answer and its error."""
    backend = HttpBackend(f"http://127.0.0.1:{server.port}/{spec}/v1", timeout=timeout)
    data = b""
    try:
        for chunk in backend.synthesize(SpeechRequest("x", codec="pcm")):
            data += chunk
    except (NetworkError, TruncatedAudio) as exc:
        return data, exc
    finally:
        backend.close()
    return data, None


@pytest.fixture(scope="module")
def server():
    with FaultyServer(short) as started:
        yield started


@pytest.mark.parametrize("end", ["", ",reset"])
def test_a_cut_at_every_byte_of_the_body_is_truncated_audio_with_all_before_it(server, end):
    for at in range(1, len(BODY)):
        data, error = received(server, f"cut={at}{end}")
        assert (data, type(error)) == (BODY[:at], TruncatedAudio), at


def test_a_cut_at_every_byte_of_the_head_is_a_network_error(server):
    for at in range(len(HEAD) + 1):
        data, error = received(server, f"cut-head={at}" if at < len(HEAD) else "cut=0")
        assert (data, type(error)) == (b"", NetworkError), at


def test_faults_are_chosen_by_the_path_and_do_not_affect_other_paths(server):
    assert received(server, "chunk=7") == (BODY, None)
    first, second = received(server, "take")[0], received(server, "take")[0]
    assert sorted(first) == sorted(second)
    assert first != second


def test_only_the_requests_that_are_due_have_the_faults():
    assert [is_due(parse("every=3"), number) for number in range(1, 7)] == [False, False, True] * 2
    assert [is_due(parse("first=2"), number) for number in range(1, 4)] == [True, True, False]


@pytest.mark.parametrize("text", ["nonsense", "cut", "reset=1", "cut=1,nonsense"])
def test_an_unknown_specification_is_refused_and_is_no_part_of_a_path(text):
    with pytest.raises(ValueError, match=r"there is no fault|needs a value|has no value"):
        parse(text)
    assert split_path(f"/{text}/v1") == (None, f"/{text}/v1")


@pytest.mark.parametrize("arguments", [["--cut", "50%"], ["--backend", "omni-ws", "--cut", "20"]])
def test_it_speaks_to_a_person_who_starts_it(voice, tmp_path, arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
        env=environment_in(tmp_path),
    )
    try:
        address = process.stdout.readline().split()[-1]
        backend = process.stdout.readline().split()[-3]
        done = voice(
            "say", "Hello there.", "--no-play", "-o", "x.wav", "--base-url", address, "--backend", backend, "--json"
        )
    finally:
        process.terminate()
        with suppress(ProcessLookupError):
            process.communicate()
    assert (done.code, done.json["outcome"]) == (8, "truncated")
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert file.getnframes() > 5000
