"""docs/faults.md says what becomes of each fault."""

import pytest

from faults import listed
from faults.server import WS_FAULTS
from faults.table import PAGE, SECTIONS, WS_SERVERS, lines_of


@pytest.mark.parametrize("section", SECTIONS)
def test_each_fault_has_the_outcome_that_the_page_says(section):
    found = lines_of(section)
    assert found in PAGE.read_text("utf-8"), f"write the page again: python -m tests.faults --table\n{found}"


def test_every_fault_is_in_the_table():
    rows = [row for rows in SECTIONS.values() for row in rows]
    used = {name for row in rows if row.server == "http" for name in listed.parse(row.spec)}
    assert used == listed.FAULTS.keys()
    used = {name for row in rows if row.server in WS_SERVERS for name in listed.parse(row.spec, WS_FAULTS)}
    assert used >= WS_FAULTS.keys() - {"latency", "every"}
