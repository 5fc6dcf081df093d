"""The process that a program waits for. What it does at each event is in tests/assistants/test_reactions.py."""

import subprocess
import sys

from support.command import environment_in

SLOW = ("typer", "dataclasses", "voice_cli.config", "voice_cli.script.markdown", "voice_cli.cli.console", "socket")


def run(folder, program, data, **more):
    command = [sys.executable, "-c", program, "hook", "codex"]
    environment = environment_in(folder, {"XDG_STATE_HOME": str(folder), **more})
    return subprocess.run(command, input=data, capture_output=True, env=environment, check=False)


def test_nothing_slow_is_imported_before_the_program_continues(tmp_path):
    program = (
        "import sys; from voice_cli.cli import hook, start\n"
        f"hook._detach = lambda: sys.exit(repr(sorted(set({SLOW}) & set(sys.modules))))\n"
        "sys.exit(start.start(sys.argv[1:]))"
    )
    done = run(tmp_path, program, b'{"hook_event_name": "Stop", "session_id": "a"}')
    assert done.stderr.decode().strip() == "[]"


def test_an_internal_error_is_no_failure_either(tmp_path):
    program = (
        "import sys; from voice_cli.cli import hook, start\n"
        "hook.events.parse = lambda data: 1 / 0\n"
        "sys.exit(start.start(sys.argv[1:]))"
    )
    done = run(tmp_path, program, b"{}")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"voice: internal error: ZeroDivisionError: division by zero\n"


def test_the_log_does_not_grow_for_good(tmp_path):
    log = tmp_path / "voice" / "hooks.log"
    log.parent.mkdir()
    log.write_text("old\n" * 20_000)
    program = "import sys; from voice_cli.cli import start; sys.exit(start.start(sys.argv[1:]))"
    for _ in range(2):
        assert run(tmp_path, program, b"nonsense").returncode == 0
    lines = log.read_text().splitlines()
    assert len(lines) == 2
    assert all("must be a JSON object" in line for line in lines)
