"""The examples in the help and the pages: each command has one, and each is a valid command line."""

import pytest

from support.examples import Example, arguments_in, in_help, in_page, in_pages, parse
from voice_cli.cli.commands import tree, walk
from voice_cli.cli.examples import EXAMPLES

HELP = in_help()
ALL = [example for examples in (*HELP.values(), *in_pages().values()) for example in examples]


@pytest.mark.parametrize("command", HELP)
def test_every_command_has_an_example_that_uses_it(command):
    assert any(command in example.line for example in HELP[command])


def test_examples_are_of_commands_that_exist():
    assert set(EXAMPLES) <= {path for path, _ in walk(tree())}


def test_every_command_is_in_a_group_of_the_help():
    assert [name for name, command in tree().commands.items() if not isinstance(command.rich_help_panel, str)] == []


@pytest.mark.parametrize("example", ALL, ids=lambda example: f"{example.where}: {example.line}")
def test_every_example_is_a_valid_command_line(example):
    for arguments in arguments_in(example.line):
        parse(arguments)


@pytest.mark.parametrize("arguments", [["sya"], ["say", "--nonsense"], ["voices", "git"], ["say", "--speed", "9", "x"]])
def test_wrong_command_lines_are_refused(arguments):
    with pytest.raises(Exception, match=r"(?i)no such|invalid"):
        parse(arguments)


# Reading pages.


def test_arguments_are_those_of_voice():
    assert arguments_in('echo "voice x; y" | voice say -o - > a.wav  # voice z') == [["say", "-o", "-"]]
    assert arguments_in("voice pause; voice resume") == [["pause"], ["resume"]]
    assert arguments_in("KEY=1 .venv/bin/voice say $TEXT") == [["say", "$TEXT"]]
    assert arguments_in('ssh -R a:"$(voice agent socket)" host') == [["agent", "socket"]]
    assert arguments_in("pip install voice-cli") == []
    assert arguments_in("it's output") == []


PAGE = """\
```
voice say \\
  "one"
pip install x
```

```python
voice = "say"
```

- item
  ```sh needs a server
  voice say "two"
  ```
"""


def test_pages_mark_what_is_not_run():
    assert list(in_page("a.md", PAGE)) == [
        Example("a.md:2", 'voice say "one"', ""),
        Example("a.md:13", 'voice say "two"', "a server"),
    ]
