"""Opens a WebSocket, with `websockets`' threaded client."""

import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websockets_connect

from voice_cli import __version__
from voice_cli.backends.remote.certificates import bundle_of_system, folder_of_environment
from voice_cli.backends.remote.failures import not_secure, redirected
from voice_cli.backends.remote.ws_tls import TlsSocket

LARGEST_MESSAGE = 64 << 20
"""Bytes. The Chatterbox document's server sends speech that it cannot stream as one message."""
CLOSE_SECONDS = 1.0
"""Timeout of the closing handshake."""


def connect(
    url: str, headers: Mapping[str, str], *, where: str, timeout: float, on_socket: Callable[[Any], None]
) -> ClientConnection:
    """Open a WebSocket; a context manager. Call `on_socket` with the connected socket before the upgrade is requested.

    Raises:
        VoiceError: the server redirects, or there are no certificate authorities.
        Exception: whatever `websockets` raises; see `ws_failures.connecting_failed`.

    """
    sockets: list[Any] = []

    def connected(sock: Any, *arguments: Any, **options: Any) -> ClientConnection:
        if sockets:  # `websockets` follows redirects
            raise redirected(where)
        if isinstance(sock, ssl.SSLSocket):
            sock = TlsSocket(sock)
        sockets.append(sock)
        on_socket(sock)
        return ClientConnection(sock, *arguments, **options)

    create_connection: Any = connected
    return websockets_connect(
        url,
        ssl=_ssl_context(where) if url.startswith("wss") else None,
        additional_headers=dict(headers),
        user_agent_header=f"voice/{__version__}",
        compression=None,
        open_timeout=timeout,
        ping_interval=None,
        close_timeout=CLOSE_SECONDS,
        max_size=LARGEST_MESSAGE,
        logger=_silent_logger(),
        create_connection=create_connection,
    )


def _ssl_context(where: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=bundle_of_system(), capath=folder_of_environment())
    except OSError as exc:
        raise not_secure(where, f"no certificate authorities: {exc.strerror or exc}") from exc


def _silent_logger() -> logging.Logger:
    """Return a logger without output: errors are raised."""
    logger = logging.Logger("voice.websockets")  # noqa: LOG001  a registered one may get handlers
    logger.addHandler(logging.NullHandler())
    return logger
