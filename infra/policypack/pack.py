"""Our rules as policies of Pulumi's own kind: each judges the whole stack and is mandatory."""

from __future__ import annotations

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)

from infra.rules import RULES, Resource, Rule, Stack

NAME = "slipway"


def seen(args: StackValidationArgs) -> Stack:
    """What Pulumi shows a policy, as our rules read it."""
    return Stack(
        [
            Resource(each.resource_type, each.name, dict(each.props), protect=bool(each.opts and each.opts.protect))
            for each in args.resources
        ]
    )


def policy(rule: Rule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for breach in rule.check(seen(args)):
            report(f"{rule.id} {breach.resource}: {breach.text} ({rule.demands}; {rule.control})", None)

    return StackValidationPolicy(
        name=rule.id.lower(), description=f"{rule.demands} ({rule.control})", validate=validate
    )


def pack() -> PolicyPack:
    return PolicyPack(
        name=NAME, enforcement_level=EnforcementLevel.MANDATORY, policies=[policy(each) for each in RULES]
    )
