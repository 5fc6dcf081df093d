"""TLS for two threads, on real sockets: what is sent meanwhile does not disturb what is received."""

import random
import socket
import ssl
import threading

import pytest

from support.threads import WAIT, in_thread
from support.tls import certificate
from voice_cli.backends.remote.ws_tls import TlsSocket

SIZE = 8_000_000


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """A server's context, and a client's that trusts it."""
    server, path = certificate(tmp_path_factory.mktemp("tls"))
    return server, ssl.create_default_context(cafile=path)


@pytest.fixture
def pair(contexts):
    """Two ends of a connection: ours, and a server's."""
    theirs, ours = contexts
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = in_thread(lambda: theirs.wrap_socket(listener.accept()[0], server_side=True))
        plain = socket.create_connection(listener.getsockname())
        mine = TlsSocket(ours.wrap_socket(plain, server_hostname="localhost"))
        server = TlsSocket(accepted())
    yield mine, server
    mine.close()
    server.close()


def receive(tls, size):
    data = bytearray()
    while len(data) < size and (piece := tls.recv(65536)):
        data += piece
    return bytes(data)


def test_both_directions_at_once(pair):
    ours, theirs = pair
    said, heard = random.Random(1).randbytes(SIZE), random.Random(2).randbytes(SIZE)

    def send(tls, data):
        for at in range(0, len(data), 4001):
            tls.sendall(data[at : at + 4001])

    sending = [in_thread(lambda: send(ours, said)), in_thread(lambda: send(theirs, heard))]
    receiving = [in_thread(lambda: receive(theirs, SIZE)), in_thread(lambda: receive(ours, SIZE))]
    assert [wait() for wait in sending] == [None, None]
    assert [wait() for wait in receiving] == [said, heard]


def test_who_receives_does_not_hold_up_who_sends(pair):
    """The session tickets are there to be read, and nothing else comes before something was sent."""
    ours, theirs = pair
    receiving = in_thread(lambda: receive(ours, 2))
    ours.settimeout(WAIT)
    ours.sendall(b"hi")
    assert receive(theirs, 2) == b"hi"
    theirs.sendall(b"ho")
    assert receiving() == b"ho"


def test_who_sends_does_not_hold_up_who_receives(pair):
    ours, theirs = pair
    full = threading.Event()

    def fill():
        while not full.is_set():
            ours.sendall(bytes(65536))

    filling = in_thread(fill)
    theirs.sendall(b"hi")
    assert receive(ours, 2) == b"hi"
    full.set()
    draining = in_thread(lambda: receive(theirs, 1 << 40))
    assert filling() is None
    ours.close()
    assert isinstance(draining(), bytes)


def test_a_peer_that_takes_nothing_is_waited_for_so_long(pair):
    ours, _ = pair
    ours.settimeout(0.1)
    with pytest.raises(TimeoutError):
        ours.sendall(bytes(64 << 20))


def test_the_end_is_the_end(pair):
    ours, theirs = pair
    theirs.sendall(b"hi")
    theirs.close()
    assert receive(ours, 3) == b"hi"
    assert ours.recv(1) == b""


@pytest.mark.parametrize("how", ["shutdown", "close"])
def test_who_waits_is_woken(pair, how):
    ours, theirs = pair
    waiting = in_thread(lambda: ours.recv(1))
    theirs.sendall(b"")
    if how == "shutdown":
        ours.shutdown(socket.SHUT_RDWR)
    else:
        ours.close()
    assert waiting() == b"" or isinstance(waiting(), OSError | ValueError)


def test_it_is_still_a_socket(pair):
    ours, theirs = pair
    assert ours.fileno() >= 0
    assert ours.getpeername() == theirs.getsockname()
    assert ours.getsockname() == theirs.getpeername()
