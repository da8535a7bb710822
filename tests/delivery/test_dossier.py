"""What a version's evidence says of drift and of its origin."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from contract.records import Column, Schema
from delivery.bundle import Bundle, seal
from delivery.card import card
from delivery.dossier import approvals, author_caller, proven_effect, signed
from delivery.engine.cloud import Cloud
from delivery.environment import Environment
from delivery.evidence import Approval, Evidence, Measure
from delivery.gates import Gates, judge
from delivery.ledger import GENESIS, Decision, Event
from delivery.registry import Version
from delivery.signing import Signer
from monitoring.baseline import Rows, build
from stacks.settings import load

SCHEMA = Schema((Column("age", "number"), Column("region", "category")), "churned", "classification", ("no", "yes"))


def people(seed: int, shift: float = 0.0, rows: int = 2000) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    chance = rng.random(rows)
    return pl.DataFrame(
        {
            "age": rng.normal(40 + shift, 10, rows).round(2),
            "region": rng.choice(["north", "south"], rows),
            "predicted": np.where(chance > 0.5, "yes", "no"),
            "predicted_probability": chance,
        }
    )


def no_cloud() -> Any:
    raise AssertionError("the rows are on disk")


@pytest.fixture(scope="module")
def baseline() -> bytes:
    return build(lambda: [Rows(people(1))], SCHEMA).to_bytes()


@pytest.mark.parametrize(("shift", "moved"), [(0.0, False), (8.0, True)])
def test_only_a_move_that_is_proven_counts_as_drift(baseline: bytes, tmp_path: Path, shift: float, moved: bool) -> None:
    people(2, shift).write_parquet(tmp_path / "predictions.parquet")
    effect = proven_effect(baseline, str(tmp_path / "predictions.parquet"), no_cloud)
    assert (effect > 1) is moved
    assert (effect == 0) is not moved


def about(now: datetime) -> Evidence:
    return Evidence(
        model="churn", version=3, author="ana", made_at=now - timedelta(days=1), artifact_hash="a1", artifact_bytes=10,
        data_hash="d1", code_hash="c1", images={}, metrics={"auc": Measure(value=0.8, low=0.7, high=0.9)},
        approvals=(Approval(who="ben", when=now, note="better"),),
    )  # fmt: skip


@pytest.fixture
def judged(now: datetime, signer: Signer) -> Bundle:
    gates = Gates.model_validate({"gates": [{"kind": "threshold", "metric": "auc", "at_least": 0.7}]})
    return seal(about(now), gates, now, signer)


def test_the_card_tells_the_way_from_the_rows_to_the_yes(judged: Bundle, now: datetime) -> None:
    metadata = {"family": "forest", "data": "s3://d/raw/", "training_job": "job-1", "promoted_from": "dev"}
    version = Version(3, "arn:3", "Approved", now, "image@sha256:1", "s3://a/model.tar.gz", metadata)
    made = card(version, judged)
    told = json.loads(made["ModelCardContent"])
    details = told["additional_information"]["custom_details"]
    assert made["ModelCardStatus"] == "Approved"
    assert details["evidence"] == judged.hash
    assert {
        "data": "s3://d/raw/",
        "data_hash": "d1",
        "artifact_hash": "a1",
        "training_job": "job-1",
    }.items() <= details.items()
    assert "ben: better" in told["evaluation_details"][0]["evaluation_observation"]
    assert set(told) <= {"model_overview", "training_details", "evaluation_details", "additional_information"}


def test_a_card_leaves_out_what_a_version_does_not_know(judged: Bundle, now: datetime) -> None:
    version = Version(3, "arn:3", "Approved", now, "image", "s3://a/model.tar.gz", {})
    details = json.loads(card(dataclasses.replace(version), judged)["ModelCardContent"])["additional_information"]
    assert "promoted_from" not in details["custom_details"]


# Who said yes.

USER = "arn:aws:iam::123456789012:user/"


def said(what: str, who: str, caller: str = "", package: str = "arn:3") -> Decision:
    place = {"outputs": {"package": package}} if what == "run" else {"inputs": {"package": package}}
    return Decision("2026-03-01T12:00:00+00:00", who, what, "because", "churn", caller=caller, **place)


def written(signer: Signer, *decisions: Decision) -> list[Event]:
    events = [Event(number, each, GENESIS) for number, each in enumerate(decisions)]
    return [dataclasses.replace(each, signature=signer.sign(each.digest).hex()) for each in events]


@pytest.mark.parametrize("forged", ["00", "", "no hex", "00" * 70])
def test_a_yes_that_nobody_signed_is_nobodys(signer: Signer, forged: str) -> None:
    honest, unsigned = written(signer, said("approve", "ana"), said("approve", "eve"))
    events = [honest, dataclasses.replace(unsigned, signature=forged)]
    assert signed(events, "arn:3", signer.public_key()) == [honest.decision]


def test_a_signature_does_not_cover_another_name_or_another_package(signer: Signer) -> None:
    (event,) = written(signer, said("approve", "ana"))
    stolen = [
        dataclasses.replace(event, decision=said("approve", "ben")),
        dataclasses.replace(event, decision=said("approve", "ana", package="arn:4")),
        dataclasses.replace(event, decision=said("approve", "ana", caller=USER + "ben")),
    ]
    assert [signed([each], package, signer.public_key()) for each in stolen for package in ("arn:3", "arn:4")] == [
        []
    ] * 6


def test_only_what_concerns_the_version_is_its_evidence(signer: Signer) -> None:
    decisions = said("run", "ana"), said("approve", "ben"), said("approve", "cleo", package="arn:4")
    assert signed(written(signer, *decisions), "arn:3", signer.public_key()) == list(decisions[:2])


def test_one_caller_with_two_names_is_one_person(now: datetime) -> None:
    gates = Gates.model_validate({"gates": [{"kind": "approvals", "at_least": 2, "author_may_approve": True}]})

    def word(*callers: str) -> str:
        decisions = [said("approve", name, caller) for name, caller in zip(("ana", "ben"), callers, strict=True)]
        yes = approvals(decisions, by_caller=any(callers))
        return judge(gates, about(now).model_copy(update={"approvals": yes}), now).word

    assert word(USER + "ana", USER + "ana") == "fail"
    assert word(USER + "ana", USER + "ben") == "pass"
    assert word(USER + "ana", "arn:aws:sts::123456789012:assumed-role/operator/ana") == "fail"
    assert word("", "") == "pass"  # the embedded AWS knows one caller: the names are what there is
    assert word(USER + "ana", "") == "fail"


def test_an_author_under_another_name_is_still_the_author(now: datetime) -> None:
    gates = Gates.model_validate({"gates": [{"kind": "approvals"}]})
    decisions = [said("run", "ana", USER + "ana"), said("approve", "ben", USER + "ana")]
    evidence = about(now).model_copy(
        update={"approvals": approvals(decisions, by_caller=True), "author_caller": author_caller(decisions)}
    )
    assert judge(gates, evidence, now).failures[0].found == "nobody"
    other = evidence.model_copy(update={"author": "cleo", "author_caller": USER + "cleo"})
    assert judge(gates, other, now).word == "pass"


def test_a_decision_on_a_real_account_keeps_the_caller_beside_the_name(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_WHO", "ben")
    settings = load("local")
    here = Environment("local", tmp_path, settings, Cloud(settings.account, settings.region, None, {}))
    assert (here.who, here.caller[:13], here.tells_callers_apart) == ("ben", "arn:aws:sts::", True)
    embedded = dataclasses.replace(here, cloud=Cloud(settings.account, settings.region, "http://127.0.0.1:1", {}))
    assert (embedded.who, embedded.caller, embedded.tells_callers_apart) == ("ben", "", False)
    monkeypatch.delenv("SLIPWAY_WHO")
    nameless = dataclasses.replace(here)
    assert nameless.who == nameless.caller
