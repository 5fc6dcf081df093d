"""Ray on this machine: start, log and shutdown."""

import contextlib
import json
import os
import re
import signal

import pytest

from support.on_ray import OnRay, post, socket_to, speech
from support.packages import needs
from support.processes import family_of
from support.steady_engine import LONG
from support.threads import wait_until
from voice_cli.server.ray_hosting import copied, shares
from voice_cli.server.settings import Server, ServerSettings

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def ray():
    return needs("ray", target="test-ray")


def on_ray(test):
    return pytest.mark.ray(pytest.mark.usefixtures("ray")(test))


@on_ray
def test_streams_finish_at_shutdown_and_the_log_is_clean(tmp_path):
    with OnRay("--engine", "chatterbox", folder=tmp_path) as server:
        port = server.port
        folder = {
            found[0] for one in family_of(server.process.pid) if (found := re.findall(r"/tmp/voice-\w+", one.title))
        }
        answer = speech(port, LONG, key=None)
        assert answer.read(4800)
        server.send(signal.SIGINT)
        assert len(answer.read()) > 2_000_000
        code, out, lines = server.end()
        assert (code, out) == (0, b"")
        assert [json.loads(line)["event"] for line in lines[1:]] == ["stream", "request"]
        assert len(folder) == 1
        assert not any(map(os.path.exists, folder))


@on_ray
def test_a_second_signal_skips_the_drain(tmp_path):
    with OnRay("--engine", "chatterbox", folder=tmp_path) as server:
        with socket_to(server, "/ws/synthesize"):
            family = family_of(server.process.pid)
            server.send(signal.SIGTERM)
            wait_until(lambda: post(server.port, "/v1/audio/speech", {}).status == 404, "it does not start to drain")
            server.send(signal.SIGTERM)
            assert server.end()[:2] == (0, b"")
        assert len(family) > 5
        wait_until(lambda: not any(os.path.exists(f"/proc/{one.pid}") for one in family), "a process is still running")


@on_ray
def test_an_engine_load_failure_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "torch.py").write_text('raise ImportError("libtorch.so is gone")\n')
    for name in ("chatterbox", "transformers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "chatterbox" / "tts.py").touch()
    arguments = ("--engine", "chatterbox", "--model", "ResembleAI/chatterbox")
    with OnRay(*arguments, folder=tmp_path, environment={"PYTHONPATH": str(tmp_path)}) as server:
        code, out, lines = server.end()
    assert (code, out, len(lines)) == (11, b"", 1)
    assert "libtorch.so is gone" in lines[0]


def test_the_error_without_ray_names_the_extra(tmp_path):
    (tmp_path / "ray.py").write_text('raise ModuleNotFoundError("No module", name="ray")\n')
    with OnRay(folder=tmp_path, environment={"PYTHONPATH": str(tmp_path)}) as server:
        code, _, lines = server.end()
    assert code == 11
    assert lines == ["voice: the server needs the package ray (pip install 'voice-cli[ray]')"]


# Without Ray.


@pytest.mark.parametrize(
    ("engine", "options", "gpus", "replicas", "shared"),
    [
        ("espeak", {}, 4, None, (os.cpu_count(), 0)),
        ("chatterbox", {}, 0, None, (os.cpu_count(), 0)),
        ("chatterbox", {"compute": "cpu"}, 4, None, (os.cpu_count(), 0)),
        ("chatterbox", {}, 4, None, (4, 1)),
        ("vibevoice", {}, 1, 4, (1, 0.25)),
        ("vibevoice", {}, 4, 2, (4, 1)),
    ],
)
def test_replicas_share_the_gpus(engine, options, gpus, replicas, shared):
    assert shares(ServerSettings(Server(engine=engine, replicas=replicas), options), gpus) == shared


def test_lines_of_other_processes_are_copied_whole(tmp_path, capsys):
    with copied(str(tmp_path)) as log:
        assert os.stat(log).st_mode & 0o077 == 0
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(log, "a", encoding="utf-8", buffering=1)) for _ in range(3)]
            for number in range(100):
                for file in files:
                    file.write(f"{file.fileno()} says {number}\n")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 300
    assert {re.sub(r"\d+", "N", line) for line in lines} == {"N says N"}
