"""The three images: what each Dockerfile promises, and that its entry point is the very program of this repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from training import sample
from training.features import infer_schema

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"training": "train", "inference": "serve", "monitoring": "monitor"}
Dockerfile = dict[str, list[str]]


@pytest.fixture(params=LOCKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(name: str) -> Dockerfile:
    return instructions(name)


def instructions(name: str) -> Dockerfile:
    """What stands in a Dockerfile by instruction."""
    text = (ROOT / name / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if re.match(r"[A-Z]+ ", line)]
    return {word: [rest for each, rest in lines if each == word] for word in {each for each, _ in lines}}


def test_there_are_no_images_but_these() -> None:
    assert {path.parent.name for path in ROOT.glob("*/Dockerfile")} == set(LOCKS)


def test_every_base_is_pinned_by_its_digest(image: Dockerfile) -> None:
    assert all(re.search(r"@sha256:[0-9a-f]{64}( AS \w+)?$", base) for base in image["FROM"])


def test_what_is_installed_is_locked_with_hashes(image: Dockerfile, name: str) -> None:
    steps = [step for step in image["RUN"] if "pip install" in step]
    assert all("--require-hashes" in each for step in steps for each in step.split("pip install")[1:])
    assert f"-r requirements/{LOCKS[name]}.txt" in steps[0]
    assert (ROOT / "requirements" / f"{LOCKS[name]}.txt").exists()


def test_it_runs_as_a_user_without_rights(image: Dockerfile) -> None:
    assert image["USER"] == ["10001"]
    assert any("useradd --uid 10001" in step for step in image["RUN"])


def test_it_holds_every_package_of_ours_that_its_program_imports(image: Dockerfile, name: str) -> None:
    copied = {each.split()[-1] for each in image["COPY"] if "/" not in each.split()[-1]}
    for package in copied & {path.parent.name for path in ROOT.glob("*/__init__.py")}:
        for module in (ROOT / package).rglob("*.py"):
            imported = re.findall(r"^\s*(?:from|import) (\w+)", module.read_text(), re.MULTILINE)
            ours = {each for each in imported if (ROOT / each / "__init__.py").exists()}
            assert ours <= copied, f"{module} needs {ours - copied}, which the image of {name} does not hold"


def test_every_entry_point_is_the_program_beside_the_dockerfile(image: Dockerfile, name: str) -> None:
    assert [json.loads(each) for each in image["ENTRYPOINT"]] == [["python", "-m", name]]
    assert "PYTHONPATH=/opt/slipway" in image["ENV"][0]
    assert image["WORKDIR"][-1] == "/opt/slipway"


def test_the_image_of_the_monitor_starts_this_very_program(tmp_path: Path) -> None:
    entry, table = json.loads(instructions("monitoring")["ENTRYPOINT"][0]), sample.churn(300, 1)
    data, schema = tmp_path / "data.parquet", tmp_path / "schema.json"
    table.drop(sample.TARGET).write_parquet(data)
    schema.write_text(json.dumps(infer_schema(table, sample.TARGET).to_json()))
    out = tmp_path / "baseline.json"
    ended = started([*entry, "baseline", "--data", str(data), "--schema", str(schema), "--output", str(out)], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(out.read_bytes())["schema"]["target"] == sample.TARGET


def test_the_image_of_the_monitor_says_what_it_misses_when_nothing_is_laid_before_it(tmp_path: Path) -> None:
    found = instructions("monitoring")
    ended = started([*json.loads(found["ENTRYPOINT"][0]), *json.loads(found["CMD"][0])], tmp_path)
    assert ended.returncode == 3
    assert "cannot read" in ended.stderr
    assert "baseline.json" in ended.stderr
    assert "Traceback" not in ended.stderr


def started(command: list[str], base: Path) -> subprocess.CompletedProcess[str]:
    """The program of an image as a process, with its folders in `base`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "SAGEMAKER_BASE_DIR": str(base), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
