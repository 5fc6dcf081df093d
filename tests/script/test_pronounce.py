"""The table of pronunciations."""

import pytest

from voice_cli.errors import ConfigError
from voice_cli.script.pronounce import Pronunciations


@pytest.mark.parametrize(
    ("table", "text", "spoken"),
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
        ({}, "unchanged", "unchanged"),
    ],
)
def test_replacements(table, text, spoken):
    assert Pronunciations(table).apply(text) == spoken


@pytest.mark.parametrize(
    ("table", "key", "what"),
    [
        ({"a": 1}, "'a'", "must be text, not int"),
        ({"a": {"b": "c"}}, "'a'", "not dict"),
        ({"": "x"}, "''", "empty"),
        ({"/(/": "x"}, "'/(/'", "invalid regular expression"),
        ({"/a/": r"\2"}, "'/a/'", "invalid replacement"),
        ({"/a/": r"\g<n>"}, "'/a/'", "invalid replacement"),
        ({"/x*/": "y"}, "'/x*/'", "empty string"),
        ({"//": "y"}, "'//'", "empty string"),
        ({"/a/q": "b"}, "'/a/q'", "unknown flag: q"),
    ],
)
def test_the_error_names_the_invalid_entry(table, key, what):
    with pytest.raises(ConfigError) as error:
        Pronunciations(table)
    assert f"[pronounce] {key}" in error.value.message
    assert what in error.value.message
