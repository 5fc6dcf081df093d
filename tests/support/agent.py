"""A real agent in a process of its own."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from support.command import VOICE
from support.threads import WAIT
from voice_cli.agent.client import AgentClient
from voice_cli.errors import AgentError


class RealAgent:
    """`voice agent run`. Close it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder / "run"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.environment = {**environment, "XDG_RUNTIME_DIR": str(self.folder), "VOICE_AGENT": "auto", "CI": "1"}
        """The environment of its clients. They start no other agent."""
        self.path = str(self.folder / "voice" / "agent.sock")
        self._log = (folder / "agent.log").open("ab+")
        self._start()

    def _start(self) -> None:
        command = [*VOICE, "agent", "run", "--debug"]
        self.process = subprocess.Popen(command, env=self.environment, stdout=self._log, stderr=self._log, cwd="/")
        deadline = time.monotonic() + WAIT
        while True:
            try:
                self.client = AgentClient(self.path)
            except AgentError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self.log) from None
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """Kill it, as a crash does."""
        self.process.kill()
        self.process.wait(WAIT)

    def restart(self) -> None:
        self._start()

    @property
    def log(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return self._log.read().decode()

    def wait_until(self, state: str, count: int = 1) -> None:
        """Wait until so many speeches are `speaking` or `waiting`."""
        deadline = time.monotonic() + WAIT
        while sum(each["state"] == state for each in self.client.queue()) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"not {state}: {self.client.queue()}; {self.log}")
            time.sleep(0.005)

    def close(self) -> None:
        """End it; check that it ends as it should, without a traceback in its log."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                code = self.process.wait(WAIT)
                assert code == 0, (code, self.log)
                assert "Traceback" not in self.log, self.log
                assert not os.path.exists(self.path)
        finally:
            with contextlib.suppress(OSError):
                self.process.kill()
            self._log.close()
