"""Kinds that are kept and answered, and nothing more: job definitions, experiments, lineage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from localaws import kinds, resources
from localaws.errors import ValidationException
from localaws.gateway import Operation, Request
from localaws.kinds import ACTION, ARTIFACT, CONTEXT, EXPERIMENT, TRIAL, TRIAL_COMPONENT
from localaws.plane import Plane
from localaws.resources import Now
from localaws.store import Body, Resource

ASSOCIATION = "association"


def operations(plane: Plane) -> Mapping[str, Operation]:
    now = plane.clock.now
    table: dict[str, Operation] = {}
    for kind in kinds.JOB_DEFINITIONS:
        table |= {**resources.operations(kind, now), f"List{kind.noun}s": _definitions(kind)}
    for kind in (EXPERIMENT, TRIAL, TRIAL_COMPONENT, ACTION, ARTIFACT, CONTEXT):
        table |= resources.operations(kind, now)
        table |= {f"Update{kind.noun}": _update(kind, now), f"Delete{kind.noun}": _delete(kind)}
    return table | {
        "CreateTrial": lambda request: create_trial(request, now()),
        "DescribeArtifact": lambda request: resources.find(ARTIFACT, request.scope, request.params["ArtifactArn"]).body,
        "CreateArtifact": lambda request: create_artifact(request, now()),
        "DeleteExperiment": delete_experiment,
        "AssociateTrialComponent": associate,
        "DisassociateTrialComponent": disassociate,
        "ListTrials": list_trials,
        "ListTrialComponents": list_components,
        "ListActions": lambda request: _by_source(ACTION, request),
        "ListArtifacts": lambda request: _by_source(ARTIFACT, request),
        "ListContexts": lambda request: _by_source(CONTEXT, request),
        "AddAssociation": lambda request: add_association(request, now()),
        "DeleteAssociation": delete_association,
        "ListAssociations": list_associations,
    }


def _definitions(kind: resources.Kind) -> Operation:
    """Lists of job definitions call their members otherwise than Describe does."""

    def listing(request: Request) -> dict[str, Any]:
        rows = [replace(row, body=_summary(row)) for row in request.scope.all(kind.kind)]
        watched = request.params.get("EndpointName")
        return resources.listing(kind, request, [row for row in rows if watched in (None, row.body["EndpointName"])])

    return listing


def _summary(row: Resource) -> Body:
    inputs = (value for member, value in row.body.items() if member.endswith("JobInput"))
    endpoint = next((each["EndpointInput"]["EndpointName"] for each in inputs if "EndpointInput" in each), "")
    name = {"MonitoringJobDefinitionName": row.name, "MonitoringJobDefinitionArn": row.arn}
    return {**row.body, **name, "EndpointName": endpoint}


def _update(kind: resources.Kind, now: Now) -> Operation:
    """Updates that name members to remove remove them from the map of properties."""

    def update(request: Request) -> dict[str, Any]:
        params = request.params
        row = resources.find(kind, request.scope, params.get(kind.name) or params[kind.arn])
        new = resources.without(params, kind.name, kind.arn)
        for member in ("Properties", "Parameters", "InputArtifacts", "OutputArtifacts"):
            gone = set(new.pop(f"{member}ToRemove", ()))
            if member in new or gone:
                kept = row.body.get(member, {}) | new.get(member, {})
                new[member] = {key: value for key, value in kept.items() if key not in gone}
        resources.change(kind, request.scope, row.name, new, now=now())
        return {kind.arn: row.arn}

    return update


def _delete(kind: resources.Kind) -> Operation:
    def delete(request: Request) -> dict[str, Any]:
        params = request.params
        name = params.get(kind.name) or params.get(kind.arn)
        if name is None:
            raise ValidationException(f"One of {kind.name} and {kind.arn} must be provided.")
        row = resources.find(kind, request.scope, name)
        request.scope.remove(kind.kind, row.name)
        return {kind.arn: row.arn}

    return delete


# --- experiments ----------------------------------------------------------------------------------------------------


def create_trial(request: Request, now: float) -> dict[str, Any]:
    resources.find(EXPERIMENT, request.scope, request.params["ExperimentName"])
    return resources.create(TRIAL, request, now)


def delete_experiment(request: Request) -> dict[str, Any]:
    row = resources.find(EXPERIMENT, request.scope, request.params["ExperimentName"])
    if any(trial.body["ExperimentName"] == row.name for trial in request.scope.all(TRIAL.kind)):
        raise ValidationException(f"Experiment '{row.arn}' cannot be deleted: delete its trials first.")
    request.scope.remove(EXPERIMENT.kind, row.name)
    return {"ExperimentArn": row.arn}


def associate(request: Request) -> dict[str, Any]:
    component, trial = _pair(request)
    parents = {*component.body.get("Trials", ()), trial.name}
    request.scope.update(TRIAL_COMPONENT.kind, component.name, {"Trials": sorted(parents)})
    return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}


def disassociate(request: Request) -> dict[str, Any]:
    component, trial = _pair(request)
    parents = {*component.body.get("Trials", ())} - {trial.name}
    request.scope.update(TRIAL_COMPONENT.kind, component.name, {"Trials": sorted(parents)})
    return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}


def _pair(request: Request) -> tuple[Resource, Resource]:
    params = request.params
    return (
        resources.find(TRIAL_COMPONENT, request.scope, params["TrialComponentName"]),
        resources.find(TRIAL, request.scope, params["TrialName"]),
    )


def list_trials(request: Request) -> dict[str, Any]:
    component = request.params.get("TrialComponentName")
    rows = request.scope.all(TRIAL.kind)
    if component:
        parents = resources.find(TRIAL_COMPONENT, request.scope, component).body.get("Trials", ())
        rows = [row for row in rows if row.name in parents]
    return resources.listing(TRIAL, request, rows)


def list_components(request: Request) -> dict[str, Any]:
    params = request.params
    rows: Iterable[Resource] = request.scope.all(TRIAL_COMPONENT.kind)
    if "SourceArn" in params:
        rows = [row for row in rows if row.body.get("Source", {}).get("SourceArn") == params["SourceArn"]]
    trials = {
        row.name for row in request.scope.all(TRIAL.kind) if row.body["ExperimentName"] == params.get("ExperimentName")
    }
    wanted = {params["TrialName"]} if "TrialName" in params else trials if "ExperimentName" in params else None
    if wanted is not None:
        rows = [row for row in rows if wanted & set(row.body.get("Trials", ()))]
    return resources.listing(TRIAL_COMPONENT, request, rows)


# --- lineage --------------------------------------------------------------------------------------------------------


def create_artifact(request: Request, now: float) -> dict[str, Any]:
    """An artifact is known by its source: the same one twice is the same artifact."""
    params = request.params
    name = hashlib.md5(params["Source"]["SourceUri"].encode(), usedforsecurity=False).hexdigest()
    row = request.scope.get(ARTIFACT.kind, name)
    if row is None:
        body = resources.without(params, "Tags")
        shown = body.get("ArtifactName")
        row = resources.add(ARTIFACT, request.scope, name, body, now=now, tags=params.get("Tags", ()))
        request.scope.update(ARTIFACT.kind, name, {"ArtifactName": shown})
    return {"ArtifactArn": row.arn}


def _by_source(kind: resources.Kind, request: Request) -> dict[str, Any]:
    uri = request.params.get("SourceUri")
    rows = [row for row in request.scope.all(kind.kind) if uri in (None, row.body["Source"]["SourceUri"])]
    return resources.listing(kind, request, rows)


def add_association(request: Request, now: float) -> dict[str, Any]:
    params, scope = request.params, request.scope
    source, destination = params["SourceArn"], params["DestinationArn"]
    name = f"{source} {destination}"
    body: Body = {"AssociationType": "AssociatedWith", **params, "CreationTime": now}
    if scope.get(ASSOCIATION, name) is None:
        scope.add(ASSOCIATION, name, name, body, created=now)
    return {"SourceArn": source, "DestinationArn": destination}


def delete_association(request: Request) -> dict[str, Any]:
    params = request.params
    name = f"{params['SourceArn']} {params['DestinationArn']}"
    if request.scope.get(ASSOCIATION, name) is None:
        raise ValidationException(f"There is no association from {params['SourceArn']} to {params['DestinationArn']}.")
    request.scope.remove(ASSOCIATION, name)
    return {"SourceArn": params["SourceArn"], "DestinationArn": params["DestinationArn"]}


def list_associations(request: Request) -> dict[str, Any]:
    params = request.params
    asked = {key: params[key] for key in ("SourceArn", "DestinationArn", "AssociationType") if key in params}
    found = [
        row.body
        for row in request.scope.all(ASSOCIATION)
        if all(row.body.get(key) == value for key, value in asked.items())
    ]
    return resources.page(found, request, key=lambda body: body["CreationTime"], newest_first=True)
