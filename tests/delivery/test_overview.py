"""Every model in a line: what the release file, SageMaker and the registry say of it."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.delivery.ground import Ground
from delivery.overview import Overview


def test_a_line_says_what_serves_and_what_could(ground: Callable[..., Ground]) -> None:
    made = ground()
    assert made.platform().overview() == [Overview("shop", 1, "steady", "InService", 1, "Approved")]
    package = made.version(2)
    made.client("sagemaker").update_model_package(ModelPackageArn=package.arn, ModelApprovalStatus="Rejected")
    assert made.platform().overview() == [Overview("shop", 1, "steady", "InService", 2, "Rejected")]


def test_an_endpoint_that_no_release_speaks_of_is_seen(ground: Callable[..., Ground]) -> None:
    made = ground()
    made.environment.releases.path.unlink()
    assert made.platform().overview() == [Overview("shop", None, None, "InService", 1, "Approved")]
