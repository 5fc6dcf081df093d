"""Clients that violate the protocols: the server continues without errors and leaks nothing.

`make fuzz` runs longer, with a random seed.
"""

import contextlib
import logging
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.fuzz import PROTOCOLS, Fuzzer
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from support.threads import wait_until

LONG = int(os.environ.get("VOICE_FUZZ", "0"))
SESSIONS = 5 * LONG or 60
"""Per protocol."""
CLIENTS = 8
"""Concurrent."""
SEED = random.SystemRandom().getrandbits(64) if LONG else 6


@contextlib.contextmanager
def quiet_clients():
    """Silence the log of the clients' library."""
    logger = logging.getLogger("websockets.client")
    before, logger.disabled = logger.disabled, True
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        yield
    finally:
        logger.disabled, threading.excepthook = before, hook


@pytest.mark.timeout(3600 if LONG else 120)
@pytest.mark.parametrize("path", PROTOCOLS)
def test_the_server_survives_random_clients(path):
    print("seed", SEED)
    engine = SteppedEngine(piece_frames=400)
    limits = {"max_text": 2000, "stall_timeout": 0.5, "queue_timeout": 2, "max_seconds": 10, "max_streams": 6}
    with SpeechApp(engine, **limits) as app:
        fuzzers = [Fuzzer(app, (SEED, path, number)) for number in range(CLIENTS)]

        def client(fuzzer):
            for _ in range(SESSIONS // CLIENTS + 1):
                fuzzer.session(path)

        with quiet_clients(), ThreadPoolExecutor(CLIENTS) as clients:
            for done in [clients.submit(client, fuzzer) for fuzzer in fuzzers]:
                done.result()
        assert len(app.reports) > SESSIONS / 20, "too few streams were started"
        wait_until(lambda: app.service.active == 0, "a stream is still active")
        engine.wait_until_idle()
        answer = app.request("POST", "/v1/audio/speech", {"input": "Hello.", "response_format": "pcm"})
        assert (answer.status, answer.body) == (200, sound_of("Hello."))
        assert app.request("GET", "/health").json["streams"] == 0
    wait_until(
        lambda: not [one for one in threading.enumerate() if one.name == "voice-stream"], "a thread is still running"
    )
