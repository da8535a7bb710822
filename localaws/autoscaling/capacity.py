"""What can be scaled: reading and setting the capacity of SageMaker variants and inference components."""

from dataclasses import dataclass
from typing import Any, Protocol

from localaws.aws import Clients


class CapacityError(Exception):
    """The capacity of this resource cannot be read or set here."""


class Dimension(Protocol):
    """One scalable dimension of one resource."""

    def current(self) -> int: ...

    def set(self, capacity: int) -> None: ...


@dataclass(frozen=True)
class Variant:
    """A production variant: its instances, or its provisioned concurrency."""

    sagemaker: Any
    endpoint: str
    name: str
    serverless: bool

    def current(self) -> int:
        variant = self._described()
        if self.serverless:
            serverless = variant.get("CurrentServerlessConfig", {})
            return serverless.get("ProvisionedConcurrency", 0)
        return variant.get("DesiredInstanceCount", variant.get("CurrentInstanceCount", 0))

    def set(self, capacity: int) -> None:
        change: dict[str, Any] = {"VariantName": self.name, "DesiredInstanceCount": capacity}
        if self.serverless:
            change = {"VariantName": self.name, "ServerlessUpdateConfig": {"ProvisionedConcurrency": capacity}}
        self.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=self.endpoint, DesiredWeightsAndCapacities=[change]
        )

    def _described(self) -> dict[str, Any]:
        found = self.sagemaker.describe_endpoint(EndpointName=self.endpoint)
        for variant in found.get("ProductionVariants", []):
            if variant["VariantName"] == self.name:
                return variant
        raise CapacityError(f"Endpoint {self.endpoint} has no variant {self.name}.")


@dataclass(frozen=True)
class Component:
    """The copies of an inference component."""

    sagemaker: Any
    name: str

    def current(self) -> int:
        found = self.sagemaker.describe_inference_component(InferenceComponentName=self.name)
        return found["RuntimeConfig"]["DesiredCopyCount"]

    def set(self, capacity: int) -> None:
        self.sagemaker.update_inference_component_runtime_config(
            InferenceComponentName=self.name, DesiredRuntimeConfig={"CopyCount": capacity}
        )


def dimension(clients: Clients, account: str, region: str, *, resource: str, scalable: str) -> Dimension:
    """The dimension a target names, such as `endpoint/shop/variant/a` and `sagemaker:variant:DesiredInstanceCount`."""
    match scalable.split(":"), resource.split("/"):
        case ["sagemaker", "variant", kind], ["endpoint", endpoint, "variant", name]:
            sagemaker = clients.get("sagemaker", account, region)
            return Variant(sagemaker, endpoint, name, serverless=kind == "DesiredProvisionedConcurrency")
        case ["sagemaker", "inference-component", _], ["inference-component", name]:
            return Component(clients.get("sagemaker", account, region), name)
    raise CapacityError(
        f"Nothing here scales {scalable} of {resource}: the embedded AWS scales endpoint/NAME/variant/NAME "
        "(DesiredInstanceCount, DesiredProvisionedConcurrency) and inference-component/NAME (DesiredCopyCount)."
    )


PREDEFINED: dict[str, tuple[str, str, str, int]] = {
    # the metric, its statistic, its namespace, its period
    "SageMakerVariantInvocationsPerInstance": ("InvocationsPerInstance", "Sum", "AWS/SageMaker", 60),
    "SageMakerVariantProvisionedConcurrencyUtilization": (
        "ServerlessProvisionedConcurrencyUtilization",
        "Average",
        "AWS/SageMaker",
        60,
    ),
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": (
        "ConcurrentRequestsPerModel",
        "Maximum",
        "AWS/SageMaker",
        10,
    ),
    "SageMakerInferenceComponentInvocationsPerCopy": ("InvocationsPerCopy", "Sum", "AWS/SageMaker", 60),
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution": (
        "ConcurrentRequestsPerCopy",
        "Maximum",
        "AWS/SageMaker",
        10,
    ),
}


def dimensions_of(resource: str) -> list[dict[str, str]]:
    """The dimensions that the predefined metrics of a resource have."""
    match resource.split("/"):
        case ["endpoint", endpoint, "variant", name]:
            return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": name}]
        case ["inference-component", name]:
            return [{"Name": "InferenceComponentName", "Value": name}]
        case _:
            return []
