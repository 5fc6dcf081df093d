"""The commands, each with its options and its argument."""

import inspect

import typer

from voice_cli.audio import CODECS
from voice_cli.backends import LOCAL
from voice_cli.cli import play_options
from voice_cli.cli.app import add, app, argument_of
from voice_cli.cli.options import SUMMARY, Option, options

__all__ = ["app"]


def _text(help: str) -> inspect.Parameter:  # noqa: A002
    return argument_of("text", list[str] | None, help)


_FACTOR = argument_of("factor", float, "The factor, 0 to 4.")
_DEBUG = Option("Print tracebacks.", kind=bool)
_LISTING = {"as_json": Option("Print JSON.", kind=bool, long="--json"), "debug": _DEBUG}

_SERVE = {
    "profile": Option("Serve this profile's engine.", short="-p"),
    "engine": Option("The engine (espeak).", metavar="|".join(LOCAL)),
    "model": Option("The engine's model.", short="-m"),
    "voices": Option("The folder of voices, for engines whose voices are files.", metavar="DIR"),
    "host": Option("Listen on this address (127.0.0.1)."),
    "port": Option("Listen on this port; 0: any free one (8880).", kind=int),
    "api_key_env": Option("Require the key that this variable holds.", metavar="NAME"),
    "insecure": Option("Accept other machines without a key.", kind=bool),
    "cors": Option("Accept pages from these origins; '*': from any.", metavar="ORIGINS"),
    "max_streams": Option("Accept at most so many streams at once (128).", kind=int),
    "max_text": Option("Accept at most so many characters (20000).", kind=int),
    "ray": Option("Run several engines, on Ray Serve.", kind=bool),
    "replicas": Option("The number of engines with --ray (as needed).", kind=int),
    "quiet": Option("Print only errors, and no access log.", kind=bool, short="-q"),
    "debug": _DEBUG,
}

_BENCH = {
    "runs": Option("Runs of each target (5).", kind=int, short="-n"),
    "every_profile": Option("Measure every profile.", kind=bool, long="--all"),
    "formats": Option(f"Request these formats: {', '.join(CODECS)}.", metavar="FORMAT[,…]", long="--format"),
    "warm": Option("Keep process, connection and sound library; otherwise, each run is a new process.", kind=bool),
    "no_play": Option("Do not play; TTFA is then not measured.", kind=bool),
    "as_json": Option("Print one JSON object with every run.", kind=bool, long="--json"),
    "html": Option("Write a page with waterfalls and buffer curves.", metavar="FILE"),
    "debug": _DEBUG,
}
_BENCH_SHARED = (
    *("profile", "backend", "base_url", "model", "voice", "speed", "instructions"),
    *("timeout", "device", "volume", "prebuffer", "smooth"),
)

add(
    app,
    "say",
    SUMMARY,
    "say.say_values",
    options(),
    argument=_text("The text; '-', or no text and a pipe: standard input."),
    passes_debug=True,
)
add(
    app,
    "play",
    "Play files, URLs or a pipe: WAV, MP3, Ogg Opus, FLAC, AAC, µ-law, raw samples.",
    "play.play_values",
    play_options.options(),
    argument=argument_of("files", list[str], "Files or URLs; '-': standard input."),
    passes_debug=True,
)
_voices = typer.Typer()
app.add_typer(_voices, name="voices")
add(
    _voices,
    "voices",
    "List voices: the backend's, or all that are installed. Get, remove, play and choose one.",
    "voices.list_voices",
    {
        "every": Option("List the voices that can be downloaded.", kind=bool, long="--all"),
        "language": Option("Only those of this language, such as de or en-GB.", metavar="TAG"),
        "profile": Option("Ask this profile's server.", short="-p"),
        "backend": Option("Ask this backend."),
        "base_url": Option("Ask this server."),
        **_LISTING,
    },
    is_group=True,
)
_VOICE = argument_of("voice", str, "The name: en_US-joe-medium, or joe for short.")
add(
    _voices,
    "get",
    "Download a voice, or continue its download.",
    "voices.get",
    {
        "name": Option("The name that it gets (from its file)."),
        "sha256": Option("The SHA-256 of the file.", metavar="HEX"),
        "debug": _DEBUG,
    },
    argument=argument_of("voice", str, "A name of 'voice voices --all', a URL, or a file."),
)
add(_voices, "remove", "Delete a downloaded voice.", "voices.remove_voice", {"debug": _DEBUG}, argument=_VOICE)
add(
    _voices,
    "play",
    "Speak a sample; of a Piper voice that is not installed, play its project's.",
    "voices.play",
    {"text": Option("The text (a sentence in its language)."), "debug": _DEBUG},
    argument=_VOICE,
)
add(_voices, "use", "Make a voice the default, in the config file.", "voices.use", {"debug": _DEBUG}, argument=_VOICE)
_profiles = typer.Typer()
app.add_typer(_profiles, name="profiles")
add(
    _profiles,
    "profiles",
    "List the profiles of the config file and those that are built in.",
    "profiles.list_profiles",
    _LISTING,
    is_group=True,
)
add(
    _profiles,
    "show",
    "Print a profile as TOML, to copy into the config file.",
    "profiles.show",
    {"debug": _DEBUG},
    argument=argument_of("name", str, "The profile."),
)
add(
    app,
    "doctor",
    "Check what speech depends on, and print what to do about what is wrong.",
    "doctor.doctor",
    {
        "profile": Option("Check only this profile's server or engine.", short="-p"),
        "tone": Option("Play a short tone.", kind=bool),
        "speak": Option("Also ask servers to speak that may cost money.", kind=bool),
        "timeout": Option("Wait so long for a server (5).", kind=float, metavar="SECONDS"),
        **_LISTING,
    },
    passes_debug=True,
)
add(app, "devices", "List the output devices.", "listings.list_devices", _LISTING)
add(
    app,
    "engines",
    "List the engines that run in this process, and what they lack.",
    "engines.list_engines",
    {"test": Option("Time a sentence with each engine that is ready.", kind=bool), **_LISTING},
    passes_debug=True,
)
add(
    app,
    "serve",
    "Serve streaming speech by HTTP and WebSocket: OpenAI's API and others.",
    "serve.serve",
    _SERVE,
    passes_debug=True,
)

_agent = typer.Typer(no_args_is_help=True, help="Start, stop and show the agent, which speaks for `voice say`.")
app.add_typer(_agent, name="agent")
for _to, _name, _summary, _function, _options in (
    (_agent, "start", "Start the agent in the background, if none runs.", "agent_commands.start", {"debug": _DEBUG}),
    (_agent, "run", "Run the agent in the foreground.", "agent_process.run", {"debug": _DEBUG}),
    (
        _agent,
        "stop",
        "End the agent when its speeches have ended.",
        "agent_commands.stop",
        {"now": Option("Stop its speeches.", kind=bool), "debug": _DEBUG},
    ),
    (_agent, "status", "Print what the agent does.", "agent_commands.status", _LISTING),
    (_agent, "socket", "Print the path of the agent's socket.", "agent_commands.print_socket", {}),
    (_agent, "log", "Print the agent's log.", "agent_commands.log", {"debug": _DEBUG}),
    (_agent, "install", "Install it as a service of the user.", "agent_commands.install", {"debug": _DEBUG}),
    (_agent, "uninstall", "Remove the service.", "agent_commands.uninstall", {"debug": _DEBUG}),
    (
        app,
        "stop",
        "Stop the speech that is spoken.",
        "agent_control.stop",
        {
            "all_": Option("Also those that wait.", kind=bool, long="--all"),
            "number": Option("Only the speech with this id.", metavar="ID", kind=int, long="--id"),
            **_LISTING,
        },
    ),
    (app, "pause", "Pause the speech that is spoken.", "agent_control.pause", {"debug": _DEBUG}),
    (app, "resume", "Continue the speech that was paused.", "agent_control.resume", {"debug": _DEBUG}),
    (app, "status", "Print what the agent does.", "agent_commands.status", _LISTING),
    (app, "queue", "List the speeches that are spoken or wait.", "agent_control.queue", _LISTING),
):
    add(_to, _name, _summary, _function, _options)

_COUNT = argument_of("count", int | None, "How many sentences (1).")
for _name, _summary, _number in (
    ("skip", "Skip to the next sentence.", _COUNT),
    ("back", "Go back to the start of the sentence.", _COUNT),
    ("volume", "Set the volume of the speech that is spoken.", _FACTOR),
    ("speed", "Set the speed of the speech that is spoken.", _FACTOR),
):
    add(app, _name, _summary, f"agent_control.{_name}", {"debug": _DEBUG}, argument=_number)

add(app, "history", "List the last speeches.", "history_commands.history", _LISTING)
add(
    app,
    "replay",
    "Speak one of the last speeches again.",
    "history_commands.replay",
    {"debug": _DEBUG},
    argument=argument_of("which", str | None, "Its number in 'voice history', 1 is the last; or its id."),
)

_cache = typer.Typer(
    no_args_is_help=True,
    help="Show and delete the speech that is kept: of utterances, to be played again at once, and of books.",
)
app.add_typer(_cache, name="cache")
add(_cache, "info", "Print where speech is kept, and how much.", "cache_commands.info", _LISTING)
add(_cache, "clear", "Delete all speech that is kept.", "cache_commands.clear", _LISTING)

_config = typer.Typer(no_args_is_help=True, help="Show and create the config file.")
app.add_typer(_config, name="config")
add(_config, "path", "Print the path of the config file.", "config_commands.print_path", {})
add(
    _config,
    "show",
    "Print the current settings and the origin of each. API keys are not shown.",
    "config_commands.show",
    {"profile": Option("Use this profile.", short="-p"), **_LISTING},
)
add(
    _config,
    "init",
    "Write a config file with every key in it, commented out.",
    "config_commands.init",
    {"force": Option("Replace an existing file.", kind=bool), "debug": _DEBUG},
)
add(
    app,
    "bench",
    "Measure backends, formats and devices.",
    "bench.bench",
    {**_BENCH, **{name: option for name, option in options().items() if name in _BENCH_SHARED}},
    argument=_text("The text; '-': standard input."),
)

_BOOK = {
    "output": Option("The audio book (.m4b), or a folder for a file a chapter.", metavar="FILE|DIR", short="-o"),
    "listing": Option("Print the chapters, and make nothing.", kind=bool, long="--list"),
    "as_json": Option("Print JSON.", kind=bool, long="--json"),
    "quiet": Option("Print only errors.", kind=bool, short="-q"),
    "debug": _DEBUG,
}
_BOOK_SHARED = (
    *("profile", "backend", "base_url", "model", "voice", "speed", "instructions", "format"),
    *("timeout", "lookahead", "pause"),
)
add(
    app,
    "book",
    "Make an audio book with chapters. A run that was stopped continues.",
    "book.book",
    {**_BOOK, **{name: option for name, option in options().items() if name in _BOOK_SHARED}},
    argument=argument_of("source", str, "An EPUB, HTML, Markdown, text or PDF file."),
    passes_debug=True,
)

_DEBUGGED = {"debug": _DEBUG}
_EVERY = {"every": Option("All sessions, also new ones.", kind=bool, long="--all"), **_DEBUGGED}
_PROGRAMS = "The programs: claude-code, codex, gemini."
_SESSION = "The beginning of a session's id."
_hooks = typer.Typer(no_args_is_help=True, help="Install hooks with which coding assistants speak.")
app.add_typer(_hooks, name="hooks")
add(_hooks, "list", "List where hooks are installed, and the sessions.", "hooks.show", _LISTING)
for _name, _summary, _options, _help in (
    ("install", "Add hooks to the settings of programs.", _DEBUGGED, _PROGRAMS),
    ("uninstall", "Remove the hooks.", _DEBUGGED, _PROGRAMS),
    ("mute", "Mute sessions.", _EVERY, _SESSION),
    ("unmute", "Unmute sessions.", _EVERY, _SESSION),
    ("voice", "Set the voice of a session.", _DEBUGGED, f"{_SESSION} Then the voice."),
):
    add(_hooks, _name, _summary, f"hooks.{_name}", _options, argument=_text(_help))
add(app, "mcp", "Serve tools to speak to an assistant, with the Model Context Protocol.", "mcp.serve", _DEBUGGED)

_completion = typer.Typer(no_args_is_help=True, help="Complete commands, options and values in shells.")
app.add_typer(_completion, name="completion")
_SHELL = argument_of("shell", str | None, "bash, zsh, fish or powershell (the one that you use).")
add(
    _completion,
    "install",
    "Install the completion for a shell.",
    "completion_scripts.install",
    _DEBUGGED,
    argument=_SHELL,
)
add(_completion, "show", "Print a shell's script.", "completion_scripts.show", _DEBUGGED, argument=_SHELL)
