"""Write the pages of the site and its configuration into a folder: `python scripts/site.py build/pages`.

README.md is the first page; the others are docs/, some files of the root folder, and a page of the command line. The
order of the pages is that of the list in README.md.
"""

import html
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from voice_cli.cli.commands import examples_of, tree, walk

ROOT = Path(__file__).parent.parent
ROOT_FILES = (
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE",
    "config.example.toml",
    "tests/bench/RESULTS.md",
)
COMMANDS = "commands.md"

_NEEDS = re.compile(r"^( *```sh) needs .*$", re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)#:\s]+)([^):]*\))")


def main(folder: Path) -> None:
    """Write `mkdocs.yml` and the folder `docs` of the site."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "docs"
    shutil.copytree(ROOT / "docs", pages)
    shutil.copy(ROOT / "README.md", pages / "index.md")
    for name in ROOT_FILES:
        shutil.copy(ROOT / name, pages)
    sources = {"index.md": ROOT, **{Path(name).name: (ROOT / name).parent for name in ROOT_FILES}}
    for page in pages.glob("*.md"):
        text = page.read_text("utf-8")
        page.write_text(adapted(text, sources.get(page.name, ROOT / "docs")), "utf-8")
    (pages / COMMANDS).write_text("\n".join(commands()), "utf-8")
    listed = (ROOT / "README.md").read_text("utf-8").partition("\n## Documentation\n")[2]
    order = re.findall(r"\]\((?:docs/)?([\w./-]+\.md)\)", listed)
    order = ["index.md", order[0], COMMANDS, *order[1:], "Benchmarks: RESULTS.md"]
    config = (ROOT / "mkdocs.yml").read_text("utf-8")
    (folder / "mkdocs.yml").write_text(config + "nav:\n" + "".join(f"  - {name}\n" for name in order), "utf-8")


def adapted(markdown: str, folder: Path) -> str:
    """Remove the marks of blocks that are not run, and adapt the links of a page of that folder to the site."""

    def link(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        in_docs = target.is_relative_to(ROOT / "docs")
        name = target.relative_to(ROOT / "docs").as_posix() if in_docs else target.name
        return f"{match[1]}{name}{match[3]}"

    return _LINK.sub(link, _NEEDS.sub(r"\1", markdown))


def commands() -> Iterator[str]:
    """Yield the lines of the page of the command line."""
    yield "# Commands\n"
    yield "Each command has this in its `--help`, and as a man page.\n"
    for path, command in walk(tree()):
        yield f"## {f'voice {path}'.strip()}\n"
        yield f"{command.help}\n"
        yield "| option | meaning |\n| --- | --- |"
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                yield f"| {parameter.name.upper()} | {cell(parameter.help)} |"
            elif not parameter.hidden:
                value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
                flags = ", ".join(sorted(parameter.opts, key=len))
                yield f"| <code>{cell(flags + value)}</code> | {cell(parameter.help)} |"
        yield "| <code>-h, --help</code> | Show the help. |\n"
        yield "```sh"
        for line, what in examples_of(command):
            yield f"# {what}\n{line}"
        yield "```\n"


def cell(text: str | None) -> str:
    """Return text for a cell of a table."""
    return html.escape(text or "", quote=False).replace("|", "&#124;")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
