"""A key, a clock, a bucket and a checkout, as delivery sees them."""

from __future__ import annotations

import contextlib
import csv
import functools
import importlib.util
import io
import itertools
import json
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.loaders import create_loader
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto import mock_aws
from moto.s3.responses import S3Response

from benchmarks.delivery.ground import Cloud, Ground, cloud, containers
from contract.release import Rollout
from delivery.cli import main
from delivery.engine.cloud import REAL
from delivery.local import LocalCloud
from stacks.settings import KEY

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "evidence"
AT_ONCE = Rollout("all-at-once", bake_seconds=0)
LOADER = functools.cache(create_loader)  # many commands in one process: each service's model is read once


@dataclass(frozen=True)
class KeyInHand:
    """A real elliptic-curve key that never leaves the test."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def sign(self, digest: bytes) -> bytes:
        return self.key.sign(digest, ec.ECDSA(hashes.SHA256()))

    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )


@pytest.fixture(scope="session")
def signer() -> KeyInHand:
    return KeyInHand()


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    put, one_at_a_time = S3Response._key_response_put, threading.Lock()

    def at_once(response: S3Response, *given: Any) -> Any:
        """S3 looks whether a key is free and takes it in one step; moto in two, and whoever comes between is lost."""
        with one_at_a_time:
            return put(response, *given)

    monkeypatch.setattr(S3Response, "_key_response_put", at_once)
    with mock_aws():
        client = boto3.client("s3", region_name="eu-west-1")
        client.create_bucket(
            Bucket=BUCKET,
            CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
            ObjectLockEnabledForBucket=True,
        )
        yield client


# A whole environment, brought up once and used by every test of a verb ---------------------------------------


PACKAGES = ("contract", "families", "training", "inference", "monitoring", "infra", "stacks", "delivery", "localaws",
            "slipway", "requirements")  # fmt: skip
NEXT_ACCOUNT = "210987654321"
ASKED = 5  # rows; all windows together stay below what the monitor judges, or an alarm starts a training of its own
NOT_ASKED = ("churned", "customer_id", "event_time")


@dataclass(frozen=True)
class Typed:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Checkout:
    """A checkout of its own, in which commands are typed."""

    root: Path

    def type(self, line: str, *, expect: int | None = 0) -> Typed:
        """What a person would type, `slipway` included."""
        words = shlex.split(line)[1:]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        typed = Typed(code, out.getvalue(), err.getvalue())
        assert expect in (None, code), f"{line}: ended with {code}\n{typed.out}\n{typed.err}"
        return typed

    def ask(self, line: str) -> Any:
        """The same as JSON."""
        return self.type(f"{line} --json").json


def quick_engine() -> Any:
    """The engine in the file beside this one, which pytest does not import by itself."""
    place = Path(__file__).with_name("quick_engine.py")
    spec = importlib.util.spec_from_file_location("quick_engine", place)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["quick_engine"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.QuickEngine()


def new_checkout(root: Path) -> Checkout:
    """Two environments in two accounts of one embedded AWS; nothing of a developer's is touched."""
    for name in PACKAGES:
        (root / name).symlink_to(ROOT / name)
    for path in [*ROOT.glob("Pulumi*.yaml"), ROOT / "pyproject.toml"]:
        shutil.copy(path, root)
    shutil.copytree(ROOT / "gates", root / "gates")
    settings = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
    settings["config"][KEY]["tracking"] = {"kind": "nowhere"}  # half of a training's time; it has tests of its own
    for name, account in (("local", settings["config"][KEY]["account"]), ("rehearsal", NEXT_ACCOUNT)):
        settings["config"][KEY]["account"] = account
        (root / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump(settings))
    return Checkout(root)


@contextlib.contextmanager
def reached(root: Path) -> Iterator[None]:
    """Commands work on that checkout, with the quick engine, and reach its embedded AWS alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*REAL, "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SLIPWAY_ENV"]:
            patch.delenv(name, raising=False)
        for name, value in {"SLIPWAY_ROOT": str(root), "SLIPWAY_WHO": "ana", "COLUMNS": "160"}.items():
            patch.setenv(name, value)
        patch.setattr("botocore.session.create_loader", LOADER)
        engine = quick_engine()
        patch.setattr("delivery.engine.choose.engine", lambda _forced=None: engine)
        yield


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout whose local environment serves a first version, on a fast clock; brought up once."""
    root = tmp_path_factory.mktemp("served")
    with reached(root):
        checkout = new_checkout(root)
        checkout.type("slipway local start --clock scaled:60")
        checkout.type("slipway launch")
        checkout.type("slipway up rehearsal --yes")
        prepare_rows(root)
    yield root
    LocalCloud(root / ".slipway" / "local", root).stop()


def prepare_rows(root: Path) -> None:
    """Some customers to ask about, and what became of one, from the sample."""
    with next((root / ".slipway" / "sample").glob("*/*.csv")).open(newline="") as table:
        rows = list(itertools.islice(csv.DictReader(table), ASKED))
    inputs = [[value for name, value in row.items() if name not in NOT_ASKED] for row in rows]
    with (root / "rows.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(inputs)
    (root / "outcomes.csv").write_text("inference_id,value\nfirst,no\n")
    run = {"data": ".slipway/sample/churn-6000-7", "family": "logistic_regression", "experiment": "rehearsal"}
    (root / "run.yaml").write_text(json.dumps(run))
    metric = {"name": "accuracy", "kind": "rate", "base": 0.8, "minimum_effect": 0.05}
    (root / "spring.yaml").write_text(json.dumps({"name": "spring", "metric": metric}))


@pytest.fixture
def checkout(served: Path) -> Iterator[Checkout]:
    """The shared checkout; what a test changes in it stays, so each asks for what it needs."""
    with reached(served):
        yield Checkout(served)


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout of a test's own, with nothing brought up."""
    with reached(tmp_path):
        yield new_checkout(tmp_path)
    LocalCloud(tmp_path / ".slipway" / "local", tmp_path).stop()


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded AWS whose clock stands until a test moves it, with real endpoints and the real monitor."""
    work = tmp_path_factory.mktemp("rehearsal")
    with cloud(work, containers=containers(work / "containers")) as running:
        yield running


NUMBERS = itertools.count(1)


@pytest.fixture
def ground(rehearsal: Cloud, tmp_path: Path) -> Iterator[Callable[..., Ground]]:
    """Makes environments of their own on it, each with one model that serves version 1; they end with the test."""
    opened: list[Ground] = []

    def make(*, fault: str = "none", watched: bool = False) -> Ground:
        made = Ground.open(rehearsal, f"t{next(NUMBERS):03d}", tmp_path, watched=watched).prepare()
        opened.append(made)
        made.version(1, fault)
        made.while_time_passes(lambda: made.platform().deploy("shop", "1", rollout=AT_ONCE))
        return made

    yield make
    for each in opened:
        each.leave()
