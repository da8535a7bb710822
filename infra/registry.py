"""The registry of models: a group of package versions per model, and who outside the account may read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.names import Names


@dataclass(frozen=True, slots=True)
class RegistryArgs:
    names: Names
    models: Sequence[str]
    read_accounts: Sequence[str]
    protect: bool


class Registry(Component):
    """A package group per model."""

    def __init__(self, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("registry", opts)
        self.args = args
        self.groups = {model: self._group(model) for model in args.models}
        for model, group in self.groups.items():
            self._share(model, group)
        self.finish({model: group.arn for model, group in self.groups.items()})

    def _group(self, model: str) -> aws.sagemaker.ModelPackageGroup:
        return aws.sagemaker.ModelPackageGroup(
            model,
            model_package_group_name=self.args.names.package_group(model),
            model_package_group_description=f"Versions of {model}",
            opts=self.own(protect=self.args.protect),
        )

    def _share(self, model: str, group: aws.sagemaker.ModelPackageGroup) -> None:
        if not self.args.read_accounts:
            return
        statements = policies.package_group(self.args.names, model, self.args.read_accounts)
        aws.sagemaker.ModelPackageGroupPolicy(
            model,
            model_package_group_name=group.model_package_group_name,
            resource_policy=self.json(policies.document(statements)),
            opts=self.own(),
        )
