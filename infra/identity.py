"""Who may do what: a role per workload and per kind of person, inside one boundary, and CI by short-lived tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.names import WORKLOADS, Names, Person, Workload

SERVICES: Mapping[Workload, str] = {
    "training": "sagemaker",
    "inference": "sagemaker",
    "monitoring": "sagemaker",
    "pipeline": "sagemaker",
    "scheduler": "scheduler",
    "events": "events",
}
GITHUB = "token.actions.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class Workflow:
    """The repository whose workflows may deploy; `provider_arn` when the account knows GitHub already.

    `promotes_to` is the environment whose promotions may read what serves here.
    """

    repository: str
    provider_arn: str | None
    promotes_to: str | None = None


@dataclass(frozen=True, slots=True)
class IdentityArgs:
    grounds: policies.Grounds
    people: Mapping[Person, Sequence[str]]
    workflow: Workflow | None
    boundary: bool

    @property
    def names(self) -> Names:
        return self.grounds.names


class Identity(Component):
    """Roles for workloads, people and CI; every permission comes from `infra.policies`."""

    def __init__(self, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("identity", opts)
        self.args = args
        self.boundary = self._boundary()
        self.policies: list[aws.iam.RolePolicy] = []
        self.workloads = {who: self._workload(who) for who in WORKLOADS}
        self.people = {who: self._person(who, principals) for who, principals in args.people.items() if principals}
        self._continuous_integration()
        self.arns = {who: role.arn for who, role in self.workloads.items()}
        self.finish({f"{who}_arn": arn for who, arn in self.arns.items()})

    def _boundary(self) -> pulumi.Input[str] | None:
        if not self.args.boundary:
            return None
        policy = aws.iam.Policy(
            "boundary",
            name=self.args.names.of("boundary"),
            description="The most any role of this environment may ever do",
            policy=self.json(policies.document(policies.boundary(self.args.grounds))),
            opts=self.own(),
        )
        return policy.arn

    def _workload(self, who: Workload) -> aws.iam.Role:
        trust = policies.trusted_service(self.args.names, SERVICES[who])
        return self._role(who, trust, policies.WORKLOAD_STATEMENTS[who](self.args.grounds))

    def _person(self, who: Person, principals: Sequence[str]) -> aws.iam.Role:
        trust = policies.trusted_people(principals)
        return self._role(who, trust, policies.PERSON_STATEMENTS[who](self.args.grounds))

    def _role(
        self, who: Workload | Person, trust: list[policies.Statement], statements: list[policies.Statement]
    ) -> aws.iam.Role:
        role = aws.iam.Role(
            who,
            name=self.args.names.role(who),
            assume_role_policy=self.json(policies.document(trust)),
            permissions_boundary=self.boundary,
            max_session_duration=3600,
            opts=self.own(),
        )
        self.policies.append(
            aws.iam.RolePolicy(
                who,
                role=role.name,
                name="work",
                policy=self.json(policies.document(statements)),
                opts=self.own(),
            )
        )
        if who in policies.MANAGED:
            self._attach(who, role)
        return role

    def _attach(self, who: Workload | Person, role: aws.iam.Role) -> None:
        """What does not fit inline."""
        name, statements = policies.MANAGED[who]
        policy = aws.iam.Policy(
            name,
            name=self.args.names.of(name),
            description=f"More of what {who} may do",
            policy=self.json(policies.document(statements(self.args.grounds))),
            opts=self.own(),
        )
        aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=policy.arn, opts=self.own())

    def _continuous_integration(self) -> None:
        """Preview on pull requests, deploy and promote from protected environments; no key is kept anywhere."""
        if self.args.workflow is None:
            return
        provider = self.args.workflow.provider_arn or self._github()
        subjects: dict[Person, str] = {
            "ci-preview": "pull_request",
            "ci-deploy": f"environment:{self.args.names.environment}",
        }
        if self.args.workflow.promotes_to is not None:
            subjects["ci-offer"] = f"environment:{self.args.workflow.promotes_to}"
        for who, subject in subjects.items():
            trust = policies.trusted_workflow(provider, self.args.workflow.repository, subject)
            self.people[who] = self._role(who, trust, policies.PERSON_STATEMENTS[who](self.args.grounds))

    def _github(self) -> pulumi.Input[str]:
        return aws.iam.OpenIdConnectProvider(
            "github", url=f"https://{GITHUB}", client_id_lists=["sts.amazonaws.com"], opts=self.own()
        ).arn
