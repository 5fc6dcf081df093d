"""TlsSocket on real sockets: concurrent sending and receiving."""

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
    """Return a server's context and a client's context that trusts it."""
    server, path = certificate(tmp_path_factory.mktemp("tls"))
    return server, ssl.create_default_context(cafile=path)


@pytest.fixture
def pair(contexts):
    """Yield the two ends of a connection: ours and a server's."""
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
    sent, received = random.Random(1).randbytes(SIZE), random.Random(2).randbytes(SIZE)

    def send(tls, data):
        for at in range(0, len(data), 4001):
            tls.sendall(data[at : at + 4001])

    sending = [in_thread(lambda: send(ours, sent)), in_thread(lambda: send(theirs, received))]
    receiving = [in_thread(lambda: receive(theirs, SIZE)), in_thread(lambda: receive(ours, SIZE))]
    assert [wait() for wait in sending] == [None, None]
    assert [wait() for wait in receiving] == [sent, received]


def test_receiving_does_not_block_sending(pair):
    """Only session tickets arrive until something was sent."""
    ours, theirs = pair
    receiving = in_thread(lambda: receive(ours, 2))
    ours.settimeout(WAIT)
    ours.sendall(b"hi")
    assert receive(theirs, 2) == b"hi"
    theirs.sendall(b"ho")
    assert receiving() == b"ho"


def test_sending_does_not_block_receiving(pair):
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


def test_sending_to_a_peer_that_does_not_read_times_out(pair):
    ours, _ = pair
    ours.settimeout(0.1)
    with pytest.raises(TimeoutError):
        ours.sendall(bytes(64 << 20))


def test_end_of_stream(pair):
    ours, theirs = pair
    theirs.sendall(b"hi")
    theirs.close()
    assert receive(ours, 3) == b"hi"
    assert ours.recv(1) == b""


@pytest.mark.parametrize("how", ["shutdown", "close"])
def test_waiting_reader_is_woken(pair, how):
    ours, theirs = pair
    waiting = in_thread(lambda: ours.recv(1))
    theirs.sendall(b"")
    if how == "shutdown":
        ours.shutdown(socket.SHUT_RDWR)
    else:
        ours.close()
    assert waiting() == b"" or isinstance(waiting(), OSError | ValueError)


def test_socket_methods_are_available(pair):
    ours, theirs = pair
    assert ours.fileno() >= 0
    assert ours.getpeername() == theirs.getsockname()
    assert ours.getsockname() == theirs.getpeername()
