"""`python -m delivery.rules`: judge all environments, print what is open, fail when something is."""

from __future__ import annotations

import sys

from delivery.rules.check import LEAST_CHECKS, check
from infra.rules import RULES


def main() -> int:
    report = check()
    judged = report.judged
    for finding in judged.open:
        print(f"{finding.environment}: {finding.rule} {finding.resource}: {finding.text}")  # noqa: T201
    for waiver in judged.over:
        print(f"waiver past its date: {waiver.rule} on {waiver.resources}, until {waiver.until}: {waiver.reason}")  # noqa: T201
    for waiver in judged.idle:
        print(f"waiver that covers nothing: {waiver.rule} on {waiver.resources}: remove it from infra/waivers.yaml")  # noqa: T201
    print(  # noqa: T201
        f"{', '.join(report.environments)}: {len(report.evaluated)} checks of checkov (at least {LEAST_CHECKS}) and "
        f"{len(RULES)} of ours evaluated, {len(judged.open)} open findings"
    )
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
