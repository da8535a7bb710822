"""The workflows: pinned, with few rights, one run per stack at a time, and typing what a person would type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from stacks.settings import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Each compared with what public workflows pin under the same version.
PINNED = {
    "actions/checkout": ("11bd71901bbe5b1630ceea73d27597364c9af683", "v4.2.2"),
    "actions/setup-python": ("a26af69be951a213d495a4c3e4e4022e16d87065", "v5.6.0"),
    "aws-actions/configure-aws-credentials": ("e3dd6a429d7300a6a4c196c26e071d42e0343502", "v4.0.2"),
}
VERBS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def document(path: Any) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def steps(path: Any) -> Iterator[dict[str, Any]]:
    for job in document(path)["jobs"].values():
        yield from job.get("steps", ())


@every_workflow
def test_every_action_is_pinned_to_the_commit_of_its_version(path: Any) -> None:
    for name, commit, version in re.findall(r"uses: ([\w/-]+)@(\S+)(?: # (\S+))?", path.read_text()):
        assert (commit, version) == PINNED[name]


@every_workflow
def test_a_workflow_types_our_verbs_or_speaks_to_github(path: Any) -> None:
    for step in steps(path):
        for line in step.get("run", "").splitlines():
            tool, verb, *_ = line.split()
            assert tool == "gh" or (tool == "make" and verb in VERBS), line


@every_workflow
def test_rights_are_given_job_by_job(path: Any) -> None:
    given = document(path)
    assert given["permissions"] == {}
    assert all(job["permissions"] for job in given["jobs"].values())


@pytest.mark.parametrize("name", ["up", "promote", "nightly", "experiments"])
def test_one_run_per_stack_at_a_time(name: str) -> None:
    given = document(ROOT / ".github" / "workflows" / f"{name}.yml")
    groups = [given.get("concurrency"), *(job.get("concurrency") for job in given["jobs"].values())]
    assert any(each and each["group"].startswith("stack-") and not each["cancel-in-progress"] for each in groups)


def test_pull_requests_cannot_change_a_cloud() -> None:
    text = (ROOT / ".github" / "workflows" / "pull-request.yml").read_text()
    assert "make up" not in text
    assert set(re.findall(r"role-to-assume: .*?(\w+_ROLE)", text)) == {"PREVIEW_ROLE"}


def test_prod_waits_for_staging_and_staging_for_dev() -> None:
    jobs = document(ROOT / ".github" / "workflows" / "deliver.yml")["jobs"]
    assert [jobs[name].get("needs") for name in ("dev", "staging", "prod")] == [None, "dev", "staging"]


def test_promotion_types_the_one_command_that_a_person_types() -> None:
    typed = [step["run"] for step in steps(ROOT / ".github" / "workflows" / "promote.yml") if "run" in step]
    assert typed == ["make engine", "make promote", "make propose"]
    assert 'slipway promote "$$FROM" "$$TO" --note "$$NOTE" --yes' in (ROOT / "Makefile").read_text()


def test_experiments_are_concluded_by_schedule_where_they_run() -> None:
    path = ROOT / ".github" / "workflows" / "experiments.yml"
    typed = [step["run"] for step in steps(path) if "run" in step]
    assert typed == ["make due", "make engine", 'make conclude ENV="${ENVIRONMENT}"', "make propose"]
    assert re.search(r'cron: "\d+ \d+ \* \* \*"', path.read_text())
    assert 'slipway experiment conclude --env "$(ENV)"' in (ROOT / "Makefile").read_text()
