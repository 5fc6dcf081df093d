"""The man pages: every command and option, valid roff, and part of the wheel."""

import importlib.util
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.cli.commands import tree, walk

ROOT = Path(__file__).parent.parent
LINTERS = {
    "mandoc": ["mandoc", "-T", "lint", "-W", "warning"],
    "groff": ["groff", "-man", "-ww", "-z", "-K", "utf-8"],
}

spec = importlib.util.spec_from_file_location("manual", ROOT / "scripts" / "manual.py")
manual = importlib.util.module_from_spec(spec)
spec.loader.exec_module(manual)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return manual.write_pages(tmp_path_factory.mktemp("man"))


def test_every_command_has_a_page_with_its_options_and_examples(pages):
    texts = {page.stem: page.read_text("utf-8") for page in pages}
    assert len(texts) == len(list(walk(tree())))
    for path, command in walk(tree()):
        text = texts["-".join(["voice", *path.split()])]
        for parameter in command.params:
            for flag in parameter.opts if parameter.param_type_name == "option" else ():
                assert f"\\fB{flag.replace('-', chr(92) + '-')}\\fR" in text
        assert ".SH EXAMPLES" in text


def test_the_page_of_voice_lists_the_exit_codes(pages):
    text = next(page for page in pages if page.name == "voice.1").read_text("utf-8")
    section = text.partition(".SH EXIT STATUS")[2].partition(".SH FILES")[0]
    assert [int(code) for code in re.findall(r"^\.B (\d+)$", section, re.MULTILINE)] == [*range(13), 130]


@pytest.mark.parametrize("linter", LINTERS)
def test_pages_are_valid(pages, linter):
    if shutil.which(linter) is None:
        pytest.skip(f"{linter} is not installed")
    done = subprocess.run([*LINTERS[linter], *pages], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


@given(st.text(alphabet=st.sampled_from("ab .'\\-`^~\"|\n"), max_size=20))
def test_no_text_is_a_macro_or_an_escape(words):
    for line in manual.text(words).split("\n"):
        assert not line.startswith((".", "'"))
        assert re.fullmatch(r"(?:[^\\]|\\(?:e|-|&|:|\([a-z]{2}))*", line)


def test_the_wheel_has_the_pages():
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "custom" in hooks["hooks"]
    assert "share/man/man1" in (ROOT / "hatch_build.py").read_text("utf-8")
