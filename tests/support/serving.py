"""Run `voice serve` in a subprocess."""

import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from support.command import VOICE, environment_in, in_shell
from support.threads import WAIT

READY = re.compile(r"voice: (\w+) speaks on (http://\S+):(\d+) \(Ctrl-C stops it\)")


class Serving:
    """A running `voice serve`; a context manager."""

    patience = WAIT
    """Maximum seconds for its start and for its exit."""

    def __init__(
        self,
        *arguments: object,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        script: str | None = None,
    ) -> None:
        """Start it, on a free port unless `arguments` has --port. `script`: as `support.command.run_voice`."""
        port = () if "--port" in arguments else ("--port", "0")
        self.lines: list[str] = []
        """Lines of standard error so far."""
        self._changed = threading.Condition()
        self._over = False
        self.process = subprocess.Popen(
            [*in_shell(script), *VOICE, "serve", *port, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment_in(folder, environment),
            cwd=folder,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.kill()
        self.process.wait(WAIT)
        self._reader.join(WAIT)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    @property
    def port(self) -> int:
        """The port it reports; waits for the report."""
        line = self.wait_for(READY)
        assert line is not None, self.lines
        return int(line[3])

    def wait_for(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Wait for a matching line; None if the process exits without one."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := pattern.fullmatch(line))), None)

        with self._changed:
            assert self._changed.wait_for(lambda: found() or self._over, self.patience), self.lines
            return found()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, bytes, list[str]]:
        """Wait for the exit; return the exit code, standard output and the lines of standard error."""
        code = self.process.wait(self.patience)
        self._reader.join(WAIT)
        return code, self.process.stdout.read() if self.process.stdout is not None else b"", self.lines

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()
