"""How a model is trained, taken over and judged: each pipeline as a graph, its newest run, what that used and cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from delivery.dashboard.graph import Graph, drawing
from delivery.dashboard.looking import Look
from delivery.runs import Pipeline, Run, Step
from infra.prices import PriceError, price
from monitoring.report.page import BAD, BEFORE, GOOD, figure, number, table, text

TITLE, PLACE, WIDE = "Pipelines", 30, True
RUNS = 12
STOOD = '<p class="empty">The environment\'s clock stood still while it ran: its steps took none of its time.</p>'
MOODS = {"Succeeded": "good", "Failed": "bad", "Executing": "unsure", "Stopped": "bad"}
COLOURS = {"Succeeded": GOOD, "Failed": BAD}


@dataclass(frozen=True, slots=True)
class Used:
    """A step, and the machines it had: how many of what, for how long, at what price."""

    step: Step
    machine: str = ""
    seconds: float = 0.0
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One pipeline: its graph, its newest runs, the steps of the newest."""

    name: str
    graph: Graph
    runs: tuple[Run, ...]
    steps: tuple[Used, ...]


def read(look: Look) -> list[Shown]:
    names = look.names
    wanted = (names.training_pipeline, names.promotion_pipeline, names.monitor_pipeline)
    return [shown for name in wanted if (shown := one(look, name(look.model))) is not None]


def one(look: Look, name: str) -> Shown | None:
    """A pipeline, if there is one of that name."""
    sagemaker = look.client("sagemaker")
    try:
        definition = sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]
    except ClientError as problem:
        if problem.response["Error"]["Code"] != "ResourceNotFound":
            raise
        return None
    pipeline = Pipeline(sagemaker, name, look.environment.wait)
    runs = tuple(pipeline.runs(RUNS))
    steps = tuple(used(look, step) for step in pipeline.steps(runs[0])) if runs else ()
    return Shown(name, Graph.of(definition), runs, steps)


def used(look: Look, step: Step) -> Used:
    """What a step's job had; steps that are no jobs had nothing."""
    kind = next((each for each in ("TrainingJob", "ProcessingJob") if each in step.facts), None)
    seconds = (step.ended - step.started).total_seconds() if step.started and step.ended else 0.0
    if kind is None or step.cached:
        return Used(step, seconds=seconds)
    cluster = machines(look.client("sagemaker"), kind, step.facts[kind]["Arn"].rpartition("/")[2])
    count, machine = cluster["InstanceCount"], cluster["InstanceType"]
    here = Used(step, f"{count} of {machine}", seconds)
    if not seconds:
        return here
    try:
        return replace(here, usd=count * seconds / 3600 * price(look.names.region, "job", machine).usd)
    except PriceError:
        return here


def machines(sagemaker: Any, kind: str, name: str) -> dict[str, Any]:
    if kind == "TrainingJob":
        return sagemaker.describe_training_job(TrainingJobName=name)["ResourceConfig"]
    return sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingResources"]["ClusterConfig"]


def show(found: list[Shown]) -> str:
    if not found:
        return '<p class="empty">No pipelines: nothing is brought up yet.</p>'
    return "".join(pipeline(each) for each in found)


def pipeline(found: Shown) -> str:
    states = {each.step.name: (MOODS.get(each.step.status, ""), words(each)) for each in found.steps}
    drawn = drawing(found.graph, states, f"Steps of {found.name}")
    if not found.runs:
        return f'<h3>{text(found.name)}</h3>{drawn}<p class="empty">It never ran.</p>'
    newest = found.runs[0]
    mood = MOODS.get(newest.status, "")
    said = f'newest run {newest.started:%d %b %H:%M} <span class="tag {mood}">{text(newest.status)}</span>'
    why = f'<p class="note bad-text">{text(newest.reason)}</p>' if newest.reason else ""
    return f"<h3>{text(found.name)}</h3><p>{said}</p>{why}{drawn}{timeline(found)}{resources(found)}{history(found)}"


def words(used_: Used) -> str:
    if used_.step.cached:
        return "cached"
    return spent(used_) if used_.step.ended else used_.step.status.lower()


def spent(used_: Used) -> str:
    """How long it took; of a step during which the environment's clock stood still, that it ended is all there is."""
    if used_.step.started == used_.step.ended:
        return used_.step.status.lower()
    return f"{used_.seconds:.0f} s"


def timeline(found: Shown) -> str:
    """The newest run's steps as bars over time."""
    import plotly.graph_objects as go

    timed = [each for each in found.steps if each.step.started]
    if not any(each.seconds for each in timed):
        return STOOD if timed else ""
    began = min(each.step.started for each in timed if each.step.started)
    drawn = go.Figure(layout={"margin": {"l": 80}, "xaxis": {"title": "seconds"}, "yaxis": {"autorange": "reversed"}})
    drawn.add_trace(
        go.Bar(
            y=[each.step.name for each in timed],
            x=[max(each.seconds, 0.2) for each in timed],
            base=[(each.step.started - began).total_seconds() for each in timed if each.step.started],
            orientation="h",
            marker_color=[COLOURS.get(each.step.status, BEFORE) for each in timed],
        )
    )
    return figure(drawn, f"Newest run of {found.name} over time", 60 + 26 * len(timed))


def resources(found: Shown) -> str:
    """What the newest run used, and what that costs where instances are real."""
    jobs = [each for each in found.steps if each.machine]
    if not jobs:
        return ""
    rows = [[text(each.step.name), text(each.machine), spent(each), money(each.usd)] for each in jobs]
    if any(each.seconds for each in jobs):
        together = f"{sum(each.seconds for each in jobs):.0f} s"
        rows.append(["together", "", together, money(sum(each.usd for each in jobs if each.usd is not None))])
    return table(["step", "machines", "time", "cost on AWS"], rows, f"What the newest run of {found.name} used")


def money(usd: float | None) -> str:
    return "" if usd is None else f"{number(usd)} USD"


def history(found: Shown) -> str:
    dots = "".join(
        f'<i class="dot {MOODS.get(each.status, "")}" title="{each.started:%d %b %H:%M} {text(each.status)}"></i>'
        for each in reversed(found.runs)
    )
    return f'<p class="runs" aria-label="The last runs, oldest first">{dots} the last {len(found.runs)} runs</p>'
