"""`voice mcp` without its package. The server is tested in tests/assistants/test_mcp_server.py."""

import subprocess
import sys

import pytest

from support.command import environment_in


@pytest.mark.parametrize("missing", ["mcp", "mcp.server.mcpserver"])
def test_a_missing_package_is_one_line_with_the_command_that_installs_it(tmp_path, missing):
    program = f"import sys; sys.modules[{missing!r}] = None; from voice_cli.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "mcp"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment_in(tmp_path),
        check=False,
    )
    assert (done.returncode, done.stdout) == (11, b"")
    line = "voice: the MCP server needs the package mcp, which is not installed"
    assert done.stderr.decode() == f'{line} (pip install "voice-cli[mcp]")\n'
