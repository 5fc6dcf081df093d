"""The table of pronunciations."""

import pytest

from voice_cli.errors import ConfigError
from voice_cli.script.pronounce import Pronunciations


@pytest.mark.parametrize(
    ("table", "text", "said"),
    [
        ({"sql": "sequel"}, "SQL, sql and mysql", "sequel, sequel and mysql"),
        ({"SQL": "sequel"}, "SQL, sql", "sequel, sql"),
        ({"US": "you ess", "us": "uss"}, "US and us", "you ess and uss"),
        ({"C++": "see plus plus", ".NET": "dot net"}, "C++ or .NET, not C", "see plus plus or dot net, not C"),
        ({"New York": "NY", "new": "old"}, "New  York is new", "NY is old"),
        ({"a": "b", "b": "a"}, "a b", "b a"),
        ({r"/(\d+)\s*°C/": r"\1 degrees"}, "20 °C", "20 degrees"),
        ({"/SQL/i": "sequel"}, "mysql", "mysequel"),
        ({"/(?i)sql|(x)/": r"<\1>"}, "SQL x", "<> <x>"),
        ({"/a/": "b", "/b/": "c"}, "ab", "cc"),
        ({"nginx": r"engine \x"}, "nginx", r"engine \x"),
        ({"東京": "とうきょう"}, "東京 に", "とうきょう に"),
        ({}, "as it is", "as it is"),
    ],
)
def test_what_is_said(table, text, said):
    assert Pronunciations(table).apply(text) == said
    assert bool(Pronunciations(table)) == bool(table)


@pytest.mark.parametrize(
    ("table", "key", "what"),
    [
        ({"a": 1}, "'a'", "must be text, not int"),
        ({"a": {"b": "c"}}, "'a'", "not dict"),
        ({"": "x"}, "''", "empty"),
        ({"/(/": "x"}, "'/(/'", "no regular expression"),
        ({"/a/": r"\2"}, "'/a/'", "cannot replace"),
        ({"/a/": r"\g<n>"}, "'/a/'", "cannot replace"),
        ({"/x*/": "y"}, "'/x*/'", "nothing"),
        ({"//": "y"}, "'//'", "nothing"),
        ({"/a/q": "b"}, "'/a/q'", "no such flag: q"),
    ],
)
def test_a_bad_entry_is_named(table, key, what):
    with pytest.raises(ConfigError) as error:
        Pronunciations(table)
    assert f"[pronounce] {key}" in error.value.message
    assert what in error.value.message
