"""The options of `voice say`, defined once.

Two readers use this definition: `quick.parse`, which reads the common forms in no time so that the request leaves at
once, and the typer command (`app.py`), which has the help, the completion and the complaints. Neither has a list of
its own, so they cannot drift apart; and what the quick reader does not know, typer gets.
"""

from typing import Annotated, NamedTuple

from voice_cli.audio import CODECS
from voice_cli.backends import BACKENDS
from voice_cli.config import Defaults, Profile, keys_of
from voice_cli.errors import UsageError

SPEECH, TEXT, SOUND, OUTPUT = "Speech", "Text", "Sound", "Output"


SUMMARY = "Say a text out loud, as it arrives."

EXAMPLES = (
    ('voice say "Hello there"', "the embedded voice: no key, no network"),
    ('echo "Done." | voice say', "from a pipe; an llm's words are said as they come"),
    ("voice say -f notes.txt -o notes.mp3 --no-play", "to a file"),
    ('voice say "Hi" --base-url http://localhost:8880/v1 -m kokoro', "an OpenAI-compatible server"),
    ('voice say "Hi" -o - --no-play | aplay', "WAV to another program"),
    ('voice say "Hi" --debug', "where the time goes"),
)
"""Command lines, and what each is."""


class Option(NamedTuple):
    """How one option is written on the command line, and what its help says."""

    flags: tuple[str, ...]
    help: str
    panel: str
    """The heading in the help under which it stands."""
    metavar: str | None = None
    kind: type = str
    """str, float, int, or bool for a flag without a value."""


class SayOptions(NamedTuple):
    """What the command line says; None where it says nothing, so that the config file and the environment can."""

    text: tuple[str, ...] = ()
    file: Annotated[str | None, Option(("--file", "-f"), "Read the text from a file.", SPEECH, "FILE")] = None
    profile: Annotated[
        str | None, Option(("--profile", "-p"), "Use this profile of the config file.", SPEECH, "NAME")
    ] = None
    backend: Annotated[
        str | None, Option(("--backend",), "Who speaks. Without a key or server: espeak.", SPEECH, "|".join(BACKENDS))
    ] = None
    base_url: Annotated[
        str | None,
        Option(("--base-url",), "The server: up to and with /v1, or its root for a -ws backend.", SPEECH, "URL"),
    ] = None
    model: Annotated[str | None, Option(("--model", "-m"), "The server's model.", SPEECH, "NAME")] = None
    voice: Annotated[str | None, Option(("--voice", "-v"), "The voice; see 'voice voices'.", SPEECH, "NAME")] = None
    speed: Annotated[float | None, Option(("--speed",), "How fast to speak, 0.25 to 4.", SPEECH, "FACTOR", float)] = (
        None
    )
    instructions: Annotated[
        str | None, Option(("--instructions",), "How to speak, for models that take directions.", SPEECH, "TEXT")
    ] = None
    format: Annotated[
        str | None,
        Option(
            ("--format",),
            "What to ask the server for. Nothing starts sooner than pcm, the default.",
            SPEECH,
            "|".join(CODECS),
        ),
    ] = None
    timeout: Annotated[
        float | None, Option(("--timeout",), "Give a silent server up after so long (60).", SPEECH, "SECONDS", float)
    ] = None
    markdown: Annotated[
        str | None, Option(("--markdown",), "Read the text as Markdown (auto).", TEXT, "auto|on|off")
    ] = None
    dialogue: Annotated[
        bool, Option(("--dialogue",), "Give each 'NAME: text' the voice of the profile's speakers.", TEXT, kind=bool)
    ] = False
    flush_after: Annotated[
        float | None,
        Option(("--flush-after",), "Say what there is when no text came for so long (0.6).", TEXT, "SECONDS", float),
    ] = None
    lookahead: Annotated[int | None, Option(("--lookahead",), "Utterances to ask for ahead (1).", TEXT, "N", int)] = (
        None
    )
    pause: Annotated[
        float | None, Option(("--pause",), "Silence between two sentences (0.3).", TEXT, "SECONDS", float)
    ] = None
    device: Annotated[
        str | None, Option(("--device", "-d"), "The output device; see 'voice devices'.", SOUND, "NAME|INDEX")
    ] = None
    volume: Annotated[
        float | None,
        Option(("--volume",), "How loud to play, 0 to 4; a saved file keeps its own.", SOUND, "FACTOR", float),
    ] = None
    prebuffer: Annotated[
        str | None, Option(("--prebuffer",), "Sound to gather before it starts (auto).", SOUND, "MS|auto")
    ] = None
    no_play: Annotated[bool, Option(("--no-play",), "Do not play; only save.", SOUND, kind=bool)] = False
    save: Annotated[
        str | None,
        Option(
            ("--save", "-o"),
            "Save while it plays, in the format of the suffix; '-' writes WAV to standard output.",
            OUTPUT,
            "FILE",
        ),
    ] = None
    show: Annotated[bool, Option(("--show",), "Print the text as it is heard.", OUTPUT, kind=bool)] = False
    subtitles: Annotated[
        str | None, Option(("--subtitles",), "Write what is said when, as .srt or .vtt.", OUTPUT, "FILE")
    ] = None
    json: Annotated[bool, Option(("--json",), "Print one JSON object on the outcome.", OUTPUT, kind=bool)] = False
    debug: Annotated[
        bool, Option(("--debug",), "Print a latency report, and tracebacks, to stderr.", OUTPUT, kind=bool)
    ] = False
    quiet: Annotated[bool, Option(("--quiet", "-q"), "Print nothing but errors.", OUTPUT, kind=bool)] = False

    def check(self) -> None:
        """See that each value is one that can be, and that they go together.

        Raises:
            UsageError: names the option and what it takes.

        """
        for name, key in (*keys_of(Profile).items(), *keys_of(Defaults).items()):
            value = getattr(self, name, None)
            wrong = key.check(value) if value is not None and key.check else None
            if wrong:
                raise UsageError(f"--{name.replace('_', '-')} {wrong}; it is {value!r}")
        if self.save == "-" and self.json:
            raise UsageError("-o - and --json both want standard output", hint="save to a file, or leave --json out")
        if self.show and (self.json or self.save == "-"):
            raise UsageError("--show wants standard output for itself", hint="leave --json or -o - out")
        if self.subtitles is not None and not self.subtitles.lower().endswith((".srt", ".vtt")):
            raise UsageError(f"{self.subtitles}: subtitles are .srt or .vtt")
        if self.text and self.file is not None:
            raise UsageError("there is a text and a --file", hint="give one of them")


def options() -> dict[str, Option]:
    """Give the options of `SayOptions` by name, in their order; `text` is none."""
    annotations = SayOptions.__annotations__.items()
    return {name: annotation.__metadata__[0] for name, annotation in annotations if name != "text"}
