"""The command line of the faulty server."""

import argparse
import contextlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faults.listed import FAULTS, Fault
from faults.server import WS_FAULTS, FaultyServer, with_ws_faults
from faults.voice import spoken, spoken_pcm
from support.tls import certificate
from support.ws import WsServer
from support.ws_chatterbox import FlushingServer
from support.ws_omni import OmniServer
from support.ws_vibevoice import PAGES, DemoServer, query_of

WS_SERVERS = {
    "chatterbox-ws": FlushingServer(sound=spoken_pcm),
    "omni-ws": OmniServer(sound=spoken_pcm),
    "vibevoice-ws": lambda client: DemoServer(spoken_pcm(query_of(client)["text"]))(client),
}
TLS = {
    "tls-untrusted": "serve HTTPS with a certificate that no client trusts",
    "tls-wrong-name": "serve HTTPS with a certificate of another name: trust it with the printed SSL_CERT_FILE",
    "tls-cut": "close each connection in the TLS handshake",
}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Serve speech with faults. Without an option, each request chooses its own by its path, such as "
        "/cut=12000,reset/v1. docs/faults.md lists what becomes of each.",
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any)")
    parser.add_argument("--table", action="store_true", help="run every fault and write docs/faults.md")
    parser.add_argument("--backend", choices=["http", *WS_SERVERS], default="http", help="protocol to speak")
    group = parser.add_argument_group("faults (with a WebSocket backend, BYTES are messages; see below)")
    for one in FAULTS.values():
        _add(group, one)
    for name, text in TLS.items():
        group.add_argument(f"--{name}", action="store_true", help=text)
    group = parser.add_argument_group("faults of WebSocket backends only")
    for one in WS_FAULTS.values():
        if one.name not in FAULTS:
            _add(group, one)
    return parser.parse_args(argv)


def _add(group: Any, one: Fault) -> None:
    options = {"action": "store_true"} if one.value is None else {"metavar": one.value}
    group.add_argument(f"--{one.name}", help=one.text.replace("%", "%%"), **options)


def spec_of(options: argparse.Namespace, names: Sequence[str]) -> dict[str, str]:
    """Return the faults among the options."""
    values = {name: getattr(options, name.replace("-", "_")) for name in names}
    return {name: "" if value is True else value for name, value in values.items() if value not in (None, False)}


@contextmanager
def serving(options: argparse.Namespace) -> Iterator[str]:
    """Serve, and yield the base URL."""
    if options.backend != "http":
        talk = with_ws_faults(WS_SERVERS[options.backend], spec_of(options, list(WS_FAULTS)))
        with WsServer(talk, pages=PAGES) as ws:
            yield ws.url
        return
    spec = ",".join(f"{name}={value}" if value else name for name, value in spec_of(options, list(FAULTS)).items())
    with tempfile.TemporaryDirectory() as folder:
        tls, host = None, "127.0.0.1"
        if options.tls_untrusted or options.tls_wrong_name:
            tls, bundle = certificate(Path(folder))
            if options.tls_wrong_name:
                print(f"export SSL_CERT_FILE={bundle}")
            else:
                host = "localhost"
        with FaultyServer(spoken, spec, tls=tls, cuts_handshake=options.tls_cut, port=options.port) as server:
            yield server.url.replace("127.0.0.1", host)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    options = arguments(argv)
    if options.table:
        from faults.table import PAGE, page

        PAGE.write_text(page(), "utf-8")
        return 0
    with contextlib.suppress(KeyboardInterrupt), serving(options) as url:
        print(f"serving at {url}", flush=True)
        print(f'try: voice say "Hello there" --backend {options.backend} --base-url {url}', flush=True)
        if options.backend == "http":
            place = url.removesuffix("/v1")
            print(f"or choose faults by path: --base-url {place}/cut=50%,reset/v1")
            for one in FAULTS.values():
                print(f"  {one.name + (f'={one.value}' if one.value else ''):24} {one.text}")
        threading.Event().wait()
    return 0
