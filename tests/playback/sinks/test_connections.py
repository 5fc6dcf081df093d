"""The connections to an audio server, with real sockets."""

import socket
import sys

import pytest

from voice_cli.playback.sinks import connections
from voice_cli.playback.sinks.connections import are_open, server_connections

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@pytest.fixture
def server(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "native"))
        listener.listen()
        yield listener


def test_a_connection_to_a_named_socket_is_found_until_it_is_closed(server):
    before = server_connections()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        opened = server_connections() - before
        assert [descriptor for descriptor, _ in opened] == [client.fileno()], "neither the listener nor its end"
        assert are_open(opened)
        accepted.close()
        assert are_open(opened), "libpulse closes its end"
        descriptor = client.fileno()
    assert not are_open(opened)
    with socket.socket(socket.AF_UNIX) as other:
        assert other.fileno() == descriptor
        assert not are_open(opened), "another one with its number"


@pytest.mark.parametrize("is_pulse", [True, False])
def test_of_tcp_only_pulseaudios_port_counts(monkeypatch, is_pulse):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr(connections, "PULSE_PORT", port if is_pulse else port + 1)
        before = server_connections()
        with socket.create_connection(("127.0.0.1", port)) as client:
            found = [descriptor for descriptor, _ in server_connections() - before]
            assert found == ([client.fileno()] if is_pulse else [])


def test_unconnected_sockets_and_pairs_do_not_count():
    before = server_connections()
    left, right = socket.socketpair()
    with left, right, socket.socket(socket.AF_UNIX), socket.socket():
        assert server_connections() == before


def test_none_is_known_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert server_connections() == frozenset()
    assert are_open(frozenset())
