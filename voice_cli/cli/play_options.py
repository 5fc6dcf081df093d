"""The options of `voice play`."""

from voice_cli.cli.options import Option
from voice_cli.cli.options import options as say_options

OWN = {
    "raw": Option("The samples have no header and are of this type: s16le, f32le, mulaw, …", metavar="TYPE"),
    "rate": Option("The rate of raw samples (24000; 8000 of mulaw and alaw).", kind=int, metavar="HZ"),
    "channels": Option("The channels of raw samples (1).", kind=int, metavar="N"),
    "show": Option("Print the subtitles beside the file (.srt, .vtt) as it is heard.", kind=bool),
}

SHARED = (
    *("speed", "device", "volume", "normalize", "prebuffer", "wake", "timeout"),
    *("queue", "interrupt", "if_idle", "priority", "json", "debug", "quiet"),
)
"""The options of `voice say` that it has too."""

EXAMPLES = (
    ("voice play talk.mp3 outro.wav", "without a gap between them"),
    ("voice play talk.wav --show", "with the subtitles of talk.srt or talk.vtt"),
    ("voice play https://example.org/talk.opus", "while it arrives"),
    ("voice say Hi -o - --no-play | voice play -", "from a pipe"),
    ("voice play samples.bin --raw s16le --rate 16000", "samples without a header"),
)
"""Command lines, each with a description."""


def options() -> dict[str, Option]:
    """Return the options by name, in order."""
    return {**OWN, **{name: option for name, option in say_options().items() if name in SHARED}}
