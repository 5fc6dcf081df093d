"""scripts/bootstrap with fake programs: nothing is installed, and the network is not used."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHELL_TOOLS = ("sh", "env", "cat", "cksum", "dirname", "grep", "mkdir", "rm", "true")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script")

LOG = 'echo "$(basename0 "$0") $*" >>"$LOG"\n'

PYTHON = """
case "$*" in
    *version_info*) exit "${OLD_PYTHON-0}" ;;
    *ensurepip*) [ -e "$STATE/venv" ] ;;
    *"-m venv"*) shift "$(($# - 1))"; mkdir -p "$1/bin"; cp0 "$0" "$1/bin/python" ;;
esac
"""

INSTALLER = """
case "$*" in
    *install*) [ -z "${BROKEN-}" ] || case "$*" in *"$BROKEN"*) exit 100 ;; esac
        for word in "$@"; do
            case $word in
                libportaudio2 | portaudio) echo >"$STATE/portaudio" ;;
                libopus0 | opus) echo >"$STATE/opus" ;;
                libmpg123-0 | mpg123-libs | mpg123) echo >"$STATE/mpg123" ;;
                python3-venv) echo >"$STATE/venv" ;;
                python3 | python@3.13) echo >"$STATE/venv"; cp0 "$STATE/python" "$BIN/python3" ;;
            esac
        done ;;
esac
"""

STUBS = {
    "apt-get": LOG + INSTALLER,
    "dnf": LOG + INSTALLER,
    "brew": LOG + 'case "$1" in --prefix) echo "$STATE" ;; esac\n' + INSTALLER,
    "uv": LOG + 'mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"; cp0 "$STATE/python" "$UV_PROJECT_ENVIRONMENT/bin/python"\n',
    "sudo": 'echo "sudo $*" >>"$LOG"\n[ "$1" = -n ] && [ -z "${PASSWORD-}" ] || exit 1\nshift\nexec "$@"\n',
    "id": 'echo "${USER_ID-0}"\n',
    "uname": 'echo "${SYSTEM-Linux}"\n',
    "ldconfig": 'for name in portaudio opus mpg123; do [ ! -e "$STATE/$name" ] || echo "lib$name.so.0 => /lib"; done\n',
    "cp0": 'cat "$1" >"$2"; chmod0 "$2"\n',
}


class Defaults:
    """A system with only the programs that a test adds."""

    def __init__(self, folder):
        self.repo = folder / "repo"
        self.bin = folder / "bin"
        self.state = folder / "state"
        self.log = folder / "log"
        for place in (self.repo / "scripts", self.bin, self.state):
            place.mkdir(parents=True)
        shutil.copy(ROOT / "scripts/bootstrap", self.repo / "scripts/bootstrap")
        (self.repo / "pyproject.toml").write_text("[project]\n")
        (self.repo / "uv.lock").touch()
        for tool in (*SHELL_TOOLS, "basename", "chmod"):
            self.bin.joinpath(tool).symlink_to(shutil.which(tool))
        self.stub("basename0", 'exec basename "$@"\n')
        self.stub("chmod0", 'exec chmod +x "$@"\n')
        for name in ("id", "uname", "ldconfig", "cp0"):
            self.stub(name, STUBS[name])
        python = self.state / "python"
        python.write_text("#!/bin/sh\n" + LOG + PYTHON)
        python.chmod(0o755)

    def stub(self, name, script):
        path = self.bin / name
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)

    def has(self, *names):
        for name in names:
            if name == "python3":
                shutil.copy(self.state / "python", self.bin / name)
                (self.state / "venv").touch()
            elif name in ("portaudio", "opus", "mpg123"):
                (self.state / name).touch()
            else:
                self.stub(name, STUBS.get(name, ""))

    def bootstrap(self, *args, status=0, **env):
        """Run it; return the calls of package managers, uv, venv and pip, and its other messages."""
        self.log.write_text("")
        done = subprocess.run(
            [self.repo / "scripts/bootstrap", *args],
            env={
                "PATH": str(self.bin),
                "LOG": str(self.log),
                "STATE": str(self.state),
                "BIN": str(self.bin),
                **env,
            },
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # no terminal on which sudo could prompt
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        calls = [
            line
            for line in self.log.read_text().splitlines()
            if " -c " not in line and line not in ("sudo -n true", "brew --prefix")
        ]
        said = [line.removeprefix("bootstrap: ") for line in done.stderr.splitlines() if not line.startswith("+ ")]
        return calls, said


@pytest.fixture
def machine(tmp_path):
    return Defaults(tmp_path)


APT = "apt-get install -y -q --no-install-recommends --no-remove"
PIP = [
    "python -m pip install -q --disable-pip-version-check --upgrade pip>=25.1",
    "python -m pip install -q --use-pep517 -e .",
]


def test_bare_debian_as_root(machine):
    machine.has("apt-get")
    calls, said = machine.bootstrap()
    assert calls == [
        "apt-get update -q",
        f"{APT} libportaudio2 libopus0 libmpg123-0 python3 python3-venv",
        "python3 -m venv --clear .venv",
        *PIP,
    ]
    assert said == []


def test_the_second_run_does_nothing(machine):
    machine.has("apt-get")
    machine.bootstrap()
    assert machine.bootstrap() == ([], [])


def test_only_what_is_missing_is_installed(machine):
    machine.has("apt-get", "python3", "portaudio", "mpg123")
    calls, _ = machine.bootstrap()
    assert calls[1] == f"{APT} libopus0"


def test_a_python_without_venv_gets_it(machine):
    machine.has("apt-get", "python3", "portaudio", "opus", "mpg123")
    (machine.state / "venv").unlink()
    calls, _ = machine.bootstrap()
    assert calls[1] == f"{APT} python3 python3-venv"


def test_option_installs_test_dependencies(machine):
    machine.has("apt-get")
    calls, _ = machine.bootstrap("--test")
    packages = calls[1].removeprefix(APT).split()
    assert packages[:3] == ["libportaudio2", "libopus0", "libmpg123-0"]
    assert {"pulseaudio", "pulseaudio-utils", "ffmpeg"} < set(packages)
    assert calls[-1] == f"{PIP[1]} --group dev"


def test_environment_without_test_dependencies_is_completed(machine):
    machine.has("apt-get", "python3", "portaudio", "opus", "mpg123", "pulseaudio", "pactl", "parec", "ffmpeg")
    machine.bootstrap()
    calls, _ = machine.bootstrap("--test")
    assert calls[-1] == f"{PIP[1]} --group dev"
    assert "python3 -m venv --clear .venv" not in calls
    assert machine.bootstrap() == ([], [])


def test_changed_project_is_installed_again(machine):
    machine.has("python3", "portaudio", "opus", "mpg123")
    machine.bootstrap()
    (machine.repo / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert machine.bootstrap()[0] == PIP


def test_failed_install_is_retried(machine):
    machine.has("python3", "portaudio", "opus", "mpg123")
    python = (machine.state / "python").read_text()
    machine.stub("python3", LOG + 'case "$*" in *"-m venv"*) exit 1 ;; esac\n')
    machine.bootstrap(status=1)
    assert not (machine.repo / ".venv/.bootstrap").exists()
    (machine.bin / "python3").write_text(python)
    assert machine.bootstrap()[0][-2:] == PIP


def test_user_with_sudo(machine):
    machine.has("apt-get", "sudo")
    calls, said = machine.bootstrap(USER_ID="1000")
    installs = f"env DEBIAN_FRONTEND=noninteractive {APT} libportaudio2 libopus0 libmpg123-0 python3 python3-venv"
    assert "sudo -n apt-get update -q" in calls
    assert f"sudo -n {installs}" in calls
    assert calls[-2:] == PIP
    assert said == []


def test_without_root_the_command_is_printed_and_the_script_continues(machine):
    machine.has("apt-get", "python3", "opus", "mpg123")
    for _ in range(2):
        calls, said = machine.bootstrap(USER_ID="1000")
        assert not [call for call in calls if call.startswith("apt-get")]
        assert said == [
            "missing: libportaudio2",
            "to install, as root, run:  apt-get update && apt-get install -y libportaudio2",
        ]
    assert (machine.repo / ".venv/.bootstrap").exists()


def test_sudo_with_a_password_and_no_terminal(machine):
    machine.has("apt-get", "sudo", "python3", "opus", "mpg123")
    _, said = machine.bootstrap(USER_ID="1000", PASSWORD="wanted")
    assert said[1] == "to install, run:  sudo apt-get update && sudo apt-get install -y libportaudio2"


def test_missing_python_is_an_error(machine):
    machine.has("apt-get", "portaudio", "opus", "mpg123")
    calls, said = machine.bootstrap(USER_ID="1000", status=1)
    assert calls == []
    assert said == [
        "missing: python3 python3-venv",
        "to install, as root, run:  apt-get update && apt-get install -y python3 python3-venv",
        "no Python found that is 3.11 or newer and has venv",
    ]


def test_newer_python_is_looked_for_on_an_old_system(machine):
    machine.has("apt-get", "python3", "portaudio", "opus", "mpg123")
    calls, _ = machine.bootstrap(OLD_PYTHON="1", status=1)
    assert [call.removeprefix(f"{APT} ") for call in calls if call.startswith(APT)] == [
        "python3 python3-venv",
        "python3.13 python3.13-venv",
        "python3.12 python3.12-venv",
        "python3.11 python3.11-venv",
    ]


def test_one_unavailable_package_does_not_block_the_others(machine):
    machine.has("apt-get", "python3")
    calls, said = machine.bootstrap(BROKEN="libopus0")
    assert f"{APT} libportaudio2" in calls
    assert said[0] == "missing: libopus0"
    assert calls[-2:] == PIP


def test_fedora_uses_dnf(machine):
    machine.has("dnf")
    calls, _ = machine.bootstrap("--test")
    packages = calls[0].removeprefix("dnf install -y -q ").split()
    assert {"portaudio", "opus", "mpg123-libs", "pulseaudio", "pulseaudio-utils", "ffmpeg-free", "python3"} <= set(
        packages
    )


def test_macos_uses_brew(machine):
    machine.has("brew", "sudo")
    calls, said = machine.bootstrap(USER_ID="501", SYSTEM="Darwin")
    assert calls[0] == "brew install -q portaudio opus mpg123 python@3.13"
    assert said == []


def test_system_without_a_package_manager(machine):
    machine.has("python3")
    calls, said = machine.bootstrap()
    assert calls == ["python3 -m venv --clear .venv", *PIP]
    assert said[0] == "missing: libportaudio2 libopus0 libmpg123-0"


@pytest.mark.parametrize(
    ("args", "env", "call"),
    [
        ((), {}, "uv sync --frozen --inexact --no-dev"),
        (("--neural",), {}, "uv sync --frozen --inexact --no-dev --extra neural"),
        (("--test",), {}, "uv sync --frozen --inexact"),
        (("--test",), {"PYTHON": "python3.12"}, "uv sync --frozen --inexact --python python3.12"),
    ],
)
def test_uv_is_used_if_it_is_installed(machine, args, env, call):
    machine.has("apt-get", "uv", "portaudio", "opus", "mpg123", "pulseaudio", "pactl", "parec", "ffmpeg")
    calls, _ = machine.bootstrap(*args, VENV="elsewhere", **env)
    assert calls[-1] == call
    assert (machine.repo / "elsewhere/bin/python").exists()
    assert machine.bootstrap(VENV="elsewhere", **env)[0] == []


def test_other_interpreter_makes_a_new_environment(machine):
    machine.has("python3", "portaudio", "opus", "mpg123")
    machine.bootstrap()
    shutil.copy(machine.bin / "python3", machine.bin / "python3.12")
    calls, _ = machine.bootstrap(PYTHON="python3.12")
    assert calls == ["python3.12 -m venv --clear .venv", *PIP]


def test_named_interpreter_that_is_missing_is_an_error(machine):
    machine.has("apt-get", "python3", "portaudio", "opus", "mpg123")
    calls, said = machine.bootstrap(PYTHON="python3.12", USER_ID="1000", status=1)
    assert calls == []
    assert said[-1] == "no python3.12 found that is 3.11 or newer and has venv"


def test_unknown_option_is_an_error(machine):
    machine.has("python3")
    calls, said = machine.bootstrap("--tests", status=2)
    assert (calls, said) == ([], ["usage: scripts/bootstrap [--test|--neural]"])


def test_make_has_the_two_commands():
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "VENV"))}

    def dry(*args):
        return subprocess.run(
            [make, "-n", *args], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        ).stdout.splitlines()

    assert dry("say", "VENV=.venv", "SENTENCE=Hello.")[-1] == '".venv/bin/voice" say "Hello." --save "say.wav"'
    assert dry("test") == ["scripts/bootstrap --test", "scripts/check"]


@pytest.mark.parametrize("script", ["scripts/bootstrap", "scripts/check", ".ci/run"])
def test_shellcheck_reports_nothing(script):
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, ROOT / script], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert os.access(ROOT / script, os.X_OK)
