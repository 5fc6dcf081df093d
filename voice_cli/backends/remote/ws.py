"""The base of the backends for servers with a WebSocket: the address, the key, and opening a session."""

from contextlib import closing
from typing import TYPE_CHECKING
from weakref import WeakSet

from voice_cli.audio import Encoding
from voice_cli.backends.base import Backend, Voice
from voice_cli.backends.packages import install_line, load
from voice_cli.backends.remote.address import parse_address
from voice_cli.backends.remote.failures import check_key
from voice_cli.backends.remote.ws_session import EXPECTED, Session
from voice_cli.errors import ConfigError, Hint

if TYPE_CHECKING:
    from voice_cli.backends.remote.http import HttpBackend
    from voice_cli.backends.remote.ws_link import Link

SEND_SECONDS = 0.02
"""How long `synthesize` waits until the request was sent: enough for a near server."""
LEAVE_SECONDS = 0.2
"""How long `close` waits for a cancelled session to close."""

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class WsBackend(Backend):
    """One server. Each session has its own connection. Any number of streams, each read by one thread."""

    is_remote = True
    packages = (("websockets", "websockets"),)
    extra = "ws"

    def __init__(self, base_url: str | None = None, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        """Check the settings; send nothing yet.

        `base_url`: the server's root; a `/v1` at its end is ignored. `timeout`: seconds without an expected message.

        Raises:
            ConfigError: the address is invalid, or a header cannot carry the key.
            EngineError: websockets is not installed.

        """
        load(self.name, "websockets.sync.client", install_line("ws"))
        if base_url is None:
            raise ConfigError(f"{self.name} needs a base_url", hint=Hint("set {base_url}, as in ws://127.0.0.1:8880"))
        check_key(api_key)
        self._address = parse_address(base_url, _SCHEMES).without("/v1")
        self._api_key = api_key
        self._timeout = timeout
        self._links: WeakSet[Link] = WeakSet()

    @property
    def where(self) -> str:
        return self._address.place

    def expected(self, codec: str) -> Encoding:  # noqa: ARG002
        return EXPECTED

    def open_link(self, session: Session, *, ahead: int | None = None, busy_seconds: float = 0.0) -> "Link":
        """Open a session; see `Link`. Wait a little until the text is sent, if it is not in pieces."""
        from voice_cli.backends.remote.ws_link import Link

        link = Link(
            session,
            self._address.url(session.path, scheme=_SCHEMES[self._address.scheme]),
            headers={"Authorization": f"Bearer {self._api_key}"} if self._api_key is not None else {},
            timeout=self._timeout,
            ahead=ahead,
            busy_seconds=busy_seconds,
        )
        self._links.add(link)
        if ahead is None:
            link.opened.wait(SEND_SECONDS)
        return link

    def http(self, path: str = "") -> "HttpBackend":
        """Return a backend for the server's HTTP endpoints below `path`. The caller closes it."""
        from voice_cli.backends.remote.http import HttpBackend

        scheme = "https" if _SCHEMES[self._address.scheme] == "wss" else "http"
        return HttpBackend(self._address.url(path, scheme=scheme), api_key=self._api_key, timeout=self._timeout)

    def voices(self) -> list[Voice]:
        """List the voices by OpenAI's protocol, which these servers implement, too."""
        with closing(self.http("/v1")) as http:
            return http.voices()

    def close(self) -> None:
        for link in list(self._links):
            link.cancel()
            link.thread.join(LEAVE_SECONDS)


def sendable(text: str) -> str:
    """Return the text as valid Unicode: a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
