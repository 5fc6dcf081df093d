"""docs/DESIGN.md lists exactly the folders and top-level modules of voice_cli."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "DESIGN.md").read_text("utf-8")


def existing():
    entries = [
        entry
        for entry in (ROOT / "voice_cli").iterdir()
        if entry.suffix == ".py" or (entry.is_dir() and any(entry.rglob("*.py")))
    ]
    return {entry.stem for entry in entries} - {"__init__"}


def named():
    """Return the names in the table's first column, and those written as voice_cli/NAME."""
    section = PAGE.partition("\n## Folders and modules\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    return {*rows, *re.findall(r"\bvoice_cli/(\w+)", PAGE)}


def test_every_folder_and_module_is_named():
    assert existing() - named() == set()


def test_every_name_exists():
    assert named() - existing() == set()
