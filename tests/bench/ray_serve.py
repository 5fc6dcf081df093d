"""The overhead of Ray Serve: `python tests/bench/ray_serve.py` from the repository root, with `voice-cli[ray]`.

`voice serve` and `voice serve --ray --replicas 2` run side by side and get requests in turns. Measured: HTTP, request
sent → first byte of the body; WebSocket, text sent → first audio; disconnect during a long speech → the server logs the
end of the stream; memory, with shared pages counted once (PSS); and start-up time.
"""

import argparse
import http.client
import json
import os
import queue
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

from websockets.sync.client import connect

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir))
from support.processes import family_of

SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog does not mind. "
LONG = SENTENCE * 270
WAYS = {"`voice serve`": (), "`voice serve --ray`, two replicas": ("--ray", "--replicas", "2")}
WARM_UP = 10


class Server:
    """A server in a separate process; a context manager."""

    def __init__(self, *arguments):
        began = time.perf_counter()
        command = [sys.executable, "-m", "voice_cli", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        self.ready = time.perf_counter() - began
        self.port = int(re.search(r":(\d+) ", line)[1])
        self.left = queue.SimpleQueue()
        """When it logged each client disconnect."""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            if '"reason": "left"' in line:
                self.left.put(time.perf_counter())

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self._reader.join()

    @property
    def memory(self):
        """Megabytes of the process and its descendants."""
        total = 0
        for process in family_of(self.process.pid):
            with open(f"/proc/{process.pid}/smaps_rollup") as file:
                total += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.MULTILINE)[1])
        return total / 1024


def ask(connection, text):
    body = json.dumps({"input": text, "response_format": "pcm", "sample_rate": 22050})
    began = time.perf_counter()
    connection.request("POST", "/v1/audio/speech", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read(1)
    return answer, time.perf_counter() - began


def first_byte(connection):
    answer, taken = ask(connection, SENTENCE)
    answer.read()
    return taken


def first_sound(websocket):
    began = time.perf_counter()
    websocket.send(json.dumps({"text": SENTENCE, "voice_id": "default", "output_format": "pcm"}))
    websocket.recv()
    taken = time.perf_counter() - began
    while not json.loads(websocket.recv()).get("is_final"):
        pass
    return taken


def leave_http(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    answer, _ = ask(connection, LONG)
    began = time.perf_counter()
    answer.close()
    connection.close()
    return server.left.get(timeout=30) - began


def leave_socket(server):
    with connect(f"ws://127.0.0.1:{server.port}/ws/synthesize", compression=None, close_timeout=0) as websocket:
        websocket.send(json.dumps({"text": LONG, "voice_id": "default", "output_format": "pcm"}))
        websocket.recv()
        began = time.perf_counter()
        websocket.socket.shutdown(socket.SHUT_RDWR)
        return server.left.get(timeout=30) - began


def figures(times):
    return f"{1000 * statistics.median(times):.1f} ({1000 * sorted(times)[int(0.95 * len(times))]:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        servers = {way: stack.enter_context(Server(*more)) for way, more in WAYS.items()}
        asked = {
            way: (
                http.client.HTTPConnection("127.0.0.1", server.port),
                stack.enter_context(connect(f"ws://127.0.0.1:{server.port}/ws/synthesize", compression=None)),
            )
            for way, server in servers.items()
        }
        taken = {way: ([], [], [], []) for way in WAYS}
        for turn in range(rounds + WARM_UP):
            for way, (by_http, by_ws) in asked.items():
                seconds = first_byte(by_http), first_sound(by_ws)
                if turn >= WARM_UP:
                    taken[way][0].append(seconds[0])
                    taken[way][1].append(seconds[1])
        for _ in range(rounds // 4):
            for way, server in servers.items():
                taken[way][2].append(leave_http(server))
                taken[way][3].append(leave_socket(server))
        columns = ("HTTP first byte", "WebSocket first sound", "left by HTTP", "left by WebSocket")
        print("Milliseconds: median (95th percentile).\n")
        print(f"| | ready, s | memory, MB | {' | '.join(columns)} |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for way, server in servers.items():
            row = " | ".join(map(figures, taken[way]))
            print(f"| {way} | {server.ready:.1f} | {server.memory:.0f} | {row} |")


if __name__ == "__main__":
    main()
