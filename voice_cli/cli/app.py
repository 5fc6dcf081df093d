"""The command line of typer: help and usage errors.

Each command is built from `Option`s (`cli.declarations`). The module that runs it is imported when it is called.
"""

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from voice_cli import __version__
from voice_cli.cli.options import Option

app = typer.Typer(
    name="voice",
    help="The shortest way from text to sound in a terminal.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    add_completion=False,
)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    from voice_cli.cli.commands import tree

    try:
        return int(tree()(args=list(arguments), prog_name="voice", standalone_mode=False) or 0)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except Exception as exc:  # of click, or of the copy of it in typer
        if not hasattr(exc, "format_message"):
            raise
        from voice_cli.cli.usage_errors import report_usage

        return report_usage(exc)


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


def _parameter(name: str, option: Option) -> inspect.Parameter:
    info = typer.Option(
        *option.flags(name),
        help=option.help,
        metavar=option.metavar,
        rich_help_panel=option.panel,
        show_default=False,
    )
    kind: Any = bool if option.kind is bool else option.kind | None
    default = False if option.kind is bool else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def argument_of(name: str, kind: Any, help: str) -> inspect.Parameter:  # noqa: A002
    """Return an argument; it may be omitted if None is of its kind."""
    default = None if kind == kind | None else inspect.Parameter.empty
    annotation = Annotated[kind, typer.Argument(help=help, show_default=False)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def add(
    to: typer.Typer,
    name: str,
    summary: str,
    function: str,
    named: Mapping[str, Option],
    *,
    argument: inspect.Parameter | None = None,
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
        to.command(name, help=summary)(command)
