"""A bare Debian in a folder, for tests that install as a new user does."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELEASE = "bookworm"
USER = 1000
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

PULSEAUDIO = """\
mkdir -p /run/user/1000 && chown 1000:1000 /run/user/1000 && chmod 700 /run/user/1000
apt-get install -y -q --no-install-recommends pulseaudio pulseaudio-utils libasound2-plugins
"""
SERVER = """\
pulseaudio -n --daemonize --exit-idle-time=-1 --realtime=no -L module-native-protocol-unix \
    -L 'module-null-sink sink_name=ear rate=24000 channels=1 channel_map=mono format=s16le'
parec --device=ear.monitor --format=s16le --rate=24000 --channels=1 --raw ~/heard.raw &
"""


class Machine:
    """A Debian that commands change by chroot."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        subprocess.run(["cp", "-a", base, folder], check=True)
        # Without it, Python finds its own path in no place that it looks at.
        self._has_proc = subprocess.run(["mount", "-t", "proc", "proc", folder / "proc"], check=False).returncode == 0
        shutil.copy("/etc/resolv.conf", folder / "etc")
        if CERTIFICATES.exists():  # those of a proxy, too
            shutil.copy(CERTIFICATES, folder / "etc" / "machine.crt")
        self.run("apt-get update -q && useradd --create-home --shell /bin/bash me")

    def run(self, script: str, *, as_user: bool = False, code: int = 0, **environment: str) -> str:
        """Run a script as root or as the user in the user's home, check its exit code, and return its output."""
        names = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        clean = {
            "PATH": "/home/me/.local/bin:/opt/tools/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/home/me" if as_user else "/root",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "XDG_RUNTIME_DIR": "/run/user/1000",
            **(dict.fromkeys(names, "/etc/machine.crt") if CERTIFICATES.exists() else {}),
            **environment,
        }
        user = [f"--userspec={USER}:{USER}", "--groups="] if as_user else []
        command = ["chroot", *user, self.folder, "bash", "-e", "-o", "pipefail", "-c", f'cd "$HOME"\n{script}']
        log = self.folder / "log"
        with log.open("w+") as out:  # not a pipe, which a server in the background would hold
            done = subprocess.run(command, env=clean, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
        output = log.read_text(errors="replace")
        assert done.returncode == code, f"{script}\n{output}"
        return output

    def copy_checkout(self, to: str) -> None:
        """Copy the files of this checkout that git knows, or does not ignore, for the user."""
        target = self.folder / to.lstrip("/")
        target.mkdir(parents=True)
        listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
        for name in filter(None, files):
            path = Path(os.fsdecode(name))
            if (ROOT / path).is_file():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, target / path)
        self.run(f"chown -R {USER}:{USER} {to}")

    def start_sound(self) -> None:
        """Install and start PulseAudio with a null sink that is recorded."""
        self.run(PULSEAUDIO)
        self.run(SERVER, as_user=True)

    def heard(self) -> int:
        """Return how many of the recorded samples are not silent."""
        data = (self.folder / "home" / "me" / "heard.raw").read_bytes()
        return sum(data[at : at + 2] not in (b"\0\0", b"\0") for at in range(0, len(data), 2))

    def close(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if Path(os.readlink(process / "root")) == self.folder:
                    os.kill(int(process.name), signal.SIGKILL)
        if self._has_proc:
            subprocess.run(["umount", "-l", self.folder / "proc"], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)  # those that were killed may write still


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Return the folder of a Debian with nothing but apt. VOICE_TEST_BASE names one that is kept."""
    if not os.environ.get("VOICE_TEST_INSTALL"):
        pytest.skip("make test-install runs it")
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.fail("it needs root and debootstrap")
    kept = os.environ.get("VOICE_TEST_BASE")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("debian") / "base"
    if not folder.exists():
        subprocess.run(["debootstrap", "--variant=minbase", RELEASE, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def machine(base, tmp_path_factory):
    """Start a new machine."""
    made = []

    def start() -> Machine:
        made.append(Machine(tmp_path_factory.mktemp("machine") / "root", base))
        return made[-1]

    yield start
    for each in made:
        each.close()
