"""The feature store: groups, the online store, and the offline store as Parquet in S3."""

from __future__ import annotations

import io
import secrets
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localaws import resources
from localaws.announce import announce
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Operation, Request, Service
from localaws.kinds import FEATURE_GROUP
from localaws.objects import Objects, join
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

OFFLINE_DELAY = 300.0  # seconds of the clock until records are in the offline store (SageMaker: within 15 minutes)
WAITING = "feature-offline"  # the store's kind for records on their way there
TYPES = {"Integral": "Int64", "Fractional": "Float64", "String": "String"}  # in polars, which is slow to import


def operations(plane: Plane) -> Mapping[str, Operation]:
    groups = Groups(plane)
    return {
        **resources.operations(FEATURE_GROUP, plane.clock.now),
        "CreateFeatureGroup": groups.create,
        "UpdateFeatureGroup": groups.update,
        "DeleteFeatureGroup": groups.delete,
        "DescribeFeatureMetadata": groups.describe_feature,
        "UpdateFeatureMetadata": groups.update_feature,
    }


def runtime(plane: Plane) -> Service:
    """The data plane: records in and out."""
    records = Records(plane)
    table = {
        "PutRecord": records.put,
        "GetRecord": records.get,
        "DeleteRecord": records.delete,
        "BatchGetRecord": records.get_many,
    }
    return Service("sagemaker-featurestore-runtime", table, complete=True)


class Groups:
    """The verbs of feature groups."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def create(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self._plane.clock.now()
        names = [feature["FeatureName"] for feature in params["FeatureDefinitions"]]
        for member in ("RecordIdentifierFeatureName", "EventTimeFeatureName"):
            if params[member] not in names:
                raise ValidationException(f"{member} {params[member]!r} is not among the FeatureDefinitions.")
        online = params.get("OnlineStoreConfig", {}).get("EnableOnlineStore", False)
        if not online and "OfflineStoreConfig" not in params:
            raise ValidationException("A feature group needs an online store, an offline store, or both.")
        body: Body = {**resources.without(params, "Tags"), "FeatureGroupStatus": "Created"}
        if "OfflineStoreConfig" in params:
            body |= {
                "OfflineStoreConfig": self._offline(scope, params, now),
                "OfflineStoreStatus": {"Status": "Active"},
            }
        name = params["FeatureGroupName"]
        row = resources.add(FEATURE_GROUP, scope, name, body, now=now, tags=params.get("Tags", ()))
        self._announce(scope, row)
        return {"FeatureGroupArn": row.arn}

    def _offline(self, scope: Scope, params: Mapping[str, Any], now: float) -> Body:
        config = params["OfflineStoreConfig"]
        name = f"{params['FeatureGroupName']}-{int(now)}"
        base = config["S3StorageConfig"]["S3Uri"]
        resolved = join(base, scope.account, "sagemaker", scope.region, "offline-store", name, "data")
        catalog = {
            "TableName": name.replace("-", "_").lower(),
            "Catalog": "AwsDataCatalog",
            "Database": "sagemaker_featurestore",
        }
        return {
            "DisableGlueTableCreation": False,
            "TableFormat": "Glue",
            "DataCatalogConfig": catalog,
            **config,
            "S3StorageConfig": {**config["S3StorageConfig"], "ResolvedOutputS3Uri": resolved},
        }

    def update(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = resources.find(FEATURE_GROUP, request.scope, params["FeatureGroupName"])
        new: Body = {"LastUpdateStatus": {"Status": "Successful"}}
        additions = params.get("FeatureAdditions", [])
        known = {feature["FeatureName"] for feature in row.body["FeatureDefinitions"]}
        twice = [feature["FeatureName"] for feature in additions if feature["FeatureName"] in known]
        if twice:
            raise ValidationException(f"Features that exist cannot be added again: {', '.join(twice)}.")
        if additions:
            new["FeatureDefinitions"] = [*row.body["FeatureDefinitions"], *additions]
        for member in ("OnlineStoreConfig", "ThroughputConfig"):
            if member in params:
                new[member] = {**row.body.get(member, {}), **params[member]}
        resources.change(FEATURE_GROUP, request.scope, row.name, new, now=self._plane.clock.now())
        return {"FeatureGroupArn": row.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        scope = request.scope
        row = resources.find(FEATURE_GROUP, scope, request.params["FeatureGroupName"])
        for record in scope.all(_online(row.name)):
            scope.remove(record.kind, record.name)
        scope.remove(FEATURE_GROUP.kind, row.name)
        return {}

    def describe_feature(self, request: Request) -> dict[str, Any]:
        row, feature = self._feature(request)
        notes = row.body.get("FeatureNotes", {}).get(feature["FeatureName"], {})
        return {**row.body, **feature, "Description": None, **notes}

    def update_feature(self, request: Request) -> dict[str, Any]:
        params = request.params
        row, feature = self._feature(request)
        notes = row.body.get("FeatureNotes", {})
        mine = dict(notes.get(feature["FeatureName"], {}))
        if "Description" in params:
            mine["Description"] = params["Description"]
        kept = {item["Key"]: item for item in (*mine.get("Parameters", ()), *params.get("ParameterAdditions", ()))}
        mine["Parameters"] = [item for key, item in kept.items() if key not in params.get("ParameterRemovals", ())]
        new = {"FeatureNotes": {**notes, feature["FeatureName"]: mine}}
        resources.change(FEATURE_GROUP, request.scope, row.name, new, now=self._plane.clock.now())
        return {}

    def _feature(self, request: Request) -> tuple[Resource, Body]:
        row = resources.find(FEATURE_GROUP, request.scope, request.params["FeatureGroupName"])
        name = request.params["FeatureName"]
        for feature in row.body["FeatureDefinitions"]:
            if feature["FeatureName"] == name:
                return row, feature
        raise ValidationException(f"Feature {name} is not in feature group {row.name}.")

    def _announce(self, scope: Scope, row: Resource) -> None:
        announce(self._plane.courier, scope, "SageMaker Feature Group State Change", row.body, [row.arn])


class Records:
    """Puts and gets; what goes offline waits in the store until it is written."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._flushing: set[tuple[str, str, str]] = set()

    def put(self, request: Request) -> dict[str, Any]:
        row = self._group(request.scope, request.params["FeatureGroupName"])
        record = {item["FeatureName"]: _value(item) for item in request.params["Record"]}
        self._check(row, record)
        self._write(request, row, record, deleted=False)
        return {}

    def delete(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = self._group(request.scope, params["FeatureGroupName"])
        identifier, moment = row.body["RecordIdentifierFeatureName"], row.body["EventTimeFeatureName"]
        record = {identifier: params["RecordIdentifierValueAsString"], moment: params["EventTime"]}
        self._write(request, row, record, deleted=True)
        return {}

    def get(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = self._group(request.scope, params["FeatureGroupName"])
        record = self._read(request.scope, row, params["RecordIdentifierValueAsString"], params.get("FeatureNames"))
        return {"Record": record} if record else {}

    def get_many(self, request: Request) -> dict[str, Any]:
        found: list[Body] = []
        for asked in request.params["Identifiers"]:
            row = self._group(request.scope, asked["FeatureGroupName"])
            for value in asked["RecordIdentifiersValueAsString"]:
                record = self._read(request.scope, row, value, asked.get("FeatureNames"))
                if record:
                    found.append(
                        {
                            "FeatureGroupName": row.name,
                            "RecordIdentifierValueAsString": value,
                            "Record": record,
                        }
                    )
        return {"Records": found, "Errors": [], "UnprocessedIdentifiers": []}

    def _group(self, scope: Scope, name: str) -> Resource:
        row = scope.store.by_arn(name) if name.startswith("arn:") else scope.get(FEATURE_GROUP.kind, name)
        if row is None:
            raise FEATURE_GROUP.missing(name, name)
        return row

    def _check(self, row: Resource, record: Mapping[str, Any]) -> None:
        known = {feature["FeatureName"]: feature["FeatureType"] for feature in row.body["FeatureDefinitions"]}
        unknown = set(record) - set(known)
        if unknown:
            raise _invalid(f"Validation Error: FeatureNames {sorted(unknown)} are not in the feature group.")
        for member in ("RecordIdentifierFeatureName", "EventTimeFeatureName"):
            if not record.get(row.body[member]):
                raise _invalid(f"Missing mandatory FeatureName {row.body[member]}")
        for name, value in record.items():
            _as_type(name, known[name], value)

    def _write(self, request: Request, row: Resource, record: dict[str, Any], *, deleted: bool) -> None:
        scope, params = request.scope, request.params
        stores = params.get("TargetStores", ["OnlineStore", "OfflineStore"])
        moment = str(record[row.body["EventTimeFeatureName"]])
        if "OnlineStore" in stores and row.body.get("OnlineStoreConfig", {}).get("EnableOnlineStore"):
            self._write_online(scope, row, record, moment, deleted=deleted)
        if "OfflineStore" in stores and "OfflineStoreConfig" in row.body:
            now = self._plane.clock.now()
            body = {"group": row.name, "record": record, "at": now, "deleted": deleted}
            scope.add(WAITING, f"{row.name}/{now}/{secrets.token_hex(8)}", secrets.token_hex(16), body, created=now)
            self._plan_flush(scope, row)

    def _write_online(self, scope: Scope, row: Resource, record: Body, moment: str, *, deleted: bool) -> None:
        """The newest event wins, whenever it arrives."""
        name = str(record[row.body["RecordIdentifierFeatureName"]])
        with scope.store.lock:
            before = scope.get(_online(row.name), name)
            if before and _instant(before.body["time"]) > _instant(moment):
                return
            if before:
                scope.remove(before.kind, name)
            body = {"record": record, "time": moment, "deleted": deleted, "expires": self._expiry(row, moment)}
            scope.add(_online(row.name), name, f"{row.arn}#{name}", body, created=self._plane.clock.now())

    def _expiry(self, row: Resource, moment: str) -> float | None:
        ttl = row.body.get("OnlineStoreConfig", {}).get("TtlDuration")
        seconds = {"Seconds": 1, "Minutes": 60, "Hours": 3600, "Days": 86400, "Weeks": 604800}
        return _instant(moment) + ttl["Value"] * seconds[ttl["Unit"]] if ttl else None

    def _read(self, scope: Scope, row: Resource, identifier: str, names: list[str] | None) -> list[Body]:
        if not row.body.get("OnlineStoreConfig", {}).get("EnableOnlineStore"):
            raise _invalid(f"The online store of feature group {row.name} is not enabled.")
        found = scope.get(_online(row.name), identifier)
        if found is None or found.body["deleted"]:
            return []
        expires = found.body["expires"]
        if expires is not None and expires < self._plane.clock.now():
            return []
        record: Body = found.body["record"]
        return [_shown(name, value) for name, value in record.items() if names is None or name in names]

    # --- offline

    def _plan_flush(self, scope: Scope, row: Resource) -> None:
        key = (scope.account, scope.region, row.name)
        if key in self._flushing:
            return
        self._flushing.add(key)

        def later() -> None:
            self._flushing.discard(key)
            self._plane.clock.spawn(lambda: flush(self._plane, scope, row.name), f"offline store of {row.name}")

        self._plane.clock.call_later(OFFLINE_DELAY, later, f"offline store of {row.name}")


def flush(plane: Plane, scope: Scope, group: str) -> None:
    """Write what waits for a group's offline store, one Parquet file per hour of event time."""
    row = scope.get(FEATURE_GROUP.kind, group)
    waiting = [item for item in scope.all(WAITING) if item.body["group"] == group]
    if row is None or not waiting:
        return
    hours: dict[datetime, list[Resource]] = {}
    for item in waiting:
        moment = datetime.fromtimestamp(_instant(str(item.body["record"][row.body["EventTimeFeatureName"]])), UTC)
        hours.setdefault(moment.replace(minute=0, second=0, microsecond=0), []).append(item)
    objects = Objects(plane.clients, scope.account, scope.region, row.body.get("RoleArn"))
    storage = row.body["OfflineStoreConfig"]["S3StorageConfig"]
    for hour, items in hours.items():
        name = f"{hour:year=%Y/month=%m/day=%d/hour=%H}/{hour:%Y%m%dT%H%M%SZ}_{_random(16)}.parquet"
        objects.write(join(storage["ResolvedOutputS3Uri"], name), _parquet(row, items), key_id=storage.get("KmsKeyId"))
        for item in items:
            scope.remove(WAITING, item.name)


def _parquet(row: Resource, items: list[Resource]) -> bytes:
    import polars as pl

    types = {feature["FeatureName"]: feature["FeatureType"] for feature in row.body["FeatureDefinitions"]}
    written = [datetime.fromtimestamp(item.body["at"], UTC) for item in items]
    columns: dict[str, Any] = {
        name: pl.Series(
            name,
            [_as_type(name, kind, item.body["record"].get(name)) for item in items],
            dtype=getattr(pl, TYPES[kind]),
        )
        for name, kind in types.items()
    }
    frame = pl.DataFrame(columns).with_columns(
        pl.Series("write_time", written),
        pl.Series("api_invocation_time", written),
        pl.Series("is_deleted", [item.body["deleted"] for item in items]),
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _online(group: str) -> str:
    return f"feature-record:{group}"


def _value(item: Mapping[str, Any]) -> Any:
    return item.get("ValueAsString") if "ValueAsString" in item else item.get("ValueAsStringList")


def _shown(name: str, value: Any) -> Body:
    return {"FeatureName": name, ("ValueAsStringList" if isinstance(value, list) else "ValueAsString"): value}


def _as_type(name: str, kind: str, value: Any) -> Any:
    if value is None or kind == "String" or isinstance(value, list):
        return value
    try:
        return int(value) if kind == "Integral" else float(value)
    except ValueError:
        raise _invalid(f"Validation Error: {name} is {kind} and cannot be {value!r}.") from None


def _instant(moment: str) -> float:
    """Event time is ISO 8601 or seconds since 1970."""
    try:
        return float(moment)
    except ValueError:
        return datetime.fromisoformat(moment).timestamp()


def _invalid(text: str) -> AwsError:
    return AwsError(text, code="ValidationError")


def _random(count: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))
