"""A hook of hatchling: the man pages become data of the wheel, which installs them in share/man/man1."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPages(BuildHookInterface):
    """Make the man pages before the wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages, and add them. An editable installation has none, and needs no typer to build."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root, "scripts")))
        from manual import write_pages

        for page in write_pages(Path(self.root, "build", "man")):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"
