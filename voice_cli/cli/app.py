"""The typer commands: help, completion and usage errors.

`voice say` is built from the fields of `options.SayOptions`.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from voice_cli import __version__
from voice_cli.audio import CODECS
from voice_cli.backends import LOCAL
from voice_cli.cli.options import EXAMPLES, SUMMARY, Option, SayOptions, options

_EXAMPLES = "\n\n".join(["[bold]Examples[/bold]", *(f"  {line}  [dim]{what}[/dim]" for line, what in EXAMPLES)])

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
        result = app(args=list(arguments), prog_name="voice", standalone_mode=True)
    except SystemExit as exc:
        code = exc.code
        return code if isinstance(code, int) else 0 if code is None else 1
    return int(result or 0)


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
        *option.flags,
        help=option.help,
        metavar=option.metavar,
        rich_help_panel=option.panel,
        show_default=False,
        autocompletion=completion,
    )
    kind: Any = bool if option.kind is bool else option.kind | None
    default = False if option.kind is bool else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _say(**values: Any) -> None:
    from voice_cli.cli.say import say

    values["text"] = tuple(values["text"] or ())
    raise typer.Exit(say(SayOptions(**values)))


_text = inspect.Parameter(
    "text",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        list[str] | None,
        typer.Argument(help="The text; '-', or no text and a pipe: standard input.", show_default=False),
    ],
)
_parameters = [_text, *(_parameter(name, option) for name, option in options().items())]
_say.__signature__ = inspect.Signature(_parameters)  # type: ignore[attr-defined]
_say.__annotations__ = {parameter.name: parameter.annotation for parameter in _parameters}
app.command("say", help=SUMMARY, epilog=_EXAMPLES)(_say)


@app.command("voices")
def voices(
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="Ask this profile's server.", autocompletion=_complete_profile),
    ] = None,
    backend: Annotated[str | None, typer.Option("--backend", help="Ask this backend.")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help="Ask this server.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """List the backend's voices."""
    from voice_cli.cli.listings import list_voices

    flags = {"profile": profile, "backend": backend, "base_url": base_url}
    raise typer.Exit(list_voices(flags, as_json=json, debug=debug))


@app.command("devices")
def devices(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """List the output devices."""
    from voice_cli.cli.listings import list_devices

    raise typer.Exit(list_devices(as_json=json, debug=debug))


@app.command("engines")
def engines(
    test: Annotated[bool, typer.Option("--test", help="Time a sentence with each engine that is ready.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """List the engines that run in this process, and what they lack."""
    from voice_cli.cli.engines import list_engines

    raise typer.Exit(list_engines(test=test, as_json=json, debug=debug))


@app.command("serve")
def serve(
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="Serve this profile's engine.", autocompletion=_complete_profile),
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="|".join(LOCAL), help="The engine (espeak).")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The engine's model.")] = None,
    voices: Annotated[
        str | None,
        typer.Option("--voices", metavar="DIR", help="The folder of voices, for engines whose voices are files."),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Listen on this address (127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Listen on this port; 0: any free one (8880).")] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="NAME", help="Require the key that this variable holds.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept other machines without a key.")] = False,
    cors: Annotated[
        str | None, typer.Option("--cors", metavar="ORIGINS", help="Accept pages from these origins; '*': from any.")
    ] = None,
    max_streams: Annotated[
        int | None, typer.Option("--max-streams", help="Accept at most so many streams at once (128).")
    ] = None,
    max_text: Annotated[
        int | None, typer.Option("--max-text", help="Accept at most so many characters (20000).")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Run several engines, on Ray Serve.")] = False,
    replicas: Annotated[
        int | None, typer.Option("--replicas", help="The number of engines with --ray (as needed).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors, and no access log.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Serve streaming speech by HTTP and WebSocket: OpenAI's API and others."""
    from voice_cli.cli.serve import serve

    flags = {
        "profile": profile,
        "engine": engine,
        "model": model,
        "voices": voices,
        "host": host,
        "port": port,
        "api_key_env": api_key_env,
        "cors": cors,
        "max_streams": max_streams,
        "max_text": max_text,
        "replicas": replicas,
    }
    raise typer.Exit(serve(flags, ray=ray, insecure=insecure, quiet=quiet, debug=debug))


config_app = typer.Typer(no_args_is_help=True, help="Show and create the config file.")
app.add_typer(config_app, name="config")


@config_app.command("path")
def config_path() -> None:
    """Print the path of the config file."""
    from voice_cli.config import config_path as path

    print(path())  # noqa: T201


@config_app.command("show")
def config_show(
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="Use this profile.", autocompletion=_complete_profile),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Print the current settings and the origin of each. API keys are not shown."""
    from voice_cli.cli.config_commands import show

    raise typer.Exit(show(profile, as_json=json, debug=debug))


@config_app.command("init")
def config_init(
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Write a config file with every key in it, commented out."""
    from voice_cli.cli.config_commands import init

    raise typer.Exit(init(force=force, debug=debug))


def _bench(
    text: Annotated[list[str] | None, typer.Argument(help="The text; '-': standard input.", show_default=False)] = None,
    *,
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, help="Runs of each target.")] = 5,
    every_profile: Annotated[bool, typer.Option("--all", help="Measure every profile.")] = False,
    formats: Annotated[
        str | None,
        typer.Option("--format", metavar=f"{'|'.join(CODECS)}[,…]", help="Request these formats."),
    ] = None,
    warm: Annotated[
        bool,
        typer.Option(
            "--warm", help="Keep process, connection and sound library; otherwise, each run is a new process."
        ),
    ] = False,
    no_play: Annotated[bool, typer.Option("--no-play", help="Do not play; TTFA is then not measured.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every run.")] = False,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Write a page with waterfalls and buffer curves.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
    **flags: Any,
) -> None:
    from voice_cli.cli.bench import BenchOptions, bench

    flags["no_play"] = no_play
    options = BenchOptions(tuple(text or ()), flags, formats, runs, every_profile, warm, json, html, debug)
    raise typer.Exit(bench(options))


_BENCH_TAKES = (
    *("profile", "backend", "base_url", "model", "voice", "speed", "instructions"),
    *("timeout", "device", "volume", "prebuffer"),
)
_own = [p for p in inspect.signature(_bench).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
_shared = [_parameter(name, option) for name, option in options().items() if name in _BENCH_TAKES]
_bench.__signature__ = inspect.Signature([*_own, *_shared])  # type: ignore[attr-defined]
_bench.__annotations__ = {parameter.name: parameter.annotation for parameter in (*_own, *_shared)}
app.command("bench", help="Measure backends, formats and devices.")(_bench)
