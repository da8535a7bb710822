"""The control plane of endpoints: create, describe, update, weights and capacities, delete; and bringing them back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from localaws import kinds, resources
from localaws.endpoints import deployment as deployments
from localaws.endpoints.fleet import Fleet
from localaws.endpoints.instance import GRACE, NotHealthyError
from localaws.endpoints.live import PRIVATE_CAPTURE, PRIVATE_PENDING, Endpoints, LiveEndpoint
from localaws.endpoints.model import ModelDataError
from localaws.endpoints.rollout import roll_out
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Operation, Request
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

log = logging.getLogger(__name__)

STEADY = {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}


class Control:
    """The operations on endpoints."""

    def __init__(self, plane: Plane, endpoints: Endpoints) -> None:
        self.plane = plane
        self.endpoints = endpoints
        self.on_deleted: list[Callable[[LiveEndpoint], None]] = []

    def operations(self) -> Mapping[str, Operation]:
        return {
            **resources.operations(kinds.ENDPOINT, self.plane.clock.now),
            "CreateEndpoint": self.create,
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.weigh,
            "DeleteEndpoint": self.delete,
        }

    # -- verbs --------------------------------------------------------------------------------------------------------

    def create(self, request: Request) -> dict[str, Any]:
        params = request.params
        name, config_name = params["EndpointName"], params["EndpointConfigName"]
        config = resources.find(kinds.ENDPOINT_CONFIG, request.scope, config_name).body
        _check_policy(params.get("DeploymentConfig"), config)
        body = {
            "EndpointConfigName": config_name,
            "EndpointStatus": "Creating",
            "LastDeploymentConfig": params.get("DeploymentConfig"),
        }
        body = {key: value for key, value in body.items() if value is not None}
        row = resources.add(
            kinds.ENDPOINT, request.scope, name, body, now=self.plane.clock.now(), tags=params.get("Tags", ())
        )
        live = self.endpoints.open(self.plane, request.scope, name)
        live.tell("SageMaker Endpoint State Change")
        self._spawn(live, lambda: self._create(live, row))
        return {"EndpointArn": row.arn}

    def update(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = _steady(request, params["EndpointName"], only="InService")
        config = resources.find(kinds.ENDPOINT_CONFIG, request.scope, params["EndpointConfigName"]).body
        live = self.endpoints.of(request.scope, row.name)
        last = row.body.get("LastDeploymentConfig") if params.get("RetainDeploymentConfig") else None
        pending = {
            "EndpointConfigName": params["EndpointConfigName"],
            "DeploymentConfig": params.get("DeploymentConfig") or last,
            "RetainAllVariantProperties": params.get("RetainAllVariantProperties", False),
            "Exclude": [given["VariantPropertyType"] for given in params.get("ExcludeRetainedVariantProperties") or ()],
        }
        _check_serverless(live.fleet, config)
        _check_policy(pending["DeploymentConfig"], config)
        live.note(EndpointStatus="Updating", FailureReason=None, **{PRIVATE_PENDING: pending})
        self._spawn(live, lambda: self._update(live, pending))
        return {"EndpointArn": row.arn}

    def weigh(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = _steady(request, params["EndpointName"], only="InService")
        live = self.endpoints.of(request.scope, row.name)
        wishes = params["DesiredWeightsAndCapacities"]
        for wish in wishes:
            if wish["VariantName"] not in live.fleet.variants:
                raise ValidationException(
                    f'The variant name(s) "{wish["VariantName"]}" is/are not present within endpoint configuration '
                    f'"{live.fleet.config_name}".'
                )
            variant = live.fleet.variants[wish["VariantName"]]
            if variant.serverless and "DesiredInstanceCount" in wish:
                raise ValidationException(f"Variant {variant.name} is serverless: it has no instance count.")
        live.note(
            EndpointStatus="Updating",
            ProductionVariants=_desired(row.body.get("ProductionVariants", ()), wishes),
        )
        self._spawn(live, lambda: self._weigh(live, wishes))
        return {"EndpointArn": row.arn}

    def delete(self, request: Request) -> dict[str, Any]:
        row = _steady(request, request.params["EndpointName"])
        live = self.endpoints.get(row.account, row.region, row.name) or self.endpoints.open(
            self.plane, request.scope, row.name
        )
        live.note(EndpointStatus="Deleting")
        self._spawn(live, lambda: self._delete(live))
        return {}

    # -- work ---------------------------------------------------------------------------------------------------------

    def _spawn(self, live: LiveEndpoint, work: Callable[[], None]) -> None:
        """Do the long part of a verb on a thread of the clock."""

        def run() -> None:
            try:
                work()
            except ValidationException:
                if not live.deleted:
                    raise
            except Exception as error:
                log.exception("endpoint %s", live.name)
                live.note(EndpointStatus="Failed", FailureReason=f"The embedded AWS failed: {error!r}. See its log.")

        self.plane.clock.spawn(run, f"endpoint {live.name}")

    def _create(self, live: LiveEndpoint, row: Resource) -> None:
        self._bring_up(live, row)

    def _bring_up(self, live: LiveEndpoint, row: Resource) -> bool:
        """Start the fleet of a configuration; what does not come up fails the endpoint and leaves nothing."""
        body = row.body
        try:
            fleet = Fleet.of(self.plane, live.scope, live.name, body["EndpointConfigName"])
            _as_recorded(fleet, body)
            live.fleets = [fleet]
            fleet.grow(1.0)
        except (NotHealthyError, ModelDataError, AwsError) as error:
            for started in live.fleets:
                started.end(0)
            live.note(EndpointStatus="Failed", FailureReason=str(error))
            return False
        live.share(1.0)
        live.note(EndpointStatus="InService", FailureReason=None, **live.show(fleet))
        return True

    def _update(self, live: LiveEndpoint, pending: Body) -> None:
        blue = live.fleet
        try:
            green = Fleet.of(self.plane, live.scope, live.name, pending["EndpointConfigName"])
        except AwsError as error:  # its model was deleted meanwhile, for example: what serves goes on serving
            live.note(EndpointStatus="InService", FailureReason=error.message, **{PRIVATE_PENDING: None})
            return
        if pending["RetainAllVariantProperties"]:
            green.retain(blue, pending["Exclude"])
        config = pending["DeploymentConfig"]
        policy = deployments.policy_from(config, max(green.total, 1))
        ended = roll_out(live, blue, green, policy, deployments.alarms_of(config))
        failed = ended.phase is deployments.Phase.ROLLBACK_FAILED
        kept_capture = green.config.get("DataCaptureConfig") if pending["RetainAllVariantProperties"] else None
        live.note(
            EndpointStatus="UpdateRollbackFailed" if failed else "InService",
            FailureReason=ended.reason or None,
            LastDeploymentConfig=config,
            PendingDeploymentSummary=None,
            **live.show(live.fleet),
            **{PRIVATE_PENDING: None},
            **({} if ended.going_back else {PRIVATE_CAPTURE: kept_capture}),
        )

    def _weigh(self, live: LiveEndpoint, wishes: list[Body]) -> None:
        fleet = live.fleet
        failure = ""
        for wish in wishes:
            variant = fleet.variants[wish["VariantName"]]
            if "ServerlessUpdateConfig" in wish and variant.serverless:
                variant.reconfigure(wish["ServerlessUpdateConfig"])
            before, variant.wanted = variant.wanted, wish.get("DesiredInstanceCount", variant.wanted)
            try:
                variant.grow(variant.wanted)
            except (NotHealthyError, ModelDataError) as error:
                failure, variant.wanted = str(error), before
            variant.weight = wish.get("DesiredWeight", variant.weight)
        live.reroute()
        fleet.shrink(1.0)
        live.note(EndpointStatus="InService", FailureReason=failure or None, **live.show(fleet))

    def _delete(self, live: LiveEndpoint) -> None:
        live.end(GRACE)
        live.deleted = True
        self.endpoints.forget(live)
        for told in self.on_deleted:
            told(live)
        live.scope.remove(kinds.ENDPOINT.kind, live.name)

    # -- after a restart ----------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Bring back every endpoint of the store; an update that was under way begins again."""
        for scope in self.plane.store.scopes():
            for row in scope.all(kinds.ENDPOINT.kind):
                self._resume(scope, row)

    def _resume(self, scope: Scope, row: Resource) -> None:
        live = self.endpoints.open(self.plane, scope, row.name)
        status, pending = row.body["EndpointStatus"], row.body.get(PRIVATE_PENDING)
        if status == "Deleting":
            self._spawn(live, lambda: self._delete(live))
        elif status == "Creating":
            self._spawn(live, lambda: self._create(live, row))
        elif status != "Failed":
            live.note(EndpointStatus="SystemUpdating", PendingDeploymentSummary=None)

            def back() -> None:
                if self._bring_up(live, row) and pending:
                    live.note(EndpointStatus="Updating")
                    self._update(live, pending)

            self._spawn(live, back)


def _steady(request: Request, name: str, only: str = "") -> Resource:
    """The endpoint, unless it is in the middle of something."""
    row = resources.find(kinds.ENDPOINT, request.scope, name)
    status = row.body["EndpointStatus"]
    if status not in STEADY:
        raise ValidationException(f'Cannot update in-progress endpoint "{row.arn}".')
    if only and status != only:
        raise ValidationException(f'Cannot update endpoint "{row.arn}" in status {status}: only {only} can be updated.')
    return row


def _check_policy(config: Mapping[str, Any] | None, endpoint_config: Body) -> None:
    instances = sum(variant.get("InitialInstanceCount", 0) for variant in endpoint_config["ProductionVariants"])
    try:
        deployments.policy_from(config, max(instances, 1))
    except deployments.PolicyError as error:
        raise ValidationException(str(error)) from error


def _check_serverless(fleet: Fleet, config: Body) -> None:
    was = any(variant.serverless for variant in fleet.variants.values())
    becomes = any("ServerlessConfig" in variant for variant in config["ProductionVariants"])
    if becomes and not was:
        raise ValidationException(
            "An endpoint of instances cannot be converted to a serverless endpoint: create a new endpoint."
        )


def _desired(summaries: Any, wishes: list[Body]) -> list[Body]:
    """The variants as they will be: wished-for values are shown at once, current ones when they are reached."""
    by_name = {wish["VariantName"]: wish for wish in wishes}
    shown = []
    for summary in summaries:
        wish = by_name.get(summary["VariantName"], {})
        wanted = {key: wish[key] for key in ("DesiredWeight", "DesiredInstanceCount") if key in wish}
        shown.append({**summary, **wanted})
    return shown


def _as_recorded(fleet: Fleet, body: Body) -> None:
    """Weights and counts as they were set last, and a capture configuration that was retained."""
    for summary in body.get("ProductionVariants", ()):
        variant = fleet.variants.get(summary["VariantName"])
        if variant is not None:
            variant.weight = summary.get("DesiredWeight", variant.weight)
            variant.wanted = summary.get("DesiredInstanceCount", variant.wanted)
    if PRIVATE_CAPTURE in body:
        fleet.use_capture(body[PRIVATE_CAPTURE])
