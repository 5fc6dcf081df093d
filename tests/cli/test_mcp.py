"""`voice mcp` without its package, and with few variables. tests/assistants/test_mcp_server.py tests the server."""

import os
import subprocess
import sys

import pytest

from support.command import environment_in
from support.fake_agent import FakeAgent
from support.packages import needs


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


def test_the_users_runtime_folder_is_found_without_its_variable(tmp_path):
    needs("mcp", target="test")
    program = """
import os, sys
from support.fake_agent import install
install()
from voice_cli.assistants import mcp_server
from voice_cli.cli import mcp
os.path.isdir = lambda path: True
mcp_server.make_server = lambda *_: sys.exit(os.environ["XDG_RUNTIME_DIR"])
mcp.serve()
"""
    agent = FakeAgent(tmp_path / "agent")
    for given, found in (({}, f"/run/user/{os.getuid()}"), ({"XDG_RUNTIME_DIR": "/own"}, "/own")):
        environment = {name: value for name, value in environment_in(tmp_path).items() if name != "XDG_RUNTIME_DIR"}
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env={**environment, **agent.environment, **given},
            check=False,
        )
        assert done.stderr.decode().strip() == found
    agent.close()
