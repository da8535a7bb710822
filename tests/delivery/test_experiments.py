"""An experiment is planned, started, judged by the monitor's job, steered and ended, on real endpoints."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.delivery.ground import MODEL, Ground, rows
from contract.records import Outcome, Request
from contract.release import CHALLENGER, CHAMPION, Rollout
from delivery.dossier import read_bundle, result_key
from delivery.release import RefusedError
from monitoring.cli import Outside
from monitoring.cli import main as monitor
from monitoring.commands.experiment import under_way
from monitoring.experiment.experiment import Experiment, Guardrail, Metric

pytestmark = pytest.mark.long
HOUR = 3600.0
AT_ONCE = Rollout("all-at-once", bake_seconds=0)
TERMS = Experiment(
    "spring",
    Metric("accuracy", "rate", base=0.7, minimum_effect=0.1),
    guardrails=(Guardrail("errors", "errors", never=2.0, negligible=0.1),),
    minimum_looks=2,
)


def ask(ground: Ground, count: int, seed: int) -> None:
    """Callers ask, and tell later what was true."""
    dice, platform, outcomes = np.random.default_rng(seed), ground.platform(), list[Outcome]()
    for first, second in rows(dice, count):
        key = str(uuid.UUID(int=int(dice.integers(2**62))))
        platform.invoke(MODEL, Request(f"{first},{second}\n".encode(), inference_id=key))
        outcomes.append(Outcome(key, "yes" if first + second > 0 else "no"))
    platform.put_outcomes(MODEL, outcomes)


def tick(ground: Ground) -> None:
    """What the monitor's job does for the experiment, in this process."""
    release = ground.release()
    environment = {
        "SLIPWAY_EXPERIMENT_URI": f"s3://{ground.bucket('artifacts')}/experiments/{ground.endpoint}/{release.experiment}",
        "SLIPWAY_CAPTURE_URI": f"s3://{ground.bucket('capture')}/capture/{ground.endpoint}/",
        "SLIPWAY_OUTCOMES_URI": f"s3://{ground.bucket('outcomes')}/outcomes/{ground.endpoint}/",
        "sagemaker_endpoint_name": ground.endpoint,
    }
    outside = Outside(
        environment=environment,
        now=ground.environment.now,
        s3=lambda: ground.client("s3"),
        cloudwatch=lambda: ground.client("cloudwatch"),
        sagemaker=lambda: ground.client("sagemaker"),
        say=lambda _: None,
    )
    baseline = (
        f"s3://{ground.bucket('artifacts')}/baselines/{MODEL}/{release.champion.package.artifact_hash}/baseline.json"
    )
    commands = under_way(environment, outside, baseline, ground.environment.now())
    assert [monitor(command, outside) for command in commands] == [0]


def start(ground: Ground, version: int, **steering: Any) -> None:
    platform = ground.platform()
    ground.while_time_passes(
        lambda: platform.start_experiment(MODEL, "spring", str(version), 0.5, terms=TERMS, steering=steering)
    )


def jobs(ground: Ground) -> list[str]:
    found = ground.client("sagemaker").list_pipeline_executions(PipelineName=ground.names.monitor_pipeline(MODEL))
    return [each["PipelineExecutionStatus"] for each in found["PipelineExecutionSummaries"]]


def test_a_better_challenger_is_found_by_the_scheduled_job_and_promoted(ground: Callable[..., Ground]) -> None:
    """By the real job on its schedule; two ticks crash, an `up` comes in between."""
    here = ground(fault="careless", watched=True)
    here.version(2)
    platform = here.platform()
    planned = platform.plan_experiment(MODEL, TERMS, 0.5, per_day=5000)
    assert planned.days is not None
    start(here, 2)
    assert here.release().state == "experiment"
    assert platform.experiment(MODEL).looks == 0

    denied = {"code": "AccessDenied", "status": 403, "times": 2}
    here.cloud.fault(effect="fail", operation="PutObject", where={"Key": "*progress.json"}, **denied)
    ask(here, 120, seed=1)
    here.cloud.advance(HOUR)
    ask(here, 120, seed=2)
    here.cloud.advance(HOUR)
    here.cloud.heal()
    here.up()
    ask(here, 120, seed=3)
    here.cloud.advance(HOUR)

    assert {"Succeeded", "Failed"} == set(jobs(here))
    found = platform.experiment(MODEL)
    assert found.looks == len(found.sequence) == 2  # the tick that crashed was made up for
    assert found.decision == "promote", found
    assert found.sequence[-1].low > 0
    assert not found.sample_ratio_alarm
    assert [each.broken for each in found.guardrails] == [False]
    assert found.weights == {CHAMPION: 0.5, CHALLENGER: 0.5}
    assert "conclude" in found.next

    after = here.while_time_passes(lambda: platform.conclude_experiment(MODEL, AT_ONCE))
    assert (after.state, after.champion.package.version, after.previous.version) == ("steady", 2, 1)
    event = here.environment.ledger.events()[-2].decision
    assert event.what == "promote"
    judged = read_bundle(here.environment, MODEL, after.champion.package.evidence)
    assert event.inputs["evidence"] == judged.hash
    assert judged.evidence.experiment is not None
    assert judged.evidence.experiment["decision"] == "promote"
    assert judged.evidence.experiment["record"] == event.inputs["experiment"]  # signed, with all that was counted
    assert here.client("s3").get_object(
        Bucket=here.bucket("evidence"), Key=result_key(MODEL, event.inputs["experiment"])
    )
    why = [each.decision.what for each in platform.why(MODEL)]
    assert why[:3] == ["finish rollout", "promote", "gate"]


def test_a_challenger_that_harms_loses_its_traffic_at_the_next_tick(ground: Callable[..., Ground]) -> None:
    here = ground()
    here.version(2, "careless")
    start(here, 2)
    for seed in range(3):
        ask(here, 150, seed)
        here.cloud.advance(HOUR)
        tick(here)
    assert here.platform().experiment(MODEL).weights == {CHAMPION: 1.0, CHALLENGER: 0.0}
    tick(here)  # again changes nothing
    found = here.platform().experiment(MODEL)
    assert (found.decision, found.end) == ("stop for harm", "stop")
    after = here.while_time_passes(lambda: here.platform().conclude_experiment(MODEL, AT_ONCE))
    assert (after.state, after.champion.package.version) == ("steady", 1)
    assert "worse" in after.reason


def test_an_undecided_experiment_is_not_ended_and_its_share_climbs(ground: Callable[..., Ground]) -> None:
    here = ground()
    here.version(2)
    platform = here.platform()
    here.while_time_passes(
        lambda: platform.start_experiment(
            MODEL, "spring", "2", 0.1, terms=TERMS, steering={"mode": "climb", "looks_per_step": 1, "most": 0.3}
        )
    )
    for wanted in (0.2, 0.3, 0.3):
        here.cloud.advance(HOUR + 60)
        tick(here)
        assert platform.experiment(MODEL).weights[CHALLENGER] == pytest.approx(wanted)
    assert platform.conclude_experiment(MODEL) is None
    assert here.release().state == "experiment"

    platform.settle(MODEL)
    told = [each.decision for each in platform.why(MODEL)][:3]
    assert [each.what for each in told] == ["move traffic", "move traffic", "start experiment"]
    assert [each.outputs["serves"][1]["share"] for each in told] == [0.3, 0.2, 0.1]
    assert [each.who for each in told[:2]] == ["experiment spring"] * 2
    assert "climb after" in told[0].why
    platform.settle(MODEL)
    assert platform.why(MODEL)[0].decision == told[0]  # told once
    assert platform.verify_ledger() == []


def test_a_challenger_promoted_before_any_verdict_says_so_in_its_evidence(ground: Callable[..., Ground]) -> None:
    here = ground()
    tried = here.version(2)
    platform = here.platform()
    here.while_time_passes(lambda: platform.start_experiment(MODEL, "spring", "2", 0.5))
    after = here.while_time_passes(lambda: platform.promote_challenger(MODEL, AT_ONCE))
    package = after.champion.package
    judged = read_bundle(here.environment, MODEL, package.evidence)
    assert after.state == "steady"
    assert package == dataclasses.replace(tried, evidence=judged.hash)
    assert judged.evidence.experiment is not None
    assert (judged.evidence.experiment["decision"], judged.evidence.experiment["looks"]) == ("keep running", 0)
    with pytest.raises(RefusedError, match="does not fit state 'steady'"):
        platform.promote_challenger(MODEL, AT_ONCE)


def test_one_unit_always_meets_one_variant_when_that_was_asked_for(ground: Callable[..., Ground]) -> None:
    here = ground()
    here.version(2)
    start(here, 2, sticky=True)
    platform, request = here.platform(), Request(b"0.1,0.2\n")

    def met(unit: str) -> str:
        return platform.invoke(MODEL, request, unit=unit).answer.variant

    units = [f"user-{number}" for number in range(20)]
    first = {unit: met(unit) for unit in units}
    assert set(first.values()) == {CHAMPION, CHALLENGER}
    assert {unit: met(unit) for unit in units} == first


def test_terms_that_were_counted_are_not_changed_and_nothing_runs_without_an_experiment(
    ground: Callable[..., Ground],
) -> None:
    here = ground()
    here.version(2)
    platform = here.platform()
    with pytest.raises(RefusedError, match="no experiment runs"):
        platform.experiment(MODEL)
    platform.experiments(MODEL).write("spring", "progress.json", {"looks": []})
    with pytest.raises(RefusedError, match="give another name"):
        platform.start_experiment(MODEL, "spring", "2", 0.5, terms=TERMS)
    assert here.release().state == "steady"
