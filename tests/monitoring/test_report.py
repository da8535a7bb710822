"""Reports in a real browser: no errors, no network, the data on the page, on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import plotly
import polars as pl
import pytest

from contract.records import Column, Schema
from monitoring.baseline import Baseline, Rows, build
from monitoring.capture import Span, Tally
from monitoring.profile import count
from monitoring.report import page
from monitoring.report.outcomes import page as outcomes_page
from monitoring.report.window import Point, to_bytes
from monitoring.report.window import page as window_page
from monitoring.verdict import sums_of
from monitoring.watch import Judged, Past, Settings, judged
from monitoring.window import Window

COLUMNS = 40
LIMIT = 2_000_000


def frame(rows: int, seed: int, shift: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    numbers = {f"column {i}": rng.standard_normal(rows) + (shift if i == 3 else 0.0) for i in range(COLUMNS)}
    return pl.DataFrame({**numbers, "kind <b>": rng.choice(["a", "b & c", "<script>alert(1)</script>"], size=rows)})


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    columns = (*(Column(f"column {i}", "number") for i in range(COLUMNS)), Column("kind <b>", "category"))
    return build(lambda: [Rows(frame(20_000, 1))], Schema(columns, "y", "regression"))


@pytest.fixture(scope="module")
def drifted(baseline: Baseline) -> Judged:
    start = datetime.fromisoformat("2026-11-20T00:00:00+00:00")
    past = []
    for hour in range(48):
        sums = sums_of(count(frame(200, 100 + hour), baseline.layout))
        since = start + timedelta(hours=hour)
        point = Point(since.isoformat(), 200, "quiet", dict.fromkeys(baseline.layout.names, 0.1 + hour / 100))
        past.append(Past(sums, since, since + timedelta(hours=1), point))
    tally = Tally(files=2, records=3_003, quarantined=3)
    tally.reasons["not JSON (cut off or damaged)"] = 3
    tally.absent["column 7"] = 3_000
    now = start + timedelta(hours=49)
    window = Window(count(frame(3_000, 9, shift=0.8), baseline.layout), tally, Span(now - timedelta(hours=1), now))
    served = {"requests": 3_000, "errors": 6, "latency": {"p10": 900.0, "p50": 1_500.0, "p99": 9_000.0}}
    return judged(window, baseline, past, Settings("churn", "champion"), now, served=served)


@pytest.fixture(scope="module")
def report_file(drifted: Judged, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(window_page(drifted.document), encoding="utf-8")
    return path


def test_the_bundle_is_the_plotly_that_draws_the_figures() -> None:
    whole = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    version = next(line for line in whole.read_text().splitlines()[:5] if "plotly.js" in line).split("v")[-1]
    assert f"v{version}" in page.bundle()[:200]


def test_a_report_is_one_file_below_two_megabytes_that_names_no_place_on_the_network(report_file: Path) -> None:
    text = report_file.read_text(encoding="utf-8")
    assert len(text.encode()) < LIMIT
    own = text.replace(page.bundle(), "")
    assert "http://" not in own
    assert "https://" not in own


def test_a_report_of_many_columns_and_windows_stays_below_two_megabytes(drifted: Judged) -> None:
    known = drifted.document["columns"]
    names = [f"{i} {'long name of a column ' * 3}" for i in range(400)]
    columns = [{**known[i % len(known)], "name": name} for i, name in enumerate(names)]
    effects = dict.fromkeys(names, 0.123)
    hours = [f"2026-11-{i // 24 + 1:02d}T{i % 24:02d}:00:00+00:00" for i in range(127)]
    past = [{"since": hour, "rows": 9, "status": "quiet", "effects": effects} for hour in hours]
    verdict = {**drifted.document["verdict"], "effects": effects}
    text = window_page({**drifted.document, "columns": columns, "past": past, "verdict": verdict})
    assert len(text.encode()) < LIMIT


def test_a_report_of_long_names_and_very_many_rows_stays_below_two_megabytes(drifted: Judged) -> None:
    said, long = ", ".join(f"{'level' * 12} {i}" for i in range(20)), "name " * 4_000
    violations = [
        {"feature_name": f"{long}{i}", "constraint_check_type": "categorical_values_check", "description": said}
        for i in range(3_000)
    ]
    reasons = {f"{i} fields in a row": 1 for i in range(20_000)}
    document = dict(drifted.document) | {"violations": violations}
    document["tally"] = drifted.document["tally"] | {"reasons": reasons}
    document["columns"] = [each | {"name": f"{long}{i}"} for i, each in enumerate(drifted.document["columns"])]
    html = window_page(document)
    assert len(html.encode()) < LIMIT
    assert "and 2,750 more" in html


def test_a_report_of_quality_by_thousands_of_slices_stays_below_two_megabytes() -> None:
    interval = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 5}
    coverage = {"share": interval, "median_delay_hours": 1.0, "by_age_hours": {}}
    part = {"variant": "champion", "coverage": coverage, "measures": {f"measure {i}": interval for i in range(8)},
            "estimate": {}, "below_threshold": []}  # fmt: skip
    document = {
        "endpoint": "churn", "made": "", "since": "", "main": "accuracy", "thresholds": {}, "decayed": {},
        "parts": [part | {"slice": None}, *(part | {"slice": f"{'town ' * 500}{i}"} for i in range(3_000))],
        "counts": {"predictions": 15_000, "joined": 12_000}, "calibration": {}, "reference": {},
    }  # fmt: skip
    html = outcomes_page(document)
    assert len(html.encode()) < LIMIT
    assert "and 2,750 more" in html


def test_names_and_levels_from_outside_are_never_markup(report_file: Path) -> None:
    text = report_file.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "kind <b>" not in text


def test_the_json_twin_holds_no_infinity(drifted: Judged) -> None:
    assert b"Infinity" not in to_bytes(drifted.document)


def test_a_report_of_nothing_is_still_a_report(baseline: Baseline, drifted: Judged) -> None:
    empty = Window(count(frame(1, 1).clear(), baseline.layout), Tally())
    result = judged(
        empty, baseline, [], Settings("churn", "champion"), datetime.fromisoformat("2026-11-20T00:00:00+00:00")
    )
    assert "Not enough data" in window_page(result.document)


Opened = tuple[Any, list[str]]


@pytest.fixture
def opened(browser: Any, report_file: Path) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def opening(**settings: Any) -> Opened:
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        tab, problems = context.new_page(), list[str]()
        tab.on(
            "console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None
        )
        tab.on("pageerror", lambda problem: problems.append(str(problem)))
        tab.on("requestfailed", lambda request: problems.append(request.url))
        tab.goto(report_file.as_uri())
        return tab, problems

    yield opening
    for context in contexts:
        context.close()


SIGHTS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 375, "height": 800}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"},
}


@pytest.mark.browser
@pytest.mark.parametrize("settings", SIGHTS.values(), ids=SIGHTS)
def test_a_report_opens_without_errors_and_shows_its_data(
    opened: Callable[..., Opened], settings: dict[str, Any]
) -> None:
    tab, problems = opened(**settings)
    tab.locator("figure.plot.drawn").first.wait_for()
    for place in tab.locator("figure.plot").all():
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for()
    assert tab.locator("figure.plot.drawn").count() == tab.locator("figure.plot").count() > 10
    said = tab.locator("header").inner_text()
    assert "Drift" in said
    assert "3,000" in said
    body = tab.locator("main").inner_text()
    assert "column 3" in body
    assert "missing_column_check" in body
    assert "not JSON" in body
    assert "6 of 3,000 requests failed inside the container (0.200%)" in body
    assert tab.locator("figure.plot path.js-line").count() > 10
    assert tab.locator("figure.plot .hm image, figure.plot .heatmaplayer image").count() >= 1
    wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    assert problems == []


@pytest.mark.browser
def test_dark_and_light_differ_and_follow_the_reader(opened: Callable[..., Opened]) -> None:
    tab, problems = opened(color_scheme="light")
    light = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert problems == []
