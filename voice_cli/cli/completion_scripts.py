"""`voice completion`: the scripts with which shells complete, and their installation."""

import os
import sys

from voice_cli.cli.console import print_message, write_stdout
from voice_cli.errors import FileError, UsageError
from voice_cli.folders import user_folder, write_atomically

SCRIPTS = {
    "bash": """\
_voice() {
    local value what
    COMPREPLY=()
    while IFS=$'\\t' read -r value what; do
        COMPREPLY+=("$(printf %q "$value")")
    done < <(voice _complete "=${COMP_WORDS[COMP_CWORD]#=}" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
}
complete -o bashdefault -o default -F _voice voice
""",
    "zsh": """\
#compdef voice
_voice() {
    local value what
    local -a found
    while IFS=$'\\t' read -r value what; do
        found+=("${value//:/\\\\:}${what:+:$what}")
    done < <(voice _complete "=${words[CURRENT]}" "${(@)words[2,CURRENT-1]}" 2>/dev/null)
    if (( $#found )); then _describe voice found; else _files; fi
}
if [[ $funcstack[1] == _voice ]]; then
    _voice "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
    compdef _voice voice
fi
""",
    "fish": """\
function __voice_complete
    set -l words (commandline -opc)
    set -l found (voice _complete "="(commandline -ct) $words[2..] 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c voice -f -a '(__voice_complete)'
""",
    "powershell": """\
Register-ArgumentCompleter -Native -CommandName voice -ScriptBlock {
    param($word, $ast, $position)
    $before = @($ast.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $position } | ForEach-Object { $_.ToString() })
    voice _complete "=$word" @before | ForEach-Object {
        $value, $what = $_ -split "`t", 2
        $shown = if ($value -match '\\s') { "'$value'" } else { $value }
        $tip = if ($what) { $what } else { $value }
        [System.Management.Automation.CompletionResult]::new($shown, $value, 'ParameterValue', $tip)
    }
}
""",
}
"""What each shell runs. They name no command, so they stay valid with other versions of this program."""


def show(*, shell: str | None = None) -> None:
    """Print the script of a shell."""
    write_stdout(SCRIPTS[_known(shell)], end="")


def install(*, shell: str | None = None) -> None:
    """Write the script of a shell, and have the shell read it at its start."""
    name = _known(shell)
    home = os.path.expanduser("~")
    if name == "fish":
        folder = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        _write(os.path.join(folder, "fish", "completions", "voice.fish"), SCRIPTS[name])
    else:
        suffix = "ps1" if name == "powershell" else name
        script = os.path.join(user_folder("data"), f"completion.{suffix}")
        _write(script, SCRIPTS[name])
        start = {
            "bash": os.path.join(home, ".bashrc"),
            "zsh": os.path.join(os.environ.get("ZDOTDIR") or home, ".zshrc"),
        }.get(name) or _powershell_profile()
        quoted = script.replace("'", "''" if name == "powershell" else "'\\''")
        _add_line(start, f". '{quoted}'")
    print_message(f"completion is installed for {name}, in shells that are started from now on")


def _known(shell: str | None) -> str:
    """Return a shell's name; without one, that of the user's.

    Raises:
        UsageError: there is no script for it.

    """
    name = shell or os.path.basename(os.environ.get("SHELL") or _login_shell())
    name = "powershell" if name in ("pwsh", "powershell.exe", "pwsh.exe") else name
    if name not in SCRIPTS:
        what = f"there is no completion for {name!r}" if name else "it is not known which shell you use"
        raise UsageError(what, hint=f"name one of {', '.join(SCRIPTS)}")
    return name


def _login_shell() -> str:
    """Return the path of the user's login shell. In containers and services, SHELL is often not set."""
    if sys.platform == "win32":
        return "powershell"
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:  # a user ID without an account
        return ""


def _powershell_profile() -> str:
    """Return the path of the file that PowerShell reads at its start."""
    import subprocess

    for program in ("pwsh", "powershell"):
        try:
            asked = [program, "-NoProfile", "-Command", "$PROFILE.CurrentUserAllHosts"]
            done = subprocess.run(asked, capture_output=True, check=True, text=True)  # noqa: S603  a fixed command
        except (OSError, subprocess.CalledProcessError):
            continue
        return done.stdout.strip()
    raise UsageError("PowerShell was not found", hint="voice completion show powershell >> YOUR_PROFILE.ps1")


def _write(path: str, text: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc


def _add_line(path: str, line: str) -> None:
    """Add a line at the end of a file of the user, if it is not in it."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a+", encoding="utf-8", errors="surrogateescape") as file:
            file.seek(0)
            before = file.read()
            if line not in before.splitlines():
                file.write(line + "\n" if not before or before.endswith("\n") else f"\n{line}\n")
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc
