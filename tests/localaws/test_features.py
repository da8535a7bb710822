"""The feature store serves the newest record at once and leaves all of them as Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from localaws.app import App, start
from localaws.clock import Clock


@pytest.fixture
def app(settings: Any, tmp_path: Path) -> Iterator[App]:
    running = start(settings(tmp_path), clock=Clock.stepped(datetime(2026, 3, 2, 10, 30, tzinfo=UTC)))
    yield running
    running.stop()


@pytest.fixture
def group(app: App) -> str:
    sagemaker, s3 = (app.plane.clients.get(name, "123456789012", "eu-west-1") for name in ("sagemaker", "s3"))
    s3.create_bucket(Bucket=f"features{id(app)}", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sagemaker.create_feature_group(
        FeatureGroupName="people",
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=[
            {"FeatureName": "id", "FeatureType": "String"},
            {"FeatureName": "at", "FeatureType": "String"},
            {"FeatureName": "age", "FeatureType": "Integral"},
        ],
        OnlineStoreConfig={"EnableOnlineStore": True},
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://features{id(app)}/store"}},
        RoleArn="arn:aws:iam::123456789012:role/features",
    )
    return "people"


def runtime(app: App) -> Any:
    return app.plane.clients.get("sagemaker-featurestore-runtime", "123456789012", "eu-west-1")


def put(app: App, group: str, age: str, at: str = "2026-03-02T10:00:00Z") -> None:
    record = [{"FeatureName": name, "ValueAsString": value} for name, value in (("id", "7"), ("at", at), ("age", age))]
    runtime(app).put_record(FeatureGroupName=group, Record=record)


def age(app: App, group: str) -> str | None:
    found = runtime(app).get_record(FeatureGroupName=group, RecordIdentifierValueAsString="7", FeatureNames=["age"])
    return found["Record"][0]["ValueAsString"] if "Record" in found else None


def test_the_newest_event_wins_whenever_it_arrives(app: App, group: str) -> None:
    put(app, group, "30", "2026-03-02T10:00:00Z")
    put(app, group, "29", "2026-03-01T10:00:00Z")
    assert age(app, group) == "30"
    runtime(app).delete_record(
        FeatureGroupName=group, RecordIdentifierValueAsString="7", EventTime="2026-03-02T11:00:00Z"
    )
    assert age(app, group) is None


def test_records_land_offline_as_parquet_by_the_hour_of_their_event(app: App, group: str) -> None:
    put(app, group, "30")
    put(app, group, "31", "2026-03-02T11:20:00Z")
    app.plane.clock.advance(600)
    sagemaker, s3 = (app.plane.clients.get(name, "123456789012", "eu-west-1") for name in ("sagemaker", "s3"))
    config = sagemaker.describe_feature_group(FeatureGroupName=group)["OfflineStoreConfig"]
    bucket, _, prefix = config["S3StorageConfig"]["ResolvedOutputS3Uri"].removeprefix("s3://").partition("/")
    keys = sorted(item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"])
    assert [key.removeprefix(prefix).rpartition("/")[0] for key in keys] == [
        "/year=2026/month=03/day=02/hour=10",
        "/year=2026/month=03/day=02/hour=11",
    ]
    frame = pl.read_parquet(io.BytesIO(s3.get_object(Bucket=bucket, Key=keys[0])["Body"].read()))
    assert frame.select("id", "age", "is_deleted").rows() == [("7", 30, False)]


def test_a_value_of_the_wrong_type_is_refused(app: App, group: str) -> None:
    with pytest.raises(ClientError, match="age is Integral"):
        put(app, group, "old")


def test_a_feature_can_be_added_once(app: App, group: str) -> None:
    sagemaker = app.plane.clients.get("sagemaker", "123456789012", "eu-west-1")
    new = [{"FeatureName": "score", "FeatureType": "Fractional"}]
    sagemaker.update_feature_group(FeatureGroupName=group, FeatureAdditions=new)
    with pytest.raises(ClientError, match="cannot be added again"):
        sagemaker.update_feature_group(FeatureGroupName=group, FeatureAdditions=new)
