"""The files in packaging/: what can be checked without building a package."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.examples import parse

PACKAGING = Path(__file__).parent.parent / "packaging"


def test_the_command_of_the_container_is_valid():
    text = (PACKAGING / "container" / "Containerfile").read_text("utf-8")
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    parse(json.loads(command))


def test_the_commands_of_the_formula_are_valid():
    text = (PACKAGING / "homebrew" / "voice.rb").read_text("utf-8")
    (tested,) = re.findall(r'system bin/"voice", (.*)$', text, re.MULTILINE)
    parse(re.findall(r'"([^"]*)"', tested))
    shells = re.findall(r"shells: \[(.*)\]", text)[0]
    for shell in re.findall(r":(\w+)", shells):
        parse(["completion", "show", shell])


def test_every_field_of_the_debian_package_is_filled_in():
    fields = set(re.findall(r"@(\w+)@", (PACKAGING / "debian" / "control").read_text("utf-8")))
    assert fields == set(re.findall(r"s/@(\w+)@/", (PACKAGING / "debian" / "build").read_text("utf-8")))


@pytest.mark.parametrize("name", ["build", "postrm"])
def test_scripts_of_the_debian_package_are_valid(name):
    if shutil.which("sh") is None:
        pytest.skip("there is no sh")
    subprocess.run(["sh", "-n", PACKAGING / "debian" / name], check=True)
