"""The command line of typer: help, completion and usage errors.

Each command is built from `Option`s. The module that runs it is imported when it is called.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from voice_cli import __version__
from voice_cli.audio import CODECS
from voice_cli.backends import LOCAL
from voice_cli.cli.options import EXAMPLES, SUMMARY, Option, options

app = typer.Typer(
    name="voice",
    help="The shortest way from text to sound in a terminal.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        app(args=list(arguments), prog_name="voice")
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    return 0


def _version(value: bool) -> None:
    if value:
        print(f"voice {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Speak text."""


def _complete_profile(incomplete: str) -> list[str]:
    from voice_cli.config import load
    from voice_cli.errors import VoiceError

    try:
        return [name for name in load().profiles if name.startswith(incomplete)]
    except VoiceError:
        return []


def _complete_word(metavar: str) -> Callable[[str], list[str]]:
    words = metavar.split("|")
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _parameter(name: str, option: Option) -> inspect.Parameter:
    completion: Callable[[str], list[str]] | None = None
    if name == "profile":
        completion = _complete_profile
    elif option.metavar and "|" in option.metavar and option.metavar.islower():
        completion = _complete_word(option.metavar)
    info = typer.Option(
        *option.flags(name),
        help=option.help,
        metavar=option.metavar,
        rich_help_panel=option.panel,
        show_default=False,
        autocompletion=completion,
    )
    kind: Any = bool if option.kind is bool else option.kind | None
    default = False if option.kind is bool else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _argument(
    name: str,
    kind: Any,
    help: str,  # noqa: A002
    completion: Callable[[str], list[str]] | None = None,
) -> inspect.Parameter:
    """Return an argument; it may be omitted if None is of its kind."""
    default = None if kind == kind | None else inspect.Parameter.empty
    annotation = Annotated[kind, typer.Argument(help=help, show_default=False, autocompletion=completion)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _text(help: str) -> inspect.Parameter:  # noqa: A002
    return _argument("text", list[str] | None, help)


_FACTOR = _argument("factor", float, "The factor, 0 to 4.")


def _add(
    to: typer.Typer,
    name: str,
    summary: str,
    function: str,
    named: Mapping[str, Option],
    *,
    argument: inspect.Parameter | None = None,
    epilog: str | None = None,
    passes_debug: bool = False,
    is_group: bool = False,
) -> None:
    """Add a command that calls a function with the values of its options by name, and reports its errors.

    `function`: MODULE.NAME in `voice_cli.cli`, imported when called. It may return an exit code.
    `argument`: its argument, besides the options. `passes_debug`: the function needs the value of --debug too.
    `is_group`: it is what `to` itself does without a command.
    """

    def command(**values: Any) -> None:
        context = values.pop("context", None)
        if context is not None and context.invoked_subcommand is not None:
            return
        debug = bool(values.get("debug"))
        if not passes_debug:
            values.pop("debug", None)
        module, _, attribute = function.partition(".")
        try:
            code = getattr(import_module(f"voice_cli.cli.{module}"), attribute)(**values) or 0
        except Exception as exc:
            from voice_cli.cli.console import report_error

            code = report_error(exc, debug=debug)
        raise typer.Exit(code)

    parameters = [_parameter(key, option) for key, option in named.items()]
    if argument is not None:
        parameters.insert(0, argument)
    if is_group:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.insert(0, inspect.Parameter("context", kind, annotation=typer.Context))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    if is_group:
        to.callback(invoke_without_command=True, help=summary)(command)
    else:
        to.command(name, help=summary, epilog=epilog)(command)


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

_add(
    app,
    "say",
    SUMMARY,
    "say.say_values",
    options(),
    argument=_text("The text; '-', or no text and a pipe: standard input."),
    passes_debug=True,
    epilog="\n\n".join(["[bold]Examples[/bold]", *(f"  {line}  [dim]{what}[/dim]" for line, what in EXAMPLES)]),
)
_voices = typer.Typer()
app.add_typer(_voices, name="voices")
_add(
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


def _complete_voice(incomplete: str) -> list[str]:
    from voice_cli.errors import VoiceError
    from voice_cli.voices.catalogue import catalogue

    try:
        return [name for name in catalogue() if name.startswith(incomplete)]
    except VoiceError:
        return []


_VOICE = _argument("voice", str, "The name: en_US-joe-medium, or joe for short.", _complete_voice)
_add(
    _voices,
    "get",
    "Download a voice, or continue its download.",
    "voices.get",
    {
        "name": Option("The name that it gets (from its file)."),
        "sha256": Option("The SHA-256 of the file.", metavar="HEX"),
        "debug": _DEBUG,
    },
    argument=_argument("voice", str, "A name of 'voice voices --all', a URL, or a file.", _complete_voice),
)
_add(_voices, "remove", "Delete a downloaded voice.", "voices.remove_voice", {"debug": _DEBUG}, argument=_VOICE)
_add(
    _voices,
    "play",
    "Speak a sample; of a Piper voice that is not installed, play its project's.",
    "voices.play",
    {"text": Option("The text (a sentence in its language)."), "debug": _DEBUG},
    argument=_VOICE,
)
_add(_voices, "use", "Make a voice the default, in the config file.", "voices.use", {"debug": _DEBUG}, argument=_VOICE)
_add(app, "devices", "List the output devices.", "listings.list_devices", _LISTING)
_add(
    app,
    "engines",
    "List the engines that run in this process, and what they lack.",
    "engines.list_engines",
    {"test": Option("Time a sentence with each engine that is ready.", kind=bool), **_LISTING},
    passes_debug=True,
)
_add(
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
    _add(_to, _name, _summary, _function, _options)

_COUNT = _argument("count", int | None, "How many sentences (1).")
for _name, _summary, _number in (
    ("skip", "Skip to the next sentence.", _COUNT),
    ("back", "Go back to the start of the sentence.", _COUNT),
    ("volume", "Set the volume of the speech that is spoken.", _FACTOR),
    ("speed", "Set the speed of the speech that is spoken.", _FACTOR),
):
    _add(app, _name, _summary, f"agent_control.{_name}", {"debug": _DEBUG}, argument=_number)

_add(
    app,
    "history",
    "List the last speeches.",
    "history_commands.history",
    _LISTING,
    epilog="[bold]Example[/bold]\n\n  voice history",
)
_add(
    app,
    "replay",
    "Speak one of the last speeches again.",
    "history_commands.replay",
    {"debug": _DEBUG},
    argument=_argument("which", str | None, "Its number in 'voice history', 1 is the last; or its id."),
    epilog="[bold]Example[/bold]\n\n  voice replay 2",
)

_cache = typer.Typer(no_args_is_help=True, help="Show and delete the speech that is kept, to be played again at once.")
app.add_typer(_cache, name="cache")
for _name, _summary, _does in (
    ("info", "Print where the cache is, and how large it is.", "voice cache info --json"),
    ("clear", "Delete all speech that is kept.", "voice cache clear"),
):
    _add(_cache, _name, _summary, f"cache_commands.{_name}", _LISTING, epilog=f"[bold]Example[/bold]\n\n  {_does}")

_config = typer.Typer(no_args_is_help=True, help="Show and create the config file.")
app.add_typer(_config, name="config")
_add(_config, "path", "Print the path of the config file.", "config_commands.print_path", {})
_add(
    _config,
    "show",
    "Print the current settings and the origin of each. API keys are not shown.",
    "config_commands.show",
    {"profile": Option("Use this profile.", short="-p"), **_LISTING},
)
_add(
    _config,
    "init",
    "Write a config file with every key in it, commented out.",
    "config_commands.init",
    {"force": Option("Replace an existing file.", kind=bool), "debug": _DEBUG},
)
_add(
    app,
    "bench",
    "Measure backends, formats and devices.",
    "bench.bench",
    {**_BENCH, **{name: option for name, option in options().items() if name in _BENCH_SHARED}},
    argument=_text("The text; '-': standard input."),
)

_DEBUGGED = {"debug": _DEBUG}
_EVERY = {"every": Option("All sessions, also new ones.", kind=bool, long="--all"), **_DEBUGGED}
_PROGRAMS = "The programs: claude-code, codex, gemini."
_SESSION = "The beginning of a session's id."
_hooks = typer.Typer(no_args_is_help=True, help="Install hooks with which coding assistants speak.")
app.add_typer(_hooks, name="hooks")
_add(_hooks, "list", "List where hooks are installed, and the sessions.", "hooks.show", _LISTING)
for _name, _summary, _options, _help in (
    ("install", "Add hooks to the settings of programs.", _DEBUGGED, _PROGRAMS),
    ("uninstall", "Remove the hooks.", _DEBUGGED, _PROGRAMS),
    ("mute", "Mute sessions.", _EVERY, _SESSION),
    ("unmute", "Unmute sessions.", _EVERY, _SESSION),
    ("voice", "Set the voice of a session.", _DEBUGGED, f"{_SESSION} Then the voice."),
):
    _add(_hooks, _name, _summary, f"hooks.{_name}", _options, argument=_text(_help))
_add(app, "mcp", "Serve tools to speak to an assistant, with the Model Context Protocol.", "mcp.serve", _DEBUGGED)
