"""An endpoint that serves now: its fleets, where traffic goes between them, and what Describe shows of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from localaws import kinds, resources
from localaws.announce import announce
from localaws.endpoints.capture_buffer import CaptureBuffer
from localaws.endpoints.fleet import Fleet
from localaws.endpoints.routing import Routes
from localaws.endpoints.variant import Variant
from localaws.errors import AwsError
from localaws.objects import Objects
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

PRIVATE_PENDING = "_Pending"  # an update that is under way: what a restart begins again
PRIVATE_CAPTURE = "_Capture"  # a capture configuration that was retained from an earlier configuration


class LiveEndpoint:
    """One endpoint with its processes."""

    def __init__(self, plane: Plane, scope: Scope, name: str) -> None:
        self.plane, self.scope, self.name = plane, scope, name
        self.fleets: list[Fleet] = []
        self.routes: Routes[Variant] = Routes()
        self.role: str | None = None  # of the model that serves: what it reads and writes, it does as this
        self.captured = CaptureBuffer(plane, lambda: self.objects, name)
        self.sessions: dict[str, tuple[Variant, str]] = {}  # session id -> where it lives
        self.serving = threading.Event()  # set once there is something to route to
        self.nudge = plane.clock.event()  # wakes a deployment that bakes
        self.deleted = False

    @property
    def place(self) -> tuple[str, str, str]:
        return self.scope.account, self.scope.region, self.name

    @property
    def objects(self) -> Objects:
        return Objects(self.plane.clients, self.scope.account, self.scope.region, self.role)

    # -- traffic ------------------------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """The fleet that serves, or the older of two."""
        return self.fleets[0]

    def share(self, *shares: float) -> None:
        """Give each fleet its share of the traffic; requests see the old table or the new one."""
        for fleet, share in zip(self.fleets, shares, strict=True):
            fleet.share = share
        self.role = next((variant.model.role for variant in self.fleet.variants.values()), self.role)
        self.reroute()
        self.serving.set()

    def reroute(self) -> None:
        self.routes = Routes([lane for fleet in self.fleets for lane in fleet.lanes()])

    def fleet_of(self, variant: Variant) -> Fleet:
        return next((fleet for fleet in self.fleets if variant in fleet.everyone), self.fleet)

    # -- the record ---------------------------------------------------------------------------------------------------

    @property
    def row(self) -> Resource:
        return resources.find(kinds.ENDPOINT, self.scope, self.name)

    @property
    def status(self) -> str:
        return self.row.body["EndpointStatus"]

    def note(self, **members: Any) -> Body:
        """Write members of the record; None removes one. A new status is told to EventBridge."""
        before = self.row.body["EndpointStatus"]
        body = resources.change(kinds.ENDPOINT, self.scope, self.name, members, now=self.plane.clock.now()).body
        if body["EndpointStatus"] != before:
            self.tell("SageMaker Endpoint State Change")
        return body

    def tell(self, kind: str) -> None:
        body = self.row.body
        shown = {**body, "EndpointStatus": _upper_snake(body["EndpointStatus"])}
        announce(self.plane.courier, self.scope, kind, shown, [body["EndpointArn"]])

    def show(self, fleet: Fleet, stage: str = "") -> dict[str, Any]:
        """The members of Describe that follow from the fleet that serves."""
        members: dict[str, Any] = {
            "EndpointConfigName": fleet.config_name,
            "ProductionVariants": [self.summary(variant, stage) for variant in fleet.variants.values()],
            "ShadowProductionVariants": [self.summary(variant, stage) for variant in fleet.shadows] or None,
            "AsyncInferenceConfig": fleet.config.get("AsyncInferenceConfig"),
            "ExplainerConfig": fleet.config.get("ExplainerConfig"),
            "DataCaptureConfig": _capture_summary(fleet.config.get("DataCaptureConfig")),
        }
        return members

    def summary(self, variant: Variant, stage: str = "") -> dict[str, Any]:
        body: dict[str, Any] = {
            "VariantName": variant.name,
            "DeployedImages": [
                {
                    "SpecifiedImage": container.image,
                    "ResolvedImage": container.image,
                    "ResolutionTime": self.row.created,
                }
                for container in variant.model.containers
            ],
            "CurrentWeight": variant.weight,
            "DesiredWeight": variant.weight,
        }
        if variant.serverless:
            body |= {"CurrentServerlessConfig": variant.serverless, "DesiredServerlessConfig": variant.serverless}
        else:
            body |= {"CurrentInstanceCount": variant.count, "DesiredInstanceCount": variant.wanted}
        for member in ("RoutingConfig", "ManagedInstanceScaling"):
            if member in variant.config:
                body[member] = variant.config[member]
        if stage:
            body["VariantStatus"] = [{"Status": stage, "StartTime": self.plane.clock.now()}]
        return body

    def end(self, grace: float) -> None:
        """Stop everything, its capture written."""
        self.routes = Routes()
        for fleet in self.fleets:
            fleet.end(grace)
        self.captured.write()


def _capture_summary(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not config:
        return None
    enabled = config.get("EnableCapture", True)
    shown = {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
    }
    return shown | ({"KmsKeyId": config["KmsKeyId"]} if config.get("KmsKeyId") else {})


def _upper_snake(status: str) -> str:
    return "".join(
        f"_{letter}" if letter.isupper() and index else letter for index, letter in enumerate(status)
    ).upper()


class Endpoints:
    """All endpoints that have processes."""

    def __init__(self) -> None:
        self._live: dict[tuple[str, str, str], LiveEndpoint] = {}
        self._lock = threading.Lock()

    def open(self, plane: Plane, scope: Scope, name: str) -> LiveEndpoint:
        live = LiveEndpoint(plane, scope, name)
        with self._lock:
            self._live[scope.account, scope.region, name] = live
        return live

    def get(self, account: str, region: str, name: str) -> LiveEndpoint | None:
        return self._live.get((account, region, name))

    def of(self, scope: Scope, name: str) -> LiveEndpoint:
        live = self.get(scope.account, scope.region, name)
        if live is None:
            raise AwsError(f"The endpoint {name} has no processes.", code="InternalFailure", status=500)
        return live

    def forget(self, live: LiveEndpoint) -> None:
        with self._lock:
            self._live.pop((live.scope.account, live.scope.region, live.name), None)

    def all(self) -> list[LiveEndpoint]:
        with self._lock:
            return list(self._live.values())
