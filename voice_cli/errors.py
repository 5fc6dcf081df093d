"""The errors of this package, as one tree. Each class has one exit code; docs/results.md lists them.

::

    VoiceError                   1   an error in this program
    ├── UsageError               2   an option or a value of the command line is wrong
    ├── ConfigError              3   the config file, the environment or a profile is wrong
    ├── BackendError                 the backend returned no speech
    │   ├── AuthenticationError  4   the key is missing, wrong, or not allowed
    │   ├── RateLimitError       5   too many requests, or the quota is used up
    │   ├── NetworkError         6   the server was not reached, or did not answer in time
    │   ├── ServerError          7   the server answered without speech
    │   │   └── DecodeError      7   the data is not valid audio
    │   └── EngineError         11   an engine in this process is missing or failed
    ├── TruncatedAudio           8   the speech stopped before its end
    │   └── UnmarkedEnd          8   it ended between two frames, but not where its codec says
    ├── DeviceError              9   the output device does not work
    ├── FileError               10   a file cannot be read or written
    ├── AgentError            12   the agent does not run, or has ended
    ├── Dropped                0     not spoken, because the options say so and another speech is playing
    └── Interrupted            130   Ctrl-C, a closed pipe, or another speech; `cli` has other codes for other signals

Misuse of a class of this package (a programming error) raises ValueError or RuntimeError, none of these.
"""

import errno
import sys
from collections.abc import Iterable, Mapping


class Hint:
    """What to do next, with settings and listings as fields: ``Hint("raise {timeout}")``.

    `render` inserts an interface's names, such as ``--timeout``. The fields are names of settings (``timeout``,
    ``base_url``, ``voice``, ``format``, …), of listings (``list_voices``, ``list_devices``, ``list_engines``), and
    ``download`` (a voice). Other values are passed by keyword, so that braces in them are not read as fields.
    """

    def __init__(self, template: str, **values: object) -> None:
        self.template = template
        self.values = values

    def render(self, names: Mapping[str, str]) -> str:
        """Return the text with `names` for settings and listings, and plain words for those it lacks."""
        fields = {name: words for name, words in names.items() if name not in self.values}
        return self.template.format_map(_Fields(fields | {name: str(value) for name, value in self.values.items()}))

    def __str__(self) -> str:
        return self.render({})


class _Fields(dict[str, str]):
    def __missing__(self, name: str) -> str:
        listed = name.removeprefix("list_")
        return f"the list of {listed}" if listed != name else f"the {name.replace('_', ' ')}"


class VoiceError(Exception):
    """An error, with a message of one line and perhaps a hint; subclasses pass their kind and exit code."""

    exit_code = 1
    kind = "error"

    def __init_subclass__(cls, *, kind: str | None = None, exit_code: int | None = None) -> None:
        super().__init_subclass__()
        cls.kind = kind or cls.kind
        cls.exit_code = cls.exit_code if exit_code is None else exit_code

    def __init__(
        self,
        message: str,
        *,
        hint: str | Hint | None = None,
        is_transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.is_transient = is_transient
        """Whether the same request may succeed a little later: a server that is busy, restarts, or is not reached."""
        self.retry_after = retry_after
        """Seconds until the server wants the next request; None: it did not say."""


class UsageError(VoiceError, kind="usage", exit_code=2):
    """An option or a value of the command line is wrong."""


class ConfigError(VoiceError, kind="config", exit_code=3):
    """The config file, the environment or a profile is wrong."""


class BackendError(VoiceError):
    """The backend returned no speech."""


class AuthenticationError(BackendError, kind="authentication", exit_code=4):
    """The key is missing, wrong, or not allowed."""


class RateLimitError(BackendError, kind="rate_limit", exit_code=5):
    """Too many requests were sent, or the quota is used up."""


class NetworkError(BackendError, kind="network", exit_code=6):
    """The server was not reached, or did not answer in time."""


class ServerError(BackendError, kind="server", exit_code=7):
    """The server answered without speech."""


class DecodeError(ServerError, kind="decode"):
    """The data is not valid audio."""


class EngineError(BackendError, kind="engine", exit_code=11):
    """An engine in this process is missing or failed."""


class TruncatedAudio(VoiceError, kind="truncated", exit_code=8):  # noqa: N818  the audio before the end is valid
    """The speech stopped before its end."""


class UnmarkedEnd(TruncatedAudio):
    """The speech ended between two frames, but not where its codec says; it is complete if the transport says so."""


class DeviceError(VoiceError, kind="device", exit_code=9):
    """The output device does not work."""


class FileError(VoiceError, kind="file", exit_code=10):
    """A file cannot be read or written."""


class AgentError(VoiceError, kind="agent", exit_code=12):
    """The agent does not run, or has ended."""


class Dropped(VoiceError, kind="dropped", exit_code=0):  # noqa: N818  as requested
    """The speech was not spoken, because its options say so and another speech is playing."""


class Interrupted(VoiceError, kind="interrupted", exit_code=130):  # noqa: N818  an ending, not a failure
    """Ctrl-C, a signal, a closed pipe or another speech ended this one."""


def is_closed_pipe(error: OSError) -> bool:
    """Return whether a write failed because its reader has closed the pipe. On Windows, that is EINVAL."""
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def error_of(kind: str, message: str, hint: str | None) -> VoiceError:
    """Return the error of this kind; an unknown kind is a VoiceError."""
    kinds: dict[str, type[VoiceError]] = {}
    classes = [VoiceError]
    for cls in classes:
        kinds.setdefault(cls.kind, cls)
        classes += cls.__subclasses__()
    return kinds.get(kind, VoiceError)(message, hint=hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests the known name most like this one; empty: none is like it.

    Case is ignored. A name of several words, such as a device's, is also found by a misspelled word.
    """
    import difflib

    words: dict[str, str] = {}
    for each in known:
        for word in (each, *(each.split() if " " in each else ())):
            words.setdefault(word.lower(), each)
    near = difflib.get_close_matches(name.lower(), words, n=1)
    return f"; did you mean {words[near[0]]!r}?" if near else ""


def server_name(address: str) -> str:
    """Return host and port of an address, without credentials."""
    place = address.partition("://")[2]
    for delimiter in "/?#":
        place = place.partition(delimiter)[0]
    return place.rpartition("@")[2]
