"""`voice serve --ray` with the steady engine, and its access log."""

import http.client
import json
import os
import signal
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from support.processes import Process, family_of
from support.serving import Serving
from support.threads import WAIT, wait_until

SUPPORT = Path(__file__).parent
STEADY = {"PYTHONPATH": os.pathsep.join(map(str, (SUPPORT / "steady_site", SUPPORT.parent)))}
"""Environment that replaces the `chatterbox` engine with the steady engine."""
KEY = "sk-of-the-tests"
REPLICA = "ray::ServeReplica"


class OnRay(Serving):
    """A running `voice serve --ray`; a context manager."""

    patience = 90.0  # Ray starts a dozen processes

    def __init__(self, *arguments: object, folder: Path, environment: dict[str, str] | None = None) -> None:
        super().__init__(
            *("--ray", *arguments),
            folder=folder,
            environment={**STEADY, "VOICE_KEY": KEY, **(environment or {})},
        )

    def __exit__(self, *exc: object) -> None:
        for _ in range(2):  # the second SIGINT stops it at once
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(self.patience)
        finally:
            super().__exit__(*exc)

    @property
    def replicas(self) -> list[Process]:
        return [one for one in family_of(self.process.pid) if one.title.startswith(REPLICA)]

    @property
    def streams(self) -> list[dict[str, Any]]:
        """The access log's entries for finished streams, in order."""
        events = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [event for event in events if event["event"] == "stream"]

    def wait_for_streams(self, count: int) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.streams) >= count, f"fewer than {count} streams have ended")
        return self.streams


def post(port: int, path: str, content: Any, *, key: str | None = KEY) -> http.client.HTTPResponse:
    """Send a POST request and return the response before its body; reading or closing it closes the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    headers = {"content-type": "application/json", "connection": "close"} | (
        {"authorization": f"Bearer {key}"} if key else {}
    )
    connection.request("POST", path, json.dumps(content), headers)
    return connection.getresponse()


def speech(port: int, text: str, *, key: str | None = KEY, **more: Any) -> http.client.HTTPResponse:
    """Request speech with OpenAI's API."""
    return post(port, "/v1/audio/speech", {"input": text, "response_format": "pcm", **more}, key=key)


def socket_to(server: Serving, path: str) -> ClientConnection:
    """Open a WebSocket; a context manager."""
    return connect(
        f"ws://127.0.0.1:{server.port}{path}",
        additional_headers={"Authorization": f"Bearer {KEY}"},
        open_timeout=WAIT,
        close_timeout=1,
        compression=None,
        max_size=None,
        proxy=None,
    )
