"""The options of `voice say`.

Both parsers are built from this definition: `quick.parse`, which reads the common forms in microseconds, and the typer
command (`app.py`), which has help, completion and usage errors.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from voice_cli.agent.priorities import PRIORITIES
from voice_cli.audio import CODECS
from voice_cli.backends import BACKENDS
from voice_cli.config import Defaults, Profile
from voice_cli.config_keys import SMOOTH, keys_of
from voice_cli.errors import Hint, UsageError, VoiceError

PANELS = {"file": "Speech", "markdown": "Text", "device": "Sound", "queue": "Other speeches", "save": "Output"}
"""The headings in the help, by the option that each precedes."""

SUMMARY = "Speak a text while it arrives."

EXAMPLES = (
    ('voice say "Hello there"', "with the embedded engine: no key, no network"),
    ('echo "Done." | voice say', "from a pipe; text is spoken while it arrives"),
    ("voice say -f notes.txt -o notes.mp3 --no-play", "save to a file"),
    ('voice say "Hi" --base-url http://localhost:8880/v1 -m kokoro', "with an OpenAI-compatible server"),
    ('voice say "Hi" -o - --no-play | aplay', "write WAV to another program"),
    ('voice say "Hi" --debug', "print a latency report"),
)
"""Command lines, each with a description."""


class Option(NamedTuple):
    """One option of the command line. `options` sets `kind` and `panel` of those of `voice say`."""

    help: str
    metavar: str | None = None
    short: str | None = None
    """The short flag, such as `-f`."""
    kind: type = str
    """str, float, int, or bool for a flag without a value."""
    long: str | None = None
    """The long flag; None: that of its name."""
    panel: str | None = None
    """The heading above it in the help."""

    def flags(self, name: str) -> list[str]:
        """Return the long flag, and the short one if there is one. `name`: the option's name, such as `base_url`."""
        return [self.long or long_flag(name), *([self.short] if self.short else [])]


class SayOptions(NamedTuple):
    """The values of the command line; None: the environment or the config file decides."""

    text: tuple[str, ...] = ()
    file: Annotated[str | None, Option("Read the text from a file.", "FILE", "-f")] = None
    profile: Annotated[str | None, Option("Use this profile of the config file.", "NAME", "-p")] = None
    backend: Annotated[str | None, Option("The backend. Without a key or server: espeak.", "|".join(BACKENDS))] = None
    base_url: Annotated[str | None, Option("The server's URL up to /v1, or its root for a -ws backend.", "URL")] = None
    model: Annotated[str | None, Option("The server's model.", "NAME", "-m")] = None
    voice: Annotated[str | None, Option("The voice; 'voice voices' lists them.", "NAME", "-v")] = None
    speed: Annotated[float | None, Option("The speed, 0.25 to 4.", "FACTOR")] = None
    instructions: Annotated[str | None, Option("Directions for models that take them.", "TEXT")] = None
    format: Annotated[
        str | None, Option("The format to request. pcm, the default, starts soonest.", "|".join(CODECS))
    ] = None
    timeout: Annotated[float | None, Option("Fail after so long without data from the server (60).", "SECONDS")] = None
    first_byte_timeout: Annotated[
        float | None, Option("Ask again, or the next fallback, after so long without audio.", "SECONDS")
    ] = None
    hedge: Annotated[float | None, Option("Send a second request after so long without audio (0: off).", "MS")] = None
    no_resume: Annotated[bool, Option("Do not ask again for an utterance that was cut.")] = False
    no_cache: Annotated[bool, Option("Neither use nor keep speech that was made before.")] = False
    markdown: Annotated[str | None, Option("Read the text as Markdown (auto).", "auto|on|off")] = None
    dialogue: Annotated[bool, Option("Speak 'NAME: text' lines with the profile's speakers.")] = False
    flush_after: Annotated[float | None, Option("Speak buffered text after so long without more (0.6).", "SECONDS")] = (
        None
    )
    lookahead: Annotated[int | None, Option("Utterances to request ahead (1).", "N")] = None
    pause: Annotated[float | None, Option("Silence between two sentences (0.3).", "SECONDS")] = None
    device: Annotated[str | None, Option("The output device; 'voice devices' lists them.", "NAME|INDEX", "-d")] = None
    volume: Annotated[float | None, Option("The volume, 0 to 4; saved files are not changed.", "FACTOR")] = None
    normalize: Annotated[bool, Option("Make all voices equally loud (-16 LUFS), also in saved files.")] = False
    prebuffer: Annotated[str | None, Option("Sound to buffer before playback starts (auto).", "MS|auto")] = None
    smooth: Annotated[
        str | None,
        Option("Where a speech waits that arrives too slowly (auto).", "|".join(SMOOTH)),
    ] = None
    wake: Annotated[
        float | None, Option("Silence to play first, for devices that lose their first sound (0).", "MS")
    ] = None
    no_play: Annotated[bool, Option("Do not play; only save.")] = False
    queue: Annotated[bool, Option("Wait until other speeches have ended (the default).")] = False
    interrupt: Annotated[bool, Option("Stop the speech that is spoken, and speak at once.")] = False
    if_idle: Annotated[bool, Option("Do not speak if another speech is spoken or waits.")] = False
    priority: Annotated[str | None, Option("The priority among speeches (message).", "|".join(PRIORITIES))] = None
    detach: Annotated[bool, Option("Print the speech's id and exit; the agent speaks.")] = False
    no_agent: Annotated[bool, Option("Speak in this process, not through the agent.")] = False
    save: Annotated[
        str | None,
        Option("Save while playing, in the format of the suffix; '-' writes WAV to standard output.", "FILE", "-o"),
    ] = None
    show: Annotated[bool, Option("Print the text as it is heard.")] = False
    subtitles: Annotated[str | None, Option("Write subtitles, as .srt or .vtt.", "FILE")] = None
    events: Annotated[bool, Option("Print what happens, when it happens, as lines of JSON.")] = False
    json: Annotated[bool, Option("Print the outcome as one JSON object.")] = False
    debug: Annotated[bool, Option("Print a latency report and tracebacks to standard error.")] = False
    quiet: Annotated[bool, Option("Print only errors.", short="-q")] = False

    def arguments(self) -> list[str]:
        """Return a command line with these values, without the program's name and the command."""
        found = []
        for name, option in options().items():
            value, flag = getattr(self, name), option.flags(name)[0]
            if value is not None and value is not False:
                found.append(flag if value is True else f"{flag}={value}")
        return [*found, "--", *self.text]

    def flags(self) -> dict[str, Any]:
        """Return the values for `config.settle`."""
        resume, cache_size = False if self.no_resume else None, 0.0 if self.no_cache else None
        return {**self._asdict(), "resume": resume, "cache_size": cache_size, "normalize": self.normalize or None}

    @property
    def mode(self) -> str:
        """What the speech does about others: `queue`, `interrupt` or `if-idle`."""
        return "interrupt" if self.interrupt else "if-idle" if self.if_idle else "queue"

    def check(self) -> None:
        """Check each value, and combinations of options.

        Raises:
            UsageError: a value or a combination is invalid.

        """
        check_values(self._asdict(), Profile, Defaults)
        if self.save == "-" and self.json:
            raise UsageError("-o - and --json both write to standard output", hint="save to a file, or omit --json")
        if self.show and (self.json or self.save == "-"):
            raise UsageError("--show, --json and -o - all write to standard output", hint="use one of them")
        if self.events and (self.show or self.json or self.save == "-"):
            raise UsageError("--events, --show, --json and -o - all write to standard output", hint="use one of them")
        if self.subtitles is not None and not self.subtitles.lower().endswith((".srt", ".vtt")):
            raise UsageError(f"cannot write subtitles to {self.subtitles}", hint="name a .srt or .vtt file")
        if self.priority is not None and self.priority not in PRIORITIES:
            raise UsageError(f"invalid --priority {self.priority!r}", hint=f"use one of {', '.join(PRIORITIES)}")
        if self.queue + self.interrupt + self.if_idle > 1:
            raise UsageError("--queue, --interrupt and --if-idle exclude each other", hint="use one of them")
        writes = self.show or self.events or self.json or self.save or self.subtitles
        if self.detach and (self.no_agent or writes or self.no_play):
            raise UsageError("--detach cannot be used with options that write a result", hint="omit them, or --detach")
        if self.text and self.file is not None:
            raise UsageError("a text and --file were given", hint="use one of them")


def long_flag(name: str) -> str:
    """Return the flag of a setting: `--base-url` for `base_url`."""
    return f"--{name.replace('_', '-')}"


def check_values(values: Mapping[str, Any], *kinds: type) -> None:
    """Check the values of options that are settings of these classes. None is not checked.

    Raises:
        UsageError: a value is invalid.

    """
    for kind in kinds:
        for name, key in keys_of(kind).items():
            value = values.get(name)
            wrong = key.check(value) if value is not None and key.check else None
            if wrong:
                shown = f" {value!r}" if key.shown else ""
                raise UsageError(f"invalid {long_flag(name)}{shown}: it {wrong}")


def options() -> dict[str, Option]:
    """Return the options of `SayOptions` by name, in order, without `text`."""
    found = {}
    panel = None
    for name, annotation in SayOptions.__annotations__.items():
        if name != "text":
            panel = PANELS.get(name, panel)
            kind = bool if annotation.__origin__ is bool else annotation.__origin__.__args__[0]  # KIND of KIND | None
            option: Option = annotation.__metadata__[0]
            found[name] = option._replace(kind=kind, panel=panel)
    return found


SERVER_SETTINGS = ("port", "api_key_env", "insecure")
"""Settings of `voice serve` that hints name."""


def words(hint: str | Hint) -> str:
    """Return a hint's text: ``{timeout}`` becomes ``--timeout``, ``{list_voices}`` becomes ``voice voices``."""
    if isinstance(hint, str):
        return hint
    names = {name: long_flag(name) for name in (*SayOptions._fields, *SERVER_SETTINGS)}
    names["download"] = "voice voices get"
    return hint.render(names | {f"list_{listing}": f"voice {listing}" for listing in ("voices", "devices", "engines")})


def line_of(error: VoiceError) -> str:
    """Return what happened, and what to do in parentheses."""
    return f"{error.message} ({words(error.hint)})" if error.hint else error.message
