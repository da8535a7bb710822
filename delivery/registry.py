"""The model registry: the packages of a model, newest first, and people's yes or no to one.

SageMaker keeps the versions; what it has no field for (hashes, author, tags) stands in the package's customer metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from contract.records import nearest

Approval = Literal["Approved", "Rejected", "PendingManualApproval"]
TAG = "tag:"
WORDS = ("latest", "approved")
HASHES = ("artifact_hash", "data_hash")
SHORTEST_HASH = 6  # letters of a content hash that are taken for one


class RegistryError(Exception):
    """A package is not there or not fit; the text says which there are and what to do."""


@dataclass(frozen=True, slots=True)
class Version:
    """One package as the registry has it."""

    version: int
    arn: str
    approval: Approval
    created: datetime
    image: str
    artifact: str
    metadata: Mapping[str, str]
    note: str = ""

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(sorted(name.removeprefix(TAG) for name in self.metadata if name.startswith(TAG)))

    def has_hash(self, beginning: str) -> bool:
        """Whether its artifact's or its data's hash begins so."""
        return any(self.metadata.get(name, "").startswith(beginning) for name in HASHES)

    def fact(self, name: str) -> str:
        """A fact that registration must have left; without it the package cannot be vouched for."""
        if name not in self.metadata:
            known = ", ".join(sorted(self.metadata)) or "nothing"
            raise RegistryError(
                f"version {self.version} does not say its '{name}' (it says: {known}). "
                "It was not registered by the training pipeline; train again with `slipway run`."
            )
        return self.metadata[name]


@dataclass(frozen=True, slots=True)
class Registry:
    """The packages of one model; `sagemaker` is a boto3 client."""

    sagemaker: Any
    group: str

    def versions(self) -> list[Version]:
        """All packages, newest first."""
        pages = self.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.group, SortBy="CreationTime", SortOrder="Descending"
        )
        arns = [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]
        return sorted((self.read(arn) for arn in arns), key=lambda each: -each.version)

    def read(self, arn: str) -> Version:
        found = self.sagemaker.describe_model_package(ModelPackageName=arn)
        container = found["InferenceSpecification"]["Containers"][0]
        return Version(
            version=found["ModelPackageVersion"],
            arn=found["ModelPackageArn"],
            approval=found["ModelApprovalStatus"],
            created=found["CreationTime"],
            image=container["Image"],
            artifact=container.get("ModelDataUrl", ""),
            metadata=found.get("CustomerMetadataProperties", {}),
            note=found.get("ApprovalDescription", ""),
        )

    def pick(self, wanted: str) -> Version:
        """The version a person means: a number, a tag, `latest`, or `approved` for the newest approved one."""
        return choose(self.versions(), wanted, self.group)

    def decide(self, version: Version, approval: Approval, note: str) -> None:
        self.sagemaker.update_model_package(
            ModelPackageArn=version.arn, ModelApprovalStatus=approval, ApprovalDescription=note[:1024]
        )

    def note(self, version: Version, facts: Mapping[str, str]) -> None:
        """Leave facts beside those that are there."""
        self.sagemaker.update_model_package(
            ModelPackageArn=version.arn, CustomerMetadataProperties={**version.metadata, **facts}
        )

    def describe(self, version: Version, card: Mapping[str, str]) -> None:
        """Put a model card on a version."""
        self.sagemaker.update_model_package(ModelPackageArn=version.arn, ModelCard=dict(card))

    def tag(self, name: str, version: Version) -> None:
        """Move a tag to one version; it stands at no other."""
        for other in self.versions():
            if name in other.tags and other.version != version.version:
                self.sagemaker.update_model_package(
                    ModelPackageArn=other.arn, CustomerMetadataPropertiesToRemove=[TAG + name]
                )
        self.note(version, {TAG + name: "yes"})


def choose(versions: Sequence[Version], wanted: str, group: str) -> Version:
    """The version meant, or an error that names those there are."""
    if not versions:
        raise RegistryError(f"{group} has no packages yet: train one with `slipway run`.")
    approved = [each for each in versions if each.approval == "Approved"]
    if wanted == "latest":
        return versions[0]
    if wanted == "approved":
        if not approved:
            raise RegistryError(
                f"no version of {group} is approved; the newest is {versions[0].version}. "
                "Approve it with `slipway models approve`."
            )
        return approved[0]
    for each in versions:
        if str(each.version) == wanted.removeprefix("v") or wanted in each.tags:
            return each
    hashed = [each for each in versions if len(wanted) >= SHORTEST_HASH and each.has_hash(wanted)]
    if len(hashed) == 1:
        return hashed[0]
    known = ", ".join(str(each.version) for each in versions[:10])
    tags = sorted({tag for each in versions for tag in each.tags})
    hint = nearest_version(wanted, [each.version for each in versions], tags)
    raise RegistryError(
        f"{group} has no version or tag '{wanted}'.{hint} Versions: {known}. Tags: {', '.join(tags) or 'none'}. "
        f"Also: {', '.join(WORDS)}."
    )


def nearest_version(wanted: str, versions: Sequence[int], tags: Sequence[str]) -> str:
    """How an error offers the nearest version to a number, the nearest tag to a name: empty when nothing is near."""
    number = wanted.removeprefix("v")
    if number.isdecimal():
        return f" Did you mean '{min(versions, key=lambda each: abs(each - int(number)))}'?"
    return nearest(wanted, [*tags, *WORDS])
