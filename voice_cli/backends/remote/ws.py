"""What the backends that talk to a server over a WebSocket share: an address, a key, and how a session is begun."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakSet

from voice_cli.audio import Encoding
from voice_cli.backends.base import Backend, Voice
from voice_cli.backends.packages import install_line, load
from voice_cli.backends.remote.failures import check_key, without_credentials
from voice_cli.backends.remote.ws_session import EXPECTED, Session
from voice_cli.errors import ConfigError, Hint, ServerError
from voice_cli.protocol import openai

if TYPE_CHECKING:
    from voice_cli.backends.remote.ws_link import Link

SEND_SECONDS = 0.02
"""How long a request is seen off before the caller has better things to do: enough for a server near by."""
LEAVE_SECONDS = 0.2
"""How long `close` waits for the farewells of what was cancelled."""

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class WsBackend(Backend):
    """One server. A session is a connection of its own. Any number of streams, each read by one thread."""

    is_remote = True
    packages = (("websockets", "websockets"),)
    extra = "ws"

    def __init__(self, base_url: str | None = None, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        """Make ready to talk to the server; nothing is sent yet.

        `base_url` ends with the server's root; `/v1` after it is left out. `timeout`: seconds of silence after which
        the server is given up.

        Raises:
            ConfigError: that is no address, or no key that a header can carry.
            EngineError: the package for it is not installed.

        """
        load(self.name, "websockets.sync.client", install_line("ws"))
        if base_url is None:
            raise ConfigError(f"{self.name} wants a base_url", hint=Hint("set {base_url}, as in ws://127.0.0.1:8880"))
        check_key(api_key)
        scheme, separator, rest = base_url.rstrip("/").removesuffix("/v1").partition("://")
        if scheme not in _SCHEMES or not separator or not _is_place(base_url):
            raise ConfigError(
                f"base_url {without_credentials(base_url)!r} is no address of a server",
                hint="ws://, wss://, http:// or https://, up to its root",
            )
        self._scheme = _SCHEMES[scheme]
        self._rest = rest
        self._api_key = api_key
        self._timeout = timeout
        self._links: WeakSet[Link] = WeakSet()

    @property
    def where(self) -> str:
        """The server's name for people: no credentials, no path."""
        return self._rest.partition("/")[0].rpartition("@")[2]

    def expected(self, codec: str) -> Encoding:  # noqa: ARG002
        return EXPECTED

    def begin(self, session: Session, *, is_one: bool, ahead: int = 0, busy_seconds: float = 0.0) -> "Link":
        """Begin a session; see `Link`."""
        from voice_cli.backends.remote.ws_link import Link

        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key is not None else {}
        url = f"{self._scheme}://{self._rest}{session.path}"
        link = Link(
            session, url, headers=headers, timeout=self._timeout, is_one=is_one, ahead=ahead, busy_seconds=busy_seconds
        )
        self._links.add(link)
        if is_one:
            link.wait_until_asked(SEND_SECONDS)
        return link

    def get(self, path: str) -> bytes:
        """Return the body of what is there on the server, over HTTP.

        Raises:
            BackendError: it is not to be had.

        """
        from voice_cli.backends.remote.http import HttpBackend

        root = f"{self._scheme.replace('ws', 'http')}://{self._rest}"
        http = HttpBackend(root, api_key=self._api_key, timeout=self._timeout)
        try:
            return http.get(path)
        finally:
            http.close()

    def voices(self) -> list[Voice]:
        """List them as servers that also speak OpenAI's protocol do."""
        found = openai.voices_in(self.get(f"/v1{openai.VOICES_PATH}"))
        if found is None:
            raise ServerError(f"{self.where} does not say which voices it has", hint="its documentation may")
        return [Voice(voice, name, language) for voice, name, language in found]

    def close(self) -> None:
        for link in list(self._links):
            link.cancel()
            link.join(LEAVE_SECONDS)


def _is_place(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment) and url.isprintable()
    except ValueError:
        return False


def sendable(text: str) -> str:
    """Return the text as UTF-8 can carry it: half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
