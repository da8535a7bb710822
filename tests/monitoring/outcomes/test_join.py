"""The join survives everything that happens to outcomes on their way."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from contract.records import CaptureRecord, Outcome, Payload, Schema
from monitoring.capture import Span
from monitoring.outcomes.join import OUTCOMES, PREDICTIONS, JoinError, join
from monitoring.outcomes.received import read_outcomes, read_predictions
from monitoring.storage import folder

START = datetime(2026, 1, 1, tzinfo=UTC)


def predictions(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {
        "join_key": "a",
        "row": 0,
        "variant": "champion",
        "time": START,
        "predicted": "yes",
        "predicted_probability": 0.9,
    }
    return pl.DataFrame([usual | row for row in rows], schema=dict(PREDICTIONS))


def outcomes(*rows: dict[str, Any]) -> pl.DataFrame:
    later = START + timedelta(hours=5)
    usual = {"join_key": "a", "row": 0, "outcome": "yes", "learned": later, "arrived": later}
    return pl.DataFrame([usual | row for row in rows], schema=dict(OUTCOMES))


def test_a_prediction_gets_its_outcome_and_one_without_keeps_waiting() -> None:
    joined = join(predictions({}, {"join_key": "b"}), outcomes({}))
    assert dict(joined.frame.select("join_key", "outcome").iter_rows()) == {"a": "yes", "b": None}
    assert joined.counts.joined == 1
    assert joined.known.height == 1


def test_the_newest_of_several_outcomes_counts_and_the_contradiction_is_told() -> None:
    newer = {"outcome": "no", "learned": START + timedelta(days=3)}
    for given_outcomes in (outcomes({}, newer), outcomes(newer, {})):
        joined = join(predictions({}), given_outcomes)
        assert joined.frame["outcome"].to_list() == ["no"]
        assert (joined.counts.repeated_outcomes, joined.counts.contradicting_outcomes) == (1, 1)
        assert joined.frame["arrived"].to_list() == [START + timedelta(hours=5)]


def test_a_prediction_captured_twice_counts_once() -> None:
    joined = join(predictions({}, {}, {"time": START + timedelta(seconds=9)}), outcomes({}, {}))
    assert joined.frame.height == 1
    assert joined.counts.repeated_predictions == 2
    assert joined.counts.contradicting_outcomes == 0


def test_rows_of_one_request_are_told_apart() -> None:
    joined = join(predictions({"row": 0}, {"row": 1}), outcomes({"row": 1, "outcome": "no"}))
    assert joined.frame["outcome"].to_list() == [None, "no"]


def test_what_has_no_key_no_value_or_no_prediction_is_counted_not_joined() -> None:
    odd = outcomes({"join_key": None}, {"join_key": " "}, {"outcome": None}, {"outcome": ""}, {"join_key": "nobody"})
    joined = join(predictions({}, {"join_key": None}), odd)
    found = joined.counts
    assert (found.without_key, found.without_value, found.without_prediction, found.joined) == (3, 2, 1, 0)
    assert joined.frame.height == 1


def test_outcomes_of_no_known_class_are_counted_by_what_they_say_and_left_out() -> None:
    odd = [{"outcome": value, "learned": START + timedelta(days=2)} for value in ("YES", "1", "YES", "maybe" * 20)]
    joined = join(
        predictions({}, {"join_key": "b"}), outcomes({}, *odd, {"join_key": "b", "outcome": "0"}), ["no", "yes"]
    )
    assert dict(joined.frame.select("join_key", "outcome").iter_rows()) == {"a": "yes", "b": None}
    assert (joined.counts.of_no_known_class, joined.counts.outcomes, joined.counts.contradicting_outcomes) == (5, 1, 0)
    assert joined.unknown == {"YES": 2, "0": 1, "1": 1, ("maybe" * 20)[:40]: 1}
    assert join(predictions({}), outcomes({"outcome": "31.5"})).counts.of_no_known_class == 0


def test_an_outcome_learned_before_its_prediction_is_joined_and_told() -> None:
    joined = join(predictions({}), outcomes({"learned": START - timedelta(hours=1)}))
    assert joined.counts.before_prediction == 1
    assert joined.counts.joined == 1


def test_nothing_joins_with_nothing() -> None:
    joined = join(predictions(), outcomes())
    assert joined.frame.is_empty()
    assert joined.counts.predictions == 0


def test_a_frame_without_its_columns_is_refused_by_name() -> None:
    with pytest.raises(JoinError, match="missing: outcome, learned, arrived"):
        join(predictions({}), outcomes({}).drop("outcome", "learned", "arrived"))


def ten_thousand_events(seed: int) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]:
    """Predictions and outcomes as a bad week delivers them, and the truth that should come out."""
    dice = random.Random(seed)
    made: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    truth: dict[str, str] = {}
    for number in range(10_000):
        key = f"id-{number}"
        time = START + timedelta(seconds=number * 30)
        prediction = {"join_key": key, "time": time, "variant": dice.choice(["champion", "challenger"])}
        made += [prediction] * dice.choice([1, 1, 1, 1, 2, 3])
        fate = dice.random()
        if fate < 0.25:
            continue
        if fate < 0.3:
            told.append({"join_key": dice.choice([None, "", f"nobody-{number}"]), "outcome": "yes"})
            continue
        delay = timedelta(hours=dice.expovariate(1 / 48))
        values = [dice.choice(["yes", "no"]) for _ in range(dice.choice([1, 1, 1, 2, 3]))]
        for turn, value in enumerate(values):
            learned = time + delay + timedelta(hours=turn)
            row = {
                "join_key": key,
                "outcome": value,
                "learned": learned,
                "arrived": learned + timedelta(hours=dice.randint(0, 9)),
            }
            told += [row] * dice.choice([1, 1, 2])
        truth[key] = values[-1]
    dice.shuffle(made)
    dice.shuffle(told)
    return predictions(*made), outcomes(*told), truth


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_thousand_events_late_repeated_disordered_and_lost_give_exactly_the_truth(seed: int) -> None:
    made, told, truth = ten_thousand_events(seed)
    joined = join(made, told)
    assert joined.frame.height == 10_000
    assert dict(joined.known.select("join_key", "outcome").iter_rows()) == truth
    found = joined.counts
    assert found.predictions + found.repeated_predictions == made.height
    assert found.outcomes + found.repeated_outcomes + found.without_key + found.without_value == told.height
    assert found.joined + found.without_prediction == found.outcomes


@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_events_give_exactly_the_truth_from_the_files_they_stand_in(
    seed: int, tmp_path: Path, schema: Schema
) -> None:
    made, told, truth = ten_thousand_events(seed)
    captured, delivered = captured_files(made, tmp_path / "capture", seed), delivered_files(told, tmp_path / "outcomes")
    span = Span(START, START + timedelta(days=60))
    seen = read_predictions(folder(tmp_path / "capture"), captured, schema, span)
    heard = read_outcomes(folder(tmp_path / "outcomes"), delivered, span)
    assert seen.tally.quarantined == heard.tally.quarantined == 0
    joined = join(seen.frame, heard.frame)
    assert joined.frame.height == 10_000
    assert joined.counts.repeated_predictions == made.height - 10_000
    assert dict(joined.known.select("join_key", "outcome").iter_rows()) == truth
    assert joined.known["row"].max() == 0


def test_a_request_of_several_rows_captured_twice_in_one_file_stands_once(tmp_path: Path, schema: Schema) -> None:
    two = Payload("40,20000,north\n41,20000,south", "CSV", "text/csv")
    one = Payload("42,20000,east", "CSV", "text/csv")
    lines = [
        CaptureRecord(
            "two", "2026-01-01T00:00:01Z", two, Payload("yes,0.2,0.8\nno,0.9,0.1", "CSV", "text/csv")
        ).to_line(),
        CaptureRecord("one", "2026-01-01T00:00:02Z", one, Payload("no,0.7,0.3", "CSV", "text/csv")).to_line(),
    ]
    for name, order in (("doubled", [0, 0, 1, 1]), ("mixed", [0, 1, 0, 1]), ("reread", [1, 0, 1, 0])):
        (tmp_path / name).write_text("\n".join(lines[each] for each in order) + "\n")
        frame = read_predictions(folder(tmp_path), {"champion": [name]}, schema, Span()).frame
        joined = join(frame, outcomes({"join_key": "two", "row": 1, "outcome": "no"}))
        rows = joined.frame.sort("join_key", "row").select("join_key", "row", "predicted", "outcome").rows()
        assert rows == [("one", 0, "no", None), ("two", 0, "yes", None), ("two", 1, "no", "no")]
        assert joined.counts.repeated_predictions == 3


@pytest.mark.parametrize(
    ("name", "learned", "arrived"),
    [
        ("2026/01/01/05/a.jsonl", "2026-01-01T05:20:00Z", timedelta(hours=5, minutes=20)),
        ("2026/01/01/05/a.jsonl", "2026-01-01T02:20:00Z", timedelta(hours=6)),
        ("2026/01/01/05/a.jsonl", None, timedelta(hours=6)),
        ("2026/01/01/09/a.jsonl", None, timedelta(hours=9, minutes=5)),
        ("a.jsonl", "2026-01-01T02:20:00Z", timedelta(hours=7)),
    ],
)
def test_an_outcome_arrives_within_the_hour_of_its_file_or_when_that_was_modified(
    tmp_path: Path, name: str, learned: str | None, arrived: timedelta
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Outcome("a", "yes", learned).to_line())
    os.utime(path, (modified := (START + timedelta(hours=7)).timestamp(), modified))
    span = Span(START, START + timedelta(hours=9, minutes=5))
    assert read_outcomes(folder(tmp_path), [name], span).frame["arrived"].to_list() == [START + arrived]


def test_an_object_that_is_not_filed_by_hour_arrived_when_s3_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DEFAULT_REGION", "eu-west-1"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket="data", Key="outcomes/a.jsonl", Body=Outcome("a", "yes").to_line())
        frame = read_outcomes(folder("s3://data/outcomes"), ["a.jsonl"], Span()).frame
        assert frame["arrived"].to_list() == [s3.head_object(Bucket="data", Key="outcomes/a.jsonl")["LastModified"]]


def captured_files(made: pl.DataFrame, place: Path, seed: int) -> dict[str, list[str]]:
    """Capture files of a few hundred records, with what was captured twice mostly in the same one."""
    dice, files = random.Random(seed), dict[str, list[str]]()
    for (variant,), frame in made.sort("time").group_by("variant", maintain_order=True):
        for number, part in enumerate(frame.iter_slices(700)):
            lines = [
                CaptureRecord(
                    row["join_key"],
                    row["time"].strftime("%Y-%m-%dT%H:%M:%SZ"),
                    Payload("40,20000,north", "CSV", "text/csv"),
                    Payload("yes,0.1,0.9", "CSV", "text/csv"),
                ).to_line()
                for row in part.iter_rows(named=True)
            ]
            dice.shuffle(lines)
            name = f"{variant}-{number}.jsonl"
            place.mkdir(exist_ok=True)
            (place / name).write_text("\n".join(lines) + "\n")
            files.setdefault(str(variant), []).append(name)
    return files


def delivered_files(told: pl.DataFrame, place: Path) -> list[str]:
    """Outcomes by the hour in which they arrive."""
    names = []
    for (hour,), part in told.group_by(pl.col("arrived").dt.truncate("1h")):
        assert isinstance(hour, datetime)
        lines = [
            json.dumps(
                {
                    "groundTruthData": {"data": row["outcome"], "encoding": "CSV"},
                    "eventMetadata": {"eventId": row["join_key"], "inferenceTime": row["learned"].isoformat()},
                }
            )
            for row in part.iter_rows(named=True)
        ]
        name = f"{hour:%Y/%m/%d/%H}/outcomes.jsonl"
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text("\n".join(lines))
        names.append(name)
    return names


def test_reading_everything_again_in_another_order_changes_nothing() -> None:
    made, told, _ = ten_thousand_events(4)
    once = join(made, told).frame
    again = join(pl.concat([made, made.reverse()]), pl.concat([told.reverse(), told])).frame
    assert once.equals(again)


keys = st.sampled_from(["a", "b", "c", "", None])
hours = st.integers(-3, 6).map(lambda h: START + timedelta(hours=h))
made_rows = st.lists(st.fixed_dictionaries({"join_key": keys, "row": st.integers(0, 1), "time": hours}), max_size=8)
told_rows = st.lists(
    st.fixed_dictionaries(
        {
            "join_key": keys,
            "row": st.integers(0, 1),
            "outcome": st.sampled_from(["yes", "no", "", None]),
            "learned": st.one_of(st.none(), hours),
            "arrived": hours,
        }
    ),
    max_size=8,
)


@given(made_rows, told_rows, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_join_depends_on_what_was_received_never_on_how_often_or_in_what_order(
    made: list[dict[str, Any]], told: list[dict[str, Any]], dice: random.Random
) -> None:
    once = join(predictions(*made), outcomes(*told))
    more_made, more_told = made + made[:2], told + told[-2:]
    dice.shuffle(more_made)
    dice.shuffle(more_told)
    again = join(predictions(*more_made), outcomes(*more_told))
    assert once.frame.equals(again.frame)
    assert once.counts.joined == again.counts.joined
    assert once.frame.select("join_key", "row").is_unique().all()
