"""The options of `voice say`.

Both parsers are built from this definition: `quick.parse`, which reads the common forms in microseconds, and the typer
command (`app.py`), which has help, completion and usage errors.
"""

from typing import Annotated, NamedTuple

from voice_cli.audio import CODECS
from voice_cli.backends import BACKENDS
from voice_cli.config import Defaults, Profile, keys_of
from voice_cli.errors import UsageError

SPEECH, TEXT, SOUND, OUTPUT = "Speech", "Text", "Sound", "Output"


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
    """One option of the command line."""

    flags: tuple[str, ...]
    help: str
    panel: str | None = None
    """The heading above it in the help."""
    metavar: str | None = None
    kind: type = str
    """str, float, int, or bool for a flag without a value."""


class SayOptions(NamedTuple):
    """The values of the command line; None: the environment or the config file decides."""

    text: tuple[str, ...] = ()
    file: Annotated[str | None, Option(("--file", "-f"), "Read the text from a file.", SPEECH, "FILE")] = None
    profile: Annotated[
        str | None, Option(("--profile", "-p"), "Use this profile of the config file.", SPEECH, "NAME")
    ] = None
    backend: Annotated[
        str | None, Option(("--backend",), "The backend. Without a key or server: espeak.", SPEECH, "|".join(BACKENDS))
    ] = None
    base_url: Annotated[
        str | None,
        Option(("--base-url",), "The server's URL up to /v1, or its root for a -ws backend.", SPEECH, "URL"),
    ] = None
    model: Annotated[str | None, Option(("--model", "-m"), "The server's model.", SPEECH, "NAME")] = None
    voice: Annotated[str | None, Option(("--voice", "-v"), "The voice; 'voice voices' lists them.", SPEECH, "NAME")] = (
        None
    )
    speed: Annotated[float | None, Option(("--speed",), "The speed, 0.25 to 4.", SPEECH, "FACTOR", float)] = None
    instructions: Annotated[
        str | None, Option(("--instructions",), "Directions for models that take them.", SPEECH, "TEXT")
    ] = None
    format: Annotated[
        str | None,
        Option(
            ("--format",),
            "The format to request. pcm, the default, starts soonest.",
            SPEECH,
            "|".join(CODECS),
        ),
    ] = None
    timeout: Annotated[
        float | None,
        Option(("--timeout",), "Fail after so long without data from the server (60).", SPEECH, "SECONDS", float),
    ] = None
    markdown: Annotated[
        str | None, Option(("--markdown",), "Read the text as Markdown (auto).", TEXT, "auto|on|off")
    ] = None
    dialogue: Annotated[
        bool, Option(("--dialogue",), "Speak 'NAME: text' lines with the profile's speakers.", TEXT, kind=bool)
    ] = False
    flush_after: Annotated[
        float | None,
        Option(("--flush-after",), "Speak buffered text after so long without more (0.6).", TEXT, "SECONDS", float),
    ] = None
    lookahead: Annotated[int | None, Option(("--lookahead",), "Utterances to request ahead (1).", TEXT, "N", int)] = (
        None
    )
    pause: Annotated[
        float | None, Option(("--pause",), "Silence between two sentences (0.3).", TEXT, "SECONDS", float)
    ] = None
    device: Annotated[
        str | None, Option(("--device", "-d"), "The output device; 'voice devices' lists them.", SOUND, "NAME|INDEX")
    ] = None
    volume: Annotated[
        float | None,
        Option(("--volume",), "The volume, 0 to 4; saved files are not changed.", SOUND, "FACTOR", float),
    ] = None
    prebuffer: Annotated[
        str | None, Option(("--prebuffer",), "Sound to buffer before playback starts (auto).", SOUND, "MS|auto")
    ] = None
    no_play: Annotated[bool, Option(("--no-play",), "Do not play; only save.", SOUND, kind=bool)] = False
    save: Annotated[
        str | None,
        Option(
            ("--save", "-o"),
            "Save while playing, in the format of the suffix; '-' writes WAV to standard output.",
            OUTPUT,
            "FILE",
        ),
    ] = None
    show: Annotated[bool, Option(("--show",), "Print the text as it is heard.", OUTPUT, kind=bool)] = False
    subtitles: Annotated[str | None, Option(("--subtitles",), "Write subtitles, as .srt or .vtt.", OUTPUT, "FILE")] = (
        None
    )
    json: Annotated[bool, Option(("--json",), "Print the outcome as one JSON object.", OUTPUT, kind=bool)] = False
    debug: Annotated[
        bool, Option(("--debug",), "Print a latency report and tracebacks to standard error.", OUTPUT, kind=bool)
    ] = False
    quiet: Annotated[bool, Option(("--quiet", "-q"), "Print only errors.", OUTPUT, kind=bool)] = False

    def check(self) -> None:
        """Check each value, and combinations of options.

        Raises:
            UsageError: a value or a combination is invalid.

        """
        for name, key in (*keys_of(Profile).items(), *keys_of(Defaults).items()):
            value = getattr(self, name, None)
            wrong = key.check(value) if value is not None and key.check else None
            if wrong:
                raise UsageError(f"invalid --{name.replace('_', '-')} {value!r}: it {wrong}")
        if self.save == "-" and self.json:
            raise UsageError("-o - and --json both write to standard output", hint="save to a file, or omit --json")
        if self.show and (self.json or self.save == "-"):
            raise UsageError("--show, --json and -o - all write to standard output", hint="use one of them")
        if self.subtitles is not None and not self.subtitles.lower().endswith((".srt", ".vtt")):
            raise UsageError(f"cannot write subtitles to {self.subtitles}", hint="name a .srt or .vtt file")
        if self.text and self.file is not None:
            raise UsageError("a text and --file were given", hint="use one of them")


def options() -> dict[str, Option]:
    """Return the options of `SayOptions` by name, in order, without `text`."""
    annotations = SayOptions.__annotations__.items()
    return {name: annotation.__metadata__[0] for name, annotation in annotations if name != "text"}
