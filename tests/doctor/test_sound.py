"""Where the audio server is looked for. Devices are tested in `tests/e2e/test_doctor.py`."""

import socket
import sys

import pytest

from voice_cli.doctor.finding import BROKEN, OK, WARNING
from voice_cli.doctor.sound import check_audio_server

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have one audio server")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("PULSE_SERVER", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def listen():
    sockets = []

    def start(path):
        path.parent.mkdir(exist_ok=True)
        sockets.append(socket.socket(socket.AF_UNIX))
        sockets[-1].bind(str(path))
        sockets[-1].listen()

    yield start
    for each in sockets:
        each.close()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["pulse/native"], "PulseAudio, at "),
        (["pulse/native", "pipewire-0"], "PipeWire, at "),
        (["pipewire-0"], "PipeWire, at "),
    ],
)
def test_the_socket_of_the_user(folder, listen, names, found):
    for name in names:
        listen(folder / name)
    (finding,) = check_audio_server()
    assert (finding.state, finding.found) == (OK, f"{found}{folder / names[0]}")


@pytest.mark.parametrize("form", ["{}", "unix:{}", "{{id}}unix:{}", "tcp:nowhere.invalid:4713 unix:{}"])
def test_the_socket_that_pulse_server_names(folder, listen, monkeypatch, form):
    listen(folder / "other")
    monkeypatch.setenv("PULSE_SERVER", form.format(folder / "other"))
    (finding,) = check_audio_server()
    assert finding.state == OK


@pytest.mark.parametrize("form", ["tcp:127.0.0.1:{}", "tcp4:127.0.0.1:{}", "127.0.0.1:{}"])
def test_a_port_that_pulse_server_names(folder, monkeypatch, form):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PULSE_SERVER", form.format(server.getsockname()[1]))
        assert [finding.state for finding in check_audio_server()] == [OK]
    (finding,) = check_audio_server()
    assert finding.state == BROKEN
    assert "PULSE_SERVER" in finding.remedy


def test_nothing_answers(folder, monkeypatch):
    monkeypatch.setattr("voice_cli.doctor.sound._has_cards", lambda: False)
    (finding,) = check_audio_server()
    assert finding.state == WARNING
    assert "AGENT.md" not in finding.remedy
    monkeypatch.setenv("SSH_CONNECTION", "a b c d")
    (finding,) = check_audio_server()
    assert "AGENT.md" in finding.remedy
    monkeypatch.setattr("voice_cli.doctor.sound._has_cards", lambda: True)
    (finding,) = check_audio_server()
    assert finding.state == OK
