"""The agent as a service of the user: systemd's and launchd's unit files."""

import os
import sys
from collections.abc import Mapping

from voice_cli.agent.launch import COMMAND
from voice_cli.errors import UsageError
from voice_cli.folders import write_atomically

SYSTEMD = """\
[Unit]
Description=The voice agent, which speaks for "voice say"

[Service]
ExecStart={command}
Environment=VOICE_AGENT_IDLE=1000000
Restart=on-failure

[Install]
WantedBy=default.target
"""
"""systemd.service(5)."""

LAUNCHD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>voice-agent</string>
  <key>ProgramArguments</key><array>{command}</array>
  <key>EnvironmentVariables</key><dict><key>VOICE_AGENT_IDLE</key><string>1000000</string></dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
</dict>
</plist>
"""
"""launchd.plist(5)."""


def unit_path(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """Return the path of this system's unit file.

    Raises:
        UsageError: this system has neither systemd nor launchd.

    """
    if platform == "darwin":
        return os.path.expanduser("~/Library/LaunchAgents/voice-agent.plist")
    if platform != "linux":
        raise UsageError("this system has neither systemd nor launchd", hint="start it with your session")
    folder = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(folder, "systemd", "user", "voice-agent.service")


def unit(platform: str = sys.platform) -> str:
    """Return the unit file of this system."""
    if platform == "darwin":
        from xml.sax.saxutils import escape

        return LAUNCHD.format(command="".join(f"<string>{escape(word)}</string>" for word in COMMAND))
    return SYSTEMD.format(command=" ".join(map(_systemd_quoted, COMMAND)))


def _systemd_quoted(word: str) -> str:
    """Quote a word of a command line (systemd.service(5), "Command lines")."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'


def install(path: str) -> None:
    """Write the unit file.

    Raises:
        OSError: it cannot be written.

    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(path, unit().encode())
