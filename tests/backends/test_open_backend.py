"""The table of backends, which loads only the requested one."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from voice_cli.backends import BACKENDS, LOCAL, REMOTE, backend_class, is_remote, open_backend
from voice_cli.backends.base import Backend
from voice_cli.config import Profile
from voice_cli.config_keys import keys_of
from voice_cli.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_unknown_name_error_lists_the_known_names():
    with pytest.raises(UsageError, match="'htpp'") as caught:
        open_backend("htpp")
    assert all(name in caught.value.hint for name in BACKENDS)


@pytest.mark.parametrize("name", sorted(REMOTE))
def test_remote_backends_take_an_address_a_key_and_a_timeout(name):
    backend = open_backend(name, base_url="http://127.0.0.1:1/v1", api_key="sk-1", timeout=2.0)
    assert isinstance(backend, Backend)
    assert backend.name == name
    backend.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_class_attributes_match_the_constructor(name):
    backend = backend_class(name)
    assert backend.name == name
    assert backend.is_remote == is_remote(name) == (name in REMOTE) == (name not in LOCAL)
    assert set(backend.settings) <= set(keys_of(Profile))
    taken = inspect.signature(backend).parameters
    expected = {*backend.settings, *(("base_url", "api_key", "timeout") if backend.is_remote else ())}
    assert expected <= set(taken)
    assert backend.voices_are_files == ("allow_paths" in taken)
    assert bool(backend.model_is) == ("model" in taken)


def test_extras_exist_in_pyproject():
    with open(ROOT / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert {backend_class(name).extra for name in BACKENDS} - {None} <= set(extras)


def test_table_loads_no_backend():
    program = "import sys, voice_cli.backends; print(*(n for n in sys.modules if n.startswith('voice_cli.backends.')))"
    program += "\nprint(*{'importlib.metadata'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"voice_cli.backends.base"}
    for name in BACKENDS:
        program = "import sys; from voice_cli.backends import BACKENDS, backend_class, is_remote\n"
        program += f"is_remote('{name}')\nbefore = set(sys.modules)\nbackend_class('{name}')\n"
        program += "places = {place.partition(':')[0] for place in BACKENDS.values()}\n"
        program += "print(*(places & before), *(places & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        assert done.stdout.split() == [BACKENDS[name].partition(":")[0]]
