"""Where models and jobs run: private subnets without a way to the internet, and doors to the AWS services they need."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.names import Names

# What a workload without internet must still reach.
DOORS = ("sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr", "logs", "kms", "sts", "monitoring", "sns")
ZONE_LETTERS = "abcdef"


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    names: Names
    key_arn: pulumi.Input[str]
    kind: Literal["none", "create", "existing"]
    cidr: str
    zones: int
    subnet_ids: Sequence[str]
    security_group_ids: Sequence[str]
    flow_log_days: int
    protect: bool


def subnets_of(cidr: str, count: int) -> list[str]:
    """As many equal parts of the range as there are zones, rounded up to a power of two."""
    network = ipaddress.ip_network(cidr)
    bits = max(1, (count - 1).bit_length())
    return [str(each) for each in list(network.subnets(prefixlen_diff=bits))[:count]]


class Network(Component):
    """Private subnets and the group workloads run in; made here, or named by settings, or none."""

    def __init__(self, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("network", opts)
        self.args = args
        self.subnet_ids: list[pulumi.Input[str]] = list(args.subnet_ids)
        self.security_group_ids: list[pulumi.Input[str]] = list(args.security_group_ids)
        if args.kind == "create":
            self._create()
        self.finish({"subnet_ids": self.subnet_ids, "security_group_ids": self.security_group_ids})

    def _create(self) -> None:
        vpc = self._vpc()
        self._close_default_group(vpc)
        table = aws.ec2.RouteTable("private", vpc_id=vpc.id, tags=self._named("private"), opts=self.own())
        subnets = [self._subnet(vpc, table, zone, cidr) for zone, cidr in self._zones()]
        workloads, doors = self._groups(vpc)
        self._doors(vpc, table, subnets, doors)
        self._flow_log(vpc)
        self.subnet_ids = [each.id for each in subnets]
        self.security_group_ids = [workloads.id]

    def _named(self, *parts: str) -> dict[str, str]:
        return {"Name": self.args.names.of(*parts)}

    def _zones(self) -> list[tuple[str, str]]:
        return list(zip(ZONE_LETTERS, subnets_of(self.args.cidr, self.args.zones), strict=False))

    def _vpc(self) -> aws.ec2.Vpc:
        return aws.ec2.Vpc(
            "vpc",
            cidr_block=self.args.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._named("vpc"),
            opts=self.own(protect=self.args.protect),
        )

    def _close_default_group(self, vpc: aws.ec2.Vpc) -> None:
        aws.ec2.DefaultSecurityGroup("default", vpc_id=vpc.id, tags=self._named("default-closed"), opts=self.own())

    def _subnet(self, vpc: aws.ec2.Vpc, table: aws.ec2.RouteTable, zone: str, cidr: str) -> aws.ec2.Subnet:
        subnet = aws.ec2.Subnet(
            f"private-{zone}",
            vpc_id=vpc.id,
            availability_zone=f"{self.args.names.region}{zone}",
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags=self._named("private", zone),
            opts=self.own(),
        )
        aws.ec2.RouteTableAssociation(f"private-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=self.own())
        return subnet

    def _groups(self, vpc: aws.ec2.Vpc) -> tuple[aws.ec2.SecurityGroup, aws.ec2.SecurityGroup]:
        """Workloads may speak HTTPS to the doors and to S3, and to each other for jobs on several instances."""
        workloads = self._group(vpc, "workloads", "Models and jobs")
        doors = self._group(vpc, "doors", "Interface endpoints")
        for name, peer in (("doors", doors.id), ("peers", workloads.id)):
            self._allow(f"to-{name}", workloads, peer, "egress", (443, 443) if name == "doors" else (0, 65535))
        self._allow("from-peers", workloads, workloads.id, "ingress", (0, 65535))
        self._allow("from-workloads", doors, workloads.id, "ingress", (443, 443))
        aws.vpc.SecurityGroupEgressRule(
            "to-s3",
            security_group_id=workloads.id,
            description="HTTPS to S3 through the gateway endpoint",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            prefix_list_id=self._s3_gateway(vpc).prefix_list_id,
            tags=self._named("to-s3"),
            opts=self.own(),
        )
        return workloads, doors

    def _group(self, vpc: aws.ec2.Vpc, name: str, description: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            name,
            name=self.args.names.of(name),
            vpc_id=vpc.id,
            description=f"{description} of {self.args.names.of()}",
            tags=self._named(name),
            opts=self.own(),
        )

    def _allow(
        self,
        name: str,
        group: aws.ec2.SecurityGroup,
        peer: pulumi.Input[str],
        direction: Literal["ingress", "egress"],
        ports: tuple[int, int],
    ) -> None:
        kind = aws.vpc.SecurityGroupIngressRule if direction == "ingress" else aws.vpc.SecurityGroupEgressRule
        kind(
            name,
            security_group_id=group.id,
            description=f"{name.replace('-', ' ')} inside the environment",
            ip_protocol="tcp",
            from_port=ports[0],
            to_port=ports[1],
            referenced_security_group_id=peer,
            tags=self._named(name),
            opts=self.own(),
        )

    def _s3_gateway(self, vpc: aws.ec2.Vpc) -> aws.ec2.VpcEndpoint:
        self.gateway = aws.ec2.VpcEndpoint(
            "s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{self.args.names.region}.s3",
            vpc_endpoint_type="Gateway",
            tags=self._named("s3"),
            opts=self.own(),
        )
        return self.gateway

    def _doors(
        self,
        vpc: aws.ec2.Vpc,
        table: aws.ec2.RouteTable,
        subnets: list[aws.ec2.Subnet],
        group: aws.ec2.SecurityGroup,
    ) -> None:
        aws.ec2.VpcEndpointRouteTableAssociation(
            "s3", route_table_id=table.id, vpc_endpoint_id=self.gateway.id, opts=self.own()
        )
        for door in DOORS:
            aws.ec2.VpcEndpoint(
                door.replace(".", "-"),
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{self.args.names.region}.{door}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[each.id for each in subnets],
                security_group_ids=[group.id],
                tags=self._named(door.replace(".", "-")),
                opts=self.own(),
            )

    def _flow_log(self, vpc: aws.ec2.Vpc) -> None:
        """Who spoke to whom, kept as long as settings say."""
        group = aws.cloudwatch.LogGroup(
            "flow",
            name=self.args.names.log_group("flow"),
            kms_key_id=self.args.key_arn,
            retention_in_days=self.args.flow_log_days,
            opts=self.own(),
        )
        role = aws.iam.Role(
            "flow",
            name=self.args.names.of("flow-log", kind="role"),
            assume_role_policy=self.json(policies.document(policies.trusted_service(self.args.names, "vpc-flow-logs"))),
            opts=self.own(),
        )
        aws.iam.RolePolicy(
            "flow",
            role=role.name,
            name="write",
            policy=self.json(policies.document(policies.flow_log(self.args.names))),
            opts=self.own(),
        )
        aws.ec2.FlowLog(
            "vpc",
            vpc_id=vpc.id,
            traffic_type="ALL",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags=self._named("flow"),
            opts=self.own(),
        )
