"""`voice serve`: the streaming speech server."""

import logging
import sys
from typing import Any

from voice_cli.cli.console import print_message, silence_libraries
from voice_cli.cli.options import check_values
from voice_cli.config import load
from voice_cli.errors import EngineError, UsageError


def serve(*, ray: bool, insecure: bool, quiet: bool, debug: bool, **flags: Any) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    if not debug:
        silence_libraries()
    try:
        from voice_cli.server.app import create_app
        from voice_cli.server.hosting import address_of, host, listen, log_to
        from voice_cli.server.settings import Server, settle_server

        if ray:
            from voice_cli.server import ray_hosting

            ray_hosting.load_ray(debug=debug)
    except ModuleNotFoundError as exc:
        raise EngineError(
            f"the server needs the package {exc.name}",
            hint=f"pip install 'voice-cli[{'ray' if ray else 'server'}]'",
        ) from exc
    if flags.get("replicas") is not None and not ray:
        raise UsageError("--replicas needs --ray", hint="as in: --ray --replicas N")
    check_values(flags, Server)
    settings = settle_server(load(), flags, insecure=insecure)
    listening = listen(settings.server)
    line = f"{settings.server.engine} speaks on {address_of(listening)} (Ctrl-C stops it)"

    def on_ready() -> None:
        if not quiet:
            print_message(line)

    if ray:
        ray_hosting.host(settings, listening, requests=not quiet, debug=debug, on_ready=on_ready)
    else:
        log_to(logging.StreamHandler(sys.stderr), requests=not quiet, debug=debug)
        host(create_app(settings), settings.server, listening, on_ready)
