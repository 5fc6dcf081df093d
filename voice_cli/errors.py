"""Everything that can go wrong, as one tree. Each class has one exit code; the README lists them.

::

    VoiceError
    ├── UsageError               2   the command line asks for something that cannot be
    ├── ConfigError              3   the config file, the environment or a profile is wrong
    ├── BackendError
    │   ├── AuthenticationError  4   the server wants a key, or another key
    │   ├── RateLimitError       5   too many requests, or no quota left
    │   ├── NetworkError         6   the server was not reached, or did not answer in time
    │   ├── ServerError          7   the server answered, but not with speech
    │   │   └── DecodeError      7   what it sent is not the audio that it should be
    │   └── EngineError         11   an engine in this process is missing, or failed
    ├── TruncatedAudio           8   the speech stopped before its end
    ├── DeviceError              9   no sound can come out
    ├── FileError               10   a file cannot be read or written
    └── Interrupted            130   Ctrl-C, a signal, or a reader that left

Misuse of a class of this package (a programmer's error) is a ValueError or RuntimeError, never one of these.
"""

from collections.abc import Mapping


class Hint:
    """What to do next, with the settings and listings that it names as fields: ``Hint("raise {timeout}")``.

    An interface puts in its own names: the command line writes ``--timeout``. The fields are the names of settings
    (``timeout``, ``base_url``, ``voice``, ``format``, …) and of listings (``list_voices``, ``list_devices``,
    ``list_engines``). Values from elsewhere are given by keyword, so that braces in them stay as they are.
    """

    def __init__(self, template: str, **values: object) -> None:
        self.template = template
        self.values = values

    def render(self, names: Mapping[str, str]) -> str:
        """Return the text, with `names` for the settings and listings; those that it lacks get plain words."""
        fields = {name: words for name, words in names.items() if name not in self.values}
        return self.template.format_map(_Fields(fields | {name: str(value) for name, value in self.values.items()}))

    def __str__(self) -> str:
        return self.render({})


class _Fields(dict[str, str]):
    def __missing__(self, name: str) -> str:
        listed = name.removeprefix("list_")
        return f"the list of {listed}" if listed != name else f"the {name.replace('_', ' ')}"


class VoiceError(Exception):
    """The base: a line for the person, and if there is one, what to do next."""

    exit_code = 1
    kind = "error"

    def __init__(self, message: str, *, hint: "str | Hint | None" = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(VoiceError):
    """The command line asks for something that cannot be."""

    exit_code = 2
    kind = "usage"


class ConfigError(VoiceError):
    """The config file, the environment or a profile is wrong."""

    exit_code = 3
    kind = "config"


class BackendError(VoiceError):
    """The backend gave no speech."""


class AuthenticationError(BackendError):
    """The server wants a key, or another key."""

    exit_code = 4
    kind = "authentication"


class RateLimitError(BackendError):
    """Too many requests, or no quota left."""

    exit_code = 5
    kind = "rate_limit"


class NetworkError(BackendError):
    """The server was not reached, or did not answer in time."""

    exit_code = 6
    kind = "network"


class ServerError(BackendError):
    """The server answered, but not with speech."""

    exit_code = 7
    kind = "server"


class DecodeError(ServerError):
    """What was sent is not the audio that it should be."""

    kind = "decode"


class EngineError(BackendError):
    """An engine in this process is missing, or failed."""

    exit_code = 11
    kind = "engine"


class TruncatedAudio(VoiceError):  # noqa: N818  the field's word; what has come is good
    """The speech stopped before its end."""

    exit_code = 8
    kind = "truncated"


class DeviceError(VoiceError):
    """No sound can come out."""

    exit_code = 9
    kind = "device"


class FileError(VoiceError):
    """A file cannot be read or written."""

    exit_code = 10
    kind = "file"


class Interrupted(VoiceError):  # noqa: N818  an ending, not a failure
    """Ctrl-C, a signal, or a reader that left."""

    exit_code = 130
    kind = "interrupted"


def one_line(text: str, limit: int = 240) -> str:
    """Make of what a stranger wrote one line that a terminal may show: no control characters, not too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
