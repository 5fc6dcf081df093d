"""Workflows: valid YAML, minimal permissions, pinned actions, and the Pythons of pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WIDER = {
    "release": {"publish": {"id-token": "write"}},
    "docs": {"publish": {"pages": "write", "id-token": "write"}},
}
"""Permissions of jobs besides reading the repository, by workflow."""
VERSION = re.compile(r"v\d+|release/v\d+")


def load(path):
    return yaml.safe_load(path.read_text("utf-8"))


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


def test_workflows_exist():
    assert {path.stem for path in WORKFLOWS} == {"test", "package", "docs", "release"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_permissions_are_minimal(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    wider = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert wider == WIDER.get(path.stem, {})
    for step in steps_of(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_newer_run_cancels_an_older_one_except_a_release(path):
    concurrency = load(path)["concurrency"]
    # A called workflow has its caller's name: a group named after `github.workflow` would wait for itself.
    assert concurrency["group"] == f"{path.stem}-${{{{ github.ref }}}}"
    assert concurrency["cancel-in-progress"] is (path.stem != "release")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_major_version(path):
    workflow = load(path)
    for step in steps_of(workflow):
        if "uses" in step:
            assert VERSION.fullmatch(step["uses"].partition("@")[2]), step["uses"]
    for job in workflow["jobs"].values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()
        else:
            assert job["timeout-minutes"] <= 60


def test_tested_pythons_are_those_in_the_classifiers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pythons = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    jobs = load(ROOT / ".github" / "workflows" / "test.yml")["jobs"]
    for name in ("linux", "other"):
        assert jobs[name]["strategy"]["matrix"]["python"] == pythons
