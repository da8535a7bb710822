"""The model registry: package groups, versions with approval and events, group policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localaws import kinds, resources
from localaws.announce import announce
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Operation, Request
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

GROUP, PACKAGE = kinds.MODEL_PACKAGE_GROUP, kinds.MODEL_PACKAGE
EVENT = "SageMaker Model Package State Change"


def operations(plane: Plane) -> Mapping[str, Operation]:
    registry = Registry(plane)
    return {
        **resources.operations(GROUP, plane.clock.now),
        **resources.operations(PACKAGE, plane.clock.now),
        "DeleteModelPackageGroup": registry.delete_group,
        "PutModelPackageGroupPolicy": registry.put_policy,
        "GetModelPackageGroupPolicy": registry.get_policy,
        "DeleteModelPackageGroupPolicy": registry.delete_policy,
        "CreateModelPackage": registry.create,
        "DescribeModelPackage": lambda request: package(request.scope, request.params["ModelPackageName"]).body,
        "BatchDescribeModelPackage": registry.describe_many,
        "UpdateModelPackage": registry.update,
        "DeleteModelPackage": registry.delete,
        "ListModelPackages": registry.listing,
    }


def package(scope: Scope, name: str) -> Resource:
    """A package by ARN, by `group/version`, or by the name of an unversioned one."""
    return resources.find(PACKAGE, scope, name)


def versions(scope: Scope, group: str) -> list[Resource]:
    return [row for row in scope.all(PACKAGE.kind) if row.body.get("ModelPackageGroupName") == group]


class Registry:
    """The registry's verbs that do more than store."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def delete_group(self, request: Request) -> dict[str, Any]:
        row = resources.find(GROUP, request.scope, request.params["ModelPackageGroupName"])
        if versions(request.scope, row.name):
            raise ValidationException(
                f"Model Package Group {row.arn} cannot be deleted since it still contains Model Packages."
            )
        request.scope.remove(GROUP.kind, row.name)
        return {}

    def put_policy(self, request: Request) -> dict[str, Any]:
        row = self._group_for_policy(request)
        text = request.params["ResourcePolicy"]
        try:
            json.loads(text)
        except ValueError as error:
            raise ValidationException(f"The resource policy is not valid JSON: {error}") from error
        self._change(request.scope, row.name, {"ResourcePolicy": text})
        return {"ModelPackageGroupArn": row.arn}

    def get_policy(self, request: Request) -> dict[str, Any]:
        return {"ResourcePolicy": self._policy(request).body["ResourcePolicy"]}

    def delete_policy(self, request: Request) -> dict[str, Any]:
        self._change(request.scope, self._policy(request).name, {"ResourcePolicy": None})
        return {}

    def _group_for_policy(self, request: Request) -> Resource:
        name = request.params["ModelPackageGroupName"]
        row = request.scope.get(GROUP.kind, name)
        if row is None:
            raise ValidationException(f"Cannot find Model Package Group: {GROUP.arn_of(request.scope, name)}")
        return row

    def _policy(self, request: Request) -> Resource:
        row = self._group_for_policy(request)
        if "ResourcePolicy" not in row.body:
            raise ValidationException(f"Cannot find resource policy for: {row.arn}")
        return row

    def _change(self, scope: Scope, group: str, members: Mapping[str, Any]) -> None:
        resources.change(GROUP, scope, group, members, now=self._plane.clock.now())

    def create(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self._plane.clock.now()
        body: Body = {
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CertifyForMarketplace": False,
            **resources.without(params, "Tags", "ClientToken"),
        }
        group = params.get("ModelPackageGroupName")
        if (group is None) == ("ModelPackageName" not in params):
            raise ValidationException("Exactly one of ModelPackageName and ModelPackageGroupName must be provided.")
        tags = params.get("Tags", ())
        if group is None:
            row = resources.add(PACKAGE, scope, params["ModelPackageName"], body, now=now, tags=tags)
        else:
            row = self._add_version(scope, group, body, now, tags)
        self._announce(row)
        return {"ModelPackageArn": row.arn}

    def _add_version(self, scope: Scope, group: str, body: Body, now: float, tags: Any) -> Resource:
        found = resources.find(GROUP, scope, group)
        with scope.store.lock:  # two at once must not get the same number
            number = 1 + max(found.body.get("LastVersion", 0), 0)
            self._change(scope, found.name, {"LastVersion": number})
            version = {
                "ModelApprovalStatus": "PendingManualApproval",
                **body,
                "ModelPackageGroupName": found.name,
                "ModelPackageVersion": number,
            }
            name = f"{found.name}/{number}"
            return resources.add(PACKAGE, scope, name, version, now=now, tags=tags)

    def update(self, request: Request) -> dict[str, Any]:
        params, scope = request.params, request.scope
        row = package(scope, params["ModelPackageArn"])
        gone = params.get("CustomerMetadataPropertiesToRemove", ())
        extra = params.get("AdditionalInferenceSpecificationsToAdd", [])
        new = resources.without(
            params,
            "ModelPackageArn",
            "ClientToken",
            "CustomerMetadataPropertiesToRemove",
            "AdditionalInferenceSpecificationsToAdd",
        )
        if "ModelApprovalStatus" in new and "ModelPackageVersion" not in row.body:
            raise ValidationException("Only versioned model packages can be approved or rejected.")
        kept = row.body.get("CustomerMetadataProperties", {}) | new.get("CustomerMetadataProperties", {})
        new["CustomerMetadataProperties"] = {key: value for key, value in kept.items() if key not in gone} or None
        if extra:
            new["AdditionalInferenceSpecifications"] = [*row.body.get("AdditionalInferenceSpecifications", []), *extra]
        if "ModelCard" in new:
            new["ModelCard"] = {**row.body.get("ModelCard", {}), **new["ModelCard"]}
        self._announce(resources.change(PACKAGE, scope, row.name, new, now=self._plane.clock.now()))
        return {"ModelPackageArn": row.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        row = package(request.scope, request.params["ModelPackageName"])
        request.scope.remove(PACKAGE.kind, row.name)
        return {}

    def describe_many(self, request: Request) -> dict[str, Any]:
        found: dict[str, Body] = {}
        errors: dict[str, Body] = {}
        for arn in request.params["ModelPackageArnList"]:
            try:
                found[arn] = package(request.scope, arn).body
            except AwsError as error:
                errors[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
        return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}

    def listing(self, request: Request) -> dict[str, Any]:
        params = request.params
        group = params.get("ModelPackageGroupName")
        if group:
            rows = versions(request.scope, resources.find(GROUP, request.scope, group).name)
        else:
            wanted = params.get("ModelPackageType", "Unversioned")
            rows = [
                row
                for row in request.scope.all(PACKAGE.kind)
                if wanted == "Both" or (wanted == "Versioned") == ("ModelPackageVersion" in row.body)
            ]
        return resources.listing(PACKAGE, request, rows)

    def _announce(self, row: Resource) -> None:
        scope = self._plane.store.scope(row.account, row.region)
        announce(self._plane.courier, scope, EVENT, row.body, [row.arn])
