"""`voice mcp`: tools to speak, for assistants with the Model Context Protocol."""

import os
from contextlib import closing
from typing import Any

from voice_cli.backends import BACKENDS
from voice_cli.backends.packages import install_line, load
from voice_cli.cli.say import make_backend
from voice_cli.config import load as load_config
from voice_cli.config import settle


def serve() -> None:
    """Serve on standard input and output until the client closes them."""
    load("the MCP server", "mcp.server.mcpserver", install_line("mcp"))
    from voice_cli.assistants.mcp_server import make_server

    if hasattr(os, "getuid"):
        # Assistants pass few variables. Without this one, an agent that is started does not find PulseAudio.
        folder = f"/run/user/{os.getuid()}"
        if os.path.isdir(folder):
            os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    make_server(_voices).run()


def _voices() -> list[dict[str, Any]]:
    settings = settle(load_config(), {}, backend_names=BACKENDS)
    with closing(make_backend(settings, note=lambda _: None)) as backend:
        return [voice._asdict() for voice in backend.voices()]
