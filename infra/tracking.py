"""Where runs are compared: SageMaker's managed MLflow, when an environment wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.names import Names


@dataclass(frozen=True, slots=True)
class TrackingArgs:
    names: Names
    kind: Literal["server", "app"]
    size: str
    role_arn: pulumi.Input[str]
    artifacts_bucket: str


class Tracking(Component):
    """A managed MLflow server, or the newer serverless app."""

    def __init__(self, args: TrackingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("tracking", opts)
        self.arn = self._server(args) if args.kind == "server" else self._app(args)
        self.finish({"arn": self.arn})

    def _server(self, args: TrackingArgs) -> pulumi.Output[str]:
        return aws.sagemaker.MlflowTrackingServer(
            "tracking",
            tracking_server_name=args.names.of("tracking"),
            tracking_server_size=args.size,
            artifact_store_uri=f"s3://{args.artifacts_bucket}/mlflow",
            role_arn=args.role_arn,
            opts=self.own(),
        ).arn

    def _app(self, args: TrackingArgs) -> pulumi.Output[str]:
        return aws.sagemaker.MlflowApp(
            "tracking",
            name=args.names.of("tracking"),
            artifact_store_uri=f"s3://{args.artifacts_bucket}/mlflow",
            role_arn=args.role_arn,
            opts=self.own(),
        ).arn
