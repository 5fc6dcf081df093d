"""The pages: their links, the list in the README, and the site that is made from them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.examples import PAGES
from voice_cli.cli.commands import tree, walk

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


def test_the_readme_lists_every_page():
    listed = (ROOT / "README.md").read_text("utf-8").partition("\n## Documentation\n")[2]
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= {Path(link).name for link in LINK.findall(listed)}


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "images").iterdir()), ids=lambda picture: picture.name)
def test_pictures_are_small(picture):
    assert picture.stat().st_size < 60_000


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, ROOT / "scripts" / "site.py", folder], check=True)
    return folder


def test_the_site_has_every_page_in_its_order(site):
    listed = re.findall(r"^  - (?:\w+: )?(\S+\.md)$", (site / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert listed[0] == "index.md"
    assert {page.name for page in (site / "docs").glob("*.md")} == set(listed)


def test_links_of_the_site_stay_in_it(site):
    for page in (site / "docs").glob("*.md"):
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == [], page.name
        assert not re.search(r"^ *```sh needs", page.read_text("utf-8"), re.MULTILINE)


def test_the_site_has_every_command(site):
    text = (site / "docs" / "commands.md").read_text("utf-8")
    assert all(f"## {f'voice {path}'.strip()}\n" in text for path, _ in walk(tree()))
