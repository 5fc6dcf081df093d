"""Every example of the help and the pages, run by bash on a null sink; tests/support/examples.py says which are not."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.agent import RealAgent
from support.environment import alone
from support.examples import arguments_in, in_help, in_pages

pytestmark = pytest.mark.e2e

CONTROLS = {"stop", "pause", "resume", "skip", "back", "speed", "volume", "queue", "status", "agent", "mute"}
"""Commands about the speech of an agent. While one is run, the agent speaks."""

STAND_INS = {
    "voice": f'exec "{sys.executable}" -m voice_cli "$@"',
    "llm": 'echo "A packet is sent, and acknowledged."',
    "aplay": "exec cat >/dev/null",
    "claude": "exit 0",
    "ssh": "exit 0",
    "editor": "exit 0",
}

CONFIG = """\
[profiles.kokoro]
voice = "en-gb"
"""

LONG = "This speech lasts until it is stopped. " * 20
SPEED = "4"


def own_home(folder):
    return {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}


def uses(example, commands):
    return any(commands & set(arguments[:2]) for arguments in arguments_in(example.line))


@pytest.fixture
def programs(tmp_path):
    """Return a folder with `voice` and stand-ins for the programs of the examples."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def test_every_example_does_what_it_says(audio, programs, tmp_path):
    wrong, seen = [], set()
    agent = RealAgent(tmp_path, {**audio.environment("other"), **own_home(tmp_path / "agent")})
    sink = audio.environment("ear")

    def run(name, examples, environment, client=None):
        home = tmp_path / name.replace("/", "-").replace(" ", "-")
        home.mkdir()
        (home / "notes.txt").write_text("Notes. They are short.")
        environment = {
            **environment,
            **({} if client else own_home(home)),
            "PATH": f"{programs}:{environment['PATH']}",
            "VOICE_SPEED": SPEED,
            "SHELL": "/bin/bash",
            "EDITOR": "editor",
        }
        config = Path(environment["HOME"], ".config", "voice", "config.toml")
        if not any("config init" in example.line for example in examples):
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text(CONFIG)
        for example in examples:
            if client is not None:
                client.stop(all=True)
                if uses(example, CONTROLS):
                    client.say(LONG, detach=True)
                elif uses(example, {"replay"}):
                    for word in ("One.", "Two."):
                        client.say(word).wait()
            done = subprocess.run(
                ["timeout", "60", "bash", "-o", "pipefail", "-c", example.line],
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                wrong.append(f"{example.where}: {example.line}: {done.returncode}: {done.stderr}")

    try:
        with ThreadPoolExecutor(3) as pool:
            for name, examples in {**in_help(), **in_pages()}.items():
                run_here = [example for example in examples if not (example.needs or example.line in seen)]
                seen |= {example.line for example in run_here}
                if not run_here:
                    continue
                if any(uses(example, CONTROLS | {"replay"}) for example in run_here):
                    run(name, run_here, agent.environment, agent.client)
                else:
                    pool.submit(run, name, run_here, {**sink, **alone()})
    finally:
        agent.client.stop(all=True)
        agent.close()
    assert not wrong, "\n" + "\n".join(wrong)
