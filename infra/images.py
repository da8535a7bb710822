"""The registry of container images: what runs is a digest, scanned, and nobody can move a tag under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.names import CONTAINERS, Container, Names

KEPT_UNTAGGED_DAYS = 14
KEPT_IMAGES = 200


@dataclass(frozen=True, slots=True)
class ImagesArgs:
    names: Names
    key_arn: pulumi.Input[str]
    pull_accounts: Sequence[str]
    empty_on_destroy: bool
    protect: bool


class Images(Component):
    """A repository per container: immutable tags, scan on push, our key, old images dropped."""

    def __init__(self, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("images", opts)
        self.args = args
        self.repositories = {container: self._repository(container) for container in CONTAINERS}
        for container, repository in self.repositories.items():
            self._drop_old(container, repository)
            self._share(container, repository)
        self.urls = {container: each.repository_url for container, each in self.repositories.items()}
        self.finish(self.urls)

    def _repository(self, container: Container) -> aws.ecr.Repository:
        return aws.ecr.Repository(
            container,
            name=self.args.names.repository(container),
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": self.args.key_arn}],
            force_delete=self.args.empty_on_destroy,
            opts=self.own(protect=self.args.protect),
        )

    def _drop_old(self, container: Container, repository: aws.ecr.Repository) -> None:
        untagged = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days"}
        rules = [
            {
                "rulePriority": 1,
                "selection": untagged | {"countNumber": KEPT_UNTAGGED_DAYS},
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
                "action": {"type": "expire"},
            },
        ]
        aws.ecr.LifecyclePolicy(
            container, repository=repository.name, policy=self.json({"rules": rules}), opts=self.own()
        )

    def _share(self, container: Container, repository: aws.ecr.Repository) -> None:
        if not self.args.pull_accounts:
            return
        aws.ecr.RepositoryPolicy(
            container,
            repository=repository.name,
            policy=self.json(policies.document(policies.repository(self.args.pull_accounts))),
            opts=self.own(),
        )
