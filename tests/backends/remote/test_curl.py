"""The wrapper that imports pycurl without its optional modules."""

import subprocess
import sys

import pytest


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_asyncio_is_not_loaded():
    assert (
        run("import sys\nfrom voice_cli.backends.remote.curl import pycurl\nprint('asyncio' in sys.modules)") == "False"
    )


@pytest.mark.parametrize(
    "program",
    [
        "import pycurl as theirs\nfrom voice_cli.backends.remote.curl import pycurl as ours",
        "from voice_cli.backends.remote.curl import pycurl as ours\nimport pycurl as theirs",
    ],
)
def test_wrapper_and_package_share_their_classes(program):
    assert run(f"{program}\nprint(ours.Curl is theirs.Curl, ours.error is theirs.error)") == "True True"


def test_missing_pycurl_raises_module_not_found():
    program = (
        "import sys\n"
        "sys.path = [path for path in sys.path if 'site-packages' not in path]\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "try:\n    from voice_cli.backends.remote.curl import pycurl\n"
        "except ModuleNotFoundError as exc:\n    print(exc.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, "."], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pycurl"
