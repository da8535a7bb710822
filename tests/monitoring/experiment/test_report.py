"""The pages of experiments and of quality in a real browser: no errors, no network, the data on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitoring.experiment.experiment import Experiment, Metric
from monitoring.experiment.judge import judge
from monitoring.experiment.looks import Arm, Look, Progress, Tally
from monitoring.report import experiment, outcomes

MEASURE = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 400}


def of_an_experiment() -> str:
    progress = Progress(Experiment("spring", Metric("conversion", "rate", 0.10, 0.02)))
    for number in range(30):
        arms = [
            Arm(500, Tally(500, events), {"errors": Tally(500, 1), "latency_p99": Tally(500, 5)}) for events in (50, 75)
        ]
        progress = progress.add(Look(f"2026-11-01T{number:02}:00:00Z", *arms))
    latency = {"champion": {"p50": 900.0, "p99": 4000.0}, "challenger": {"p50": 800.0, "p99": 4100.0}}
    return experiment.page(experiment.document(progress, judge(progress), "churn", "2026-11-20T00:00:00Z", latency))


def of_quality() -> str:
    parts = [
        {
            "variant": "champion",
            "slice": where,
            "measures": {"auc": MEASURE, "recall_yes": MEASURE},
            "estimate": {"auc": MEASURE},
            "coverage": {"share": MEASURE, "by_age_hours": {"24": MEASURE}, "median_delay_hours": 12.0},
            "below_threshold": [] if where else ["auc"],
        }
        for where in ("", "region=south <b>")
    ]
    bins = [{"promised": each / 10, "happened": MEASURE} for each in range(10)]
    return outcomes.page(
        {
            "endpoint": "churn", "since": "2026-11-01", "made": "2026-11-20", "main": "auc",
            "thresholds": {"auc": 0.95},
            "counts": {"predictions": 500, "joined": 400}, "parts": parts, "decayed": {"champion": ["yes"]},
            "reference": {"auc": MEASURE}, "calibration": {"champion": bins},
        }
    )  # fmt: skip


PAGES = {
    "experiment": (of_an_experiment, ("Promote", "conversion", "errors not 2 times the champion's", "15.000%")),
    "quality": (of_quality, ("wrong side of its threshold", "misses yes", "region=south <b>", "estimate")),
}


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_on_a_phone_without_errors_and_shows_its_data(browser: Any, tmp_path: Path, name: str) -> None:
    made, words = PAGES[name]
    path = tmp_path / "report.html"
    path.write_text(made(), encoding="utf-8")
    assert path.stat().st_size < 2_000_000
    context = browser.new_context(offline=True, viewport={"width": 375, "height": 800}, color_scheme="dark")
    problems: list[str] = []
    tab = context.new_page()
    tab.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda problem: problems.append(str(problem)))
    tab.goto(path.as_uri())
    figures = tab.locator("figure.plot").all()
    for place in figures:
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for()
    assert figures
    shown = tab.locator("body").inner_text()
    assert [word for word in words if word not in shown] == []
    assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert problems == []
    context.close()
