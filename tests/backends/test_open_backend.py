"""The table of backends: by name, and none is loaded that is not asked for."""

import subprocess
import sys

import pytest

from voice_cli.backends import BACKENDS, REMOTE, open_backend
from voice_cli.backends.base import Backend
from voice_cli.errors import UsageError


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="'htpp'") as caught:
        open_backend("htpp")
    assert all(name in caught.value.hint for name in BACKENDS)


@pytest.mark.parametrize("name", sorted(REMOTE))
def test_a_remote_one_takes_an_address_a_key_and_a_timeout(name):
    backend = open_backend(name, base_url="http://127.0.0.1:1/v1", api_key="sk-1", timeout=2.0)
    assert isinstance(backend, Backend)
    assert backend.name == name
    backend.close()


def test_the_remote_ones_are_in_the_table():
    assert set(BACKENDS) > REMOTE


def test_the_table_loads_nothing():
    program = "import sys, voice_cli.backends; print(*(n for n in sys.modules if n.startswith('voice_cli.backends.')))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"voice_cli.backends.base"}
    for name in BACKENDS:
        program = f"import sys; from voice_cli.backends import open_backend, BACKENDS\nmodule, _ = BACKENDS['{name}']"
        program += "\n__import__(module); print(*(m for m, _ in BACKENDS.values() if m in sys.modules))"
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        assert done.stdout.split() == [BACKENDS[name][0]]
