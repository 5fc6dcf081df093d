"""A simulated device in real time: a thread pulls a block every 5 ms."""

import threading
import time

from support.null_sink import NullSink

BLOCK_SECONDS = 0.005


class ClockedSink(NullSink):
    """A null sink that pulls in a thread. `heard` holds all audio since it was opened."""

    def __init__(self, **options):
        super().__init__(now=time.monotonic(), **options)
        self._stop = threading.Event()
        self._thread = None

    def start(self, pull):
        super().start(pull)
        self.now = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        frames = self.format.frames(BLOCK_SECONDS)
        while not self._stop.wait(max(0.0, self.now - time.monotonic())):
            self.step(frames)

    def close(self):
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        super().close()
