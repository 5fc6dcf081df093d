"""What attacks by clients without a key cost the others: `python tests/bench/attack.py [attack …]`, on loopback only.

For each attack a server is started, and ten listeners read its speech in real time. For some seconds another process
attacks. Meanwhile `/health` is asked on new connections, and the server's memory is read. A row shows the latency of
`/health`, the listeners with a late chunk, and the memory before, at most, and five seconds after the attack.
"""

import argparse
import asyncio
import contextlib
import http.server
import itertools
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from server import SENTENCE, health, listen, rss, serving

SECONDS = 6.0
LISTENERS = 10
CONNECTIONS = 3
"""Of an attack that needs few."""

MASK = bytes(4)


def frame(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    return bytes([(fin << 7) | opcode, 0x80 | len(data)]) + MASK + data


def connect(port: int, *, received: int | None = None) -> socket.socket:
    connection = socket.socket()
    if received is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received)
    connection.settimeout(1.0)
    connection.connect(("127.0.0.1", port))
    return connection


def over_and_over(attack: Callable[[int], None]) -> Callable[[int], None]:
    """Return an attack that repeats one on several connections, again and again."""

    def run(port: int) -> None:
        def repeat() -> None:
            while True:
                with contextlib.suppress(OSError):
                    attack(port)

        threads = [threading.Thread(target=repeat, daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        time.sleep(10 * SECONDS)  # until it is killed

    return run


def upgraded(port: int, path: str = "/twilio", **options: int) -> socket.socket:
    connection = connect(port, **options)
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
    connection.recv(4096)
    return connection


def flood(frames: bytes, **options: int) -> Callable[[int], None]:
    def attack(port: int) -> None:
        with upgraded(port, **options) as connection:
            while True:
                connection.sendall(frames * (65536 // len(frames)))

    return over_and_over(attack)


def head(lines: bytes) -> Callable[[int], None]:
    def attack(port: int) -> None:
        with connect(port) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + lines)
            connection.recv(1)

    return over_and_over(attack)


def many(first: bytes, then: bytes) -> Callable[[int], None]:
    """Return an attack by 1,000 connections that send little."""

    def attack(port: int) -> None:
        connections: list[socket.socket] = []
        for turn in itertools.count():
            while len(connections) < 1000:
                with contextlib.suppress(OSError):
                    connections.append(connect(port))
                    if first:
                        connections[-1].sendall(first)
            time.sleep(0.5)
            kept = []
            for connection in connections:
                with contextlib.suppress(OSError):
                    if then and turn % 2:
                        connection.sendall(then)
                    connection.setblocking(False)
                    try:
                        if not connection.recv(100):
                            raise ConnectionResetError
                    except BlockingIOError:
                        kept.append(connection)
                    continue
                connection.close()
            connections = kept

    return attack


def unread(method: str, path: str, content: object = None) -> Callable[[int], None]:
    """Return an attack that requests, and does not read."""

    def attack(port: int) -> None:
        with connect(port, received=4096) as connection:
            body = b"" if content is None else json.dumps(content).encode()
            lines = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            request = f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
            connection.sendall(request * 20)
            time.sleep(2)

    return over_and_over(attack)


def leaving(port: int) -> None:
    with connect(port) as connection:
        voices = json.dumps([f"nobody-{time.monotonic_ns() % 30}"]).encode()
        lines = "POST /preload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{lines}Content-Length: {len(voices)}\r\n\r\n".encode() + voices)
        time.sleep(0.02)


def endless(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1\r\na\r\n" * 10_000)


LONG = SENTENCE * 200
ATTACKS: dict[str, Callable[[int], None]] = {
    "pings": flood(frame(9)),
    "pings, unread": flood(frame(9, bytes(125)), received=4096),
    "empty texts": flood(frame(1)),
    "fragments of a byte": flood(frame(1, b"a", fin=False) + frame(0, b"a", fin=False) * 1000),
    "short texts": flood(frame(1, b"{}")),
    "heads of 20 MiB": head(b"X-Short: a\r\n" * (20 << 20 >> 4)),
    "a head line of 40 MiB": head(b"X-Long: " + b"x" * (40 << 20)),
    "1,000 silent connections": many(b"", b""),
    "1,000 slow heads": many(b"GET / HTTP/1.1\r\nX-Slow: ", b"x"),
    "endless bodies": over_and_over(endless),
    "unread answers of `/synthesize`": unread(
        "POST", "/synthesize", {"text": LONG, "voice_id": "default", "output_format": "wav"}
    ),
    "unread pages": unread("GET", "/openapi.json"),
    "fetches of those who left": over_and_over(leaving),
    "none": lambda _: time.sleep(10 * SECONDS),
}


def serve(port: int, voices_url: str) -> None:
    """Serve espeak as if its voices were files, so that voices are fetched."""
    from voice_cli.backends.local.espeak import EspeakBackend
    from voice_cli.server.app import create_app
    from voice_cli.server.hosting import host, listen
    from voice_cli.server.settings import Server, ServerSettings

    cache = tempfile.mkdtemp()
    server = Server(engine="chatterbox", port=port, voices_url=voices_url, voices_cache=cache)
    host(create_app(ServerSettings(server), EspeakBackend()), server, listen(server), lambda: None)


@contextmanager
def slow_voices() -> Iterator[str]:
    """Serve voices that are not there, each after a second."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(1)
            with contextlib.suppress(OSError):
                self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as place:
        threading.Thread(target=place.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{place.server_port}/{{voice}}.wav"
        place.shutdown()


async def measure(name: str, port: int, pid: int, seconds: float) -> str:
    text = SENTENCE * round((seconds + 4) / 4.2 + 1)
    listeners = [asyncio.create_task(listen(port, text, 0.1, 0.1)) for _ in range(LISTENERS)]
    await asyncio.sleep(2)
    before = rss(pid)
    over = asyncio.Event()
    taken: list[float] = []
    sizes = [before]
    attacking = await asyncio.create_subprocess_exec(sys.executable, __file__, "--attack", name, str(port))
    await asyncio.sleep(0.5)  # it starts
    probe = asyncio.create_task(health(port, over, taken))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(0.2)
        sizes.append(rss(pid))
    over.set()
    await asyncio.wait_for(probe, 60)
    attacking.kill()
    await attacking.wait()
    done = await asyncio.gather(*listeners)
    late = sum(worst > 0 for _, worst, _ in done)
    await asyncio.sleep(5)
    taken.sort()
    return (
        f"| {name} | {1000 * statistics.median(taken):.0f} | {1000 * taken[int(0.99 * len(taken))]:.0f} | "
        f"{1000 * taken[-1]:.0f} | {late} | {before:.0f} | {max(sizes):.0f} | {rss(pid):.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", metavar="attack", help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--attack", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack:
        ATTACKS[options.attack[0]](int(options.attack[1]))
    elif options.serve:
        serve(int(options.serve[1]), options.serve[0])
    else:
        print("| attack | `/health`, ms | p99 | worst | late listeners | MB before | at most | 5 s after |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        for name in options.attacks or ATTACKS:
            with slow_voices() as url, serving(os.path.abspath(__file__), "--serve", url) as (port, process):
                print(asyncio.run(measure(name, port, process.pid, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
