"""Model cards: documents about a model, kept version by version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.announce import announce
from localaws.errors import ValidationException
from localaws.gateway import Operation, Request
from localaws.kinds import MODEL_CARD
from localaws.plane import Plane
from localaws.store import Body, Scope

# The parts a card may have (schema v0.1.0); a part of another name is refused.
PARTS = {
    "model_overview",
    "model_package_details",
    "intended_uses",
    "business_details",
    "training_details",
    "evaluation_details",
    "additional_information",
}


def operations(plane: Plane) -> Mapping[str, Operation]:
    cards = Cards(plane)
    return {
        **resources.operations(MODEL_CARD, plane.clock.now),
        "CreateModelCard": cards.create,
        "DescribeModelCard": cards.describe,
        "UpdateModelCard": cards.update,
        "ListModelCardVersions": cards.versions,
    }


class Cards:
    """The verbs of model cards."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def create(self, request: Request) -> dict[str, Any]:
        params, now = request.params, self._plane.clock.now()
        _check(params["Content"])
        body = {**resources.without(params, "Tags"), "ModelCardVersion": 1, "Versions": list[Body]()}
        name = params["ModelCardName"]
        row = resources.add(MODEL_CARD, request.scope, name, body, now=now, tags=params.get("Tags", ()))
        self._announce(request.scope, row.body)
        return {"ModelCardArn": row.arn}

    def describe(self, request: Request) -> Body:
        body = resources.describe(MODEL_CARD, request)
        number = request.params.get("ModelCardVersion", body["ModelCardVersion"])
        for version in (body, *body["Versions"]):
            if version["ModelCardVersion"] == number:
                return {**body, **version}
        raise MODEL_CARD.missing(f"{body['ModelCardArn']} version {number}", request.params["ModelCardName"])

    def update(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = resources.find(MODEL_CARD, request.scope, params["ModelCardName"])
        new = resources.without(params, "ModelCardName")
        if "Content" in new:
            _check(new["Content"])
            if row.body["ModelCardStatus"] == "Archived":
                raise ValidationException(f"Model card {row.arn} is archived and cannot be changed.")
        before = resources.without(row.body, "Versions")
        new |= {"ModelCardVersion": row.body["ModelCardVersion"] + 1, "Versions": [*row.body["Versions"], before]}
        changed = resources.change(MODEL_CARD, request.scope, row.name, new, now=self._plane.clock.now())
        self._announce(request.scope, changed.body)
        return {"ModelCardArn": row.arn}

    def versions(self, request: Request) -> dict[str, Any]:
        row = resources.find(MODEL_CARD, request.scope, request.params["ModelCardName"])
        all_of_them = [*row.body["Versions"], row.body]
        return resources.page(all_of_them, request, key=lambda body: body["ModelCardVersion"], newest_first=True)

    def _announce(self, scope: Scope, body: Body) -> None:
        announce(self._plane.courier, scope, "SageMaker Model Card State Change", body, [body["ModelCardArn"]])


def _check(content: str) -> None:
    try:
        card = json.loads(content)
    except ValueError as error:
        raise ValidationException(f"Model card content is not valid JSON: {error}") from error
    unknown = set(card) - PARTS if isinstance(card, dict) else {"a content that is no object"}
    if unknown:
        raise ValidationException(
            f"Model Card content does not fit its schema: {', '.join(sorted(unknown))} is not allowed."
            f" Allowed: {', '.join(sorted(PARTS))}."
        )
