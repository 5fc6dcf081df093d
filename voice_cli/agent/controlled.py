"""The socket of a process that plays itself, with which other processes control it as they control the agent."""

import contextlib
import math
import os
import threading
from typing import TYPE_CHECKING, Any

from voice_cli.agent.host import Host
from voice_cli.agent.messages import Message, ProtocolError
from voice_cli.agent.paths import control_path
from voice_cli.agent.session import Session

if TYPE_CHECKING:
    from voice_cli.playback.player import Player


class _Playing:
    """The playback of this process, as `Host` uses a speech. Its id is that of the process."""

    name = ""

    def __init__(self, player: "Player") -> None:
        self.id = os.getpid()
        self.player: Player | None = player

    def run(self) -> None:
        """Do nothing: it plays already."""

    def cancel(self) -> None:
        if self.player is not None:
            self.player.cancel()

    def wait_for_end(self, timeout: float) -> dict[str, Any] | None:
        del timeout
        return None


class Controlled:
    """Serves the control messages to one player, from `serve` to `close`."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._host: Host | None = None

    def serve(self, player: "Player") -> None:
        """Listen, on a thread. Without a folder for the socket, the player cannot be controlled."""
        host = Host(control_path(), _refuse, idle=math.inf, version=self._version)
        with contextlib.suppress(OSError):
            host.listen()
            host.add(_Playing(player))
            self._host = host
            threading.Thread(target=host.run, name="voice-controls", daemon=True).start()

    def close(self) -> None:
        """Stop listening, and remove the socket."""
        if self._host is not None:
            self._host.end()
            with contextlib.suppress(OSError):
                os.unlink(f"{self._host.path}.lock")


def _refuse(_number: int, _message: Message, _session: Session, _host: Host) -> Any:
    raise ProtocolError("this process plays a file, and is no agent")
