"""The two parsers: what the quick one accepts, typer parses to the same options."""

import contextlib
import io
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voice_cli.cli import app, quick, start
from voice_cli.cli.options import SayOptions, options
from voice_cli.errors import UsageError

FLAGS = [flag for name, option in options().items() for flag in option.flags(name)]
TAKES_VALUE = [flag for name, option in options().items() if option.kind is not bool for flag in option.flags(name)]
VALUES = st.one_of(
    st.sampled_from(["", "-", "--", "-1", "1", "1.5", " 2 ", "1_0", "nan", "inf", "1e3", "--json", "-q", "a=b", "="]),
    st.text("ab \té=-.1", max_size=5),
    st.text(max_size=5).filter(lambda text: "\0" not in text),
)
PIECES = st.one_of(
    st.tuples(st.sampled_from(FLAGS)),
    st.tuples(st.sampled_from(TAKES_VALUE), VALUES),
    st.builds(lambda flag, value: (f"{flag}={value}",), st.sampled_from(FLAGS), VALUES),
    st.builds(lambda flag, value: (f"{flag}{value}",), st.sampled_from(FLAGS), VALUES),
    st.tuples(VALUES),
    st.sampled_from([("--",), ("--help",), ("-h",), ("--nonsense",), ("-jq",), ("--vol", "1"), ("--no-json",)]),
)
LINES = st.lists(PIECES, max_size=6).map(lambda pieces: ["say", *(part for piece in pieces for part in piece)])


def by_typer(arguments):
    """Return the options that typer parses, or the exit code."""
    seen = []

    def say(given):
        seen.append(given)
        return 0

    out = io.StringIO()
    with (
        mock.patch("voice_cli.cli.say.say", say),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        code = app.run(arguments)
    return seen[0] if seen else code


@settings(max_examples=150)
@given(LINES)
@example(["say", "hello", "there", "-o", "-", "--speed=2", "-q"])
@example(["say", "--", "-q", "--json"])
@example(["say", "-", "--file", "-"])
@example(["say"])
def test_the_quick_parser_agrees_with_typer(arguments):
    quickly = quick.parse(arguments)
    slowly = by_typer(arguments)
    if quickly is not None:
        assert repr(quickly) == repr(slowly)
    else:
        assert isinstance(slowly, SayOptions) or slowly in (0, 2), "typer neither parses nor refuses it"


def test_the_quick_parser_knows_every_option():
    for name, option in options().items():
        value = {float: "1.5", int: "2"}.get(option.kind, "x")
        for flag in option.flags(name):
            words = [flag] if option.kind is bool else [flag, value]
            parsed = quick.parse(["say", "text", *words])
            assert parsed is not None, flag
            assert getattr(parsed, name) == (True if option.kind is bool else option.kind(value))
            assert by_typer(["say", "text", *words]) == parsed


@pytest.mark.parametrize(
    "arguments",
    [[], ["voices"], ["--help"], ["say", "--help"], ["say", "-h"], ["say", "--volum", "1"], ["say", "--speed", "x"],
     ["say", "-o"], ["say", "--json=1"], ["say", "-ofile"], ["say", "-o", "--json"]],
)  # fmt: skip
def test_the_quick_parser_leaves_the_rest_to_typer(arguments):
    assert quick.parse(arguments) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"speed": 5.0}, ("--speed", "0.25 to 4", "5.0")),
        ({"speed": float("nan")}, ("--speed",)),
        ({"volume": -1.0}, ("--volume", "0 to 4")),
        ({"timeout": 0.0}, ("--timeout",)),
        ({"format": "mp4"}, ("--format", "mp3")),
        ({"prebuffer": "soon"}, ("--prebuffer", "auto")),
        ({"save": "-", "json": True}, ("-o -", "--json")),
        ({"text": ("x",), "file": "y"}, ("--file",)),
    ],
)
def test_an_invalid_value_is_a_usage_error_that_names_the_option(given, words):
    with pytest.raises(UsageError) as caught:
        SayOptions(**given).check()
    assert all(word in caught.value.message for word in words)


def test_a_common_command_line_does_not_import_typer():
    with (
        mock.patch("voice_cli.cli.say.say", lambda given, **_: len(given.text)) as _,
        mock.patch("voice_cli.cli.app.run", side_effect=AssertionError("typer is imported")),
    ):
        assert start.start(["say", "a", "b", "-v", "nova"]) == 2
