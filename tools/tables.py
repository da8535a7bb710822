"""Write the pages that are made from code, so that they cannot fall behind it; `--check` only says which did."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contract.signals import TABLE, Signal  # noqa: E402
from delivery.cli.reference import page as commands_page  # noqa: E402
from delivery.release import diagram  # noqa: E402
from delivery.rules.waivers import waivers  # noqa: E402
from infra.policies import WILDCARDS  # noqa: E402
from infra.prices import table as prices  # noqa: E402
from infra.rules import RULES  # noqa: E402
from tools.reference import gates_page, python_page, settings_page  # noqa: E402


def alarm(signal: Signal) -> str:
    watch = signal.watch
    if watch is None:
        return ""
    minutes = watch.period_seconds / 60
    often = f", {watch.breaching_periods} of {watch.periods}" if watch.periods > 1 else ""
    words = {"GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": "≥", "LessThanThreshold": "<"}
    page = signal.runbook.removeprefix("docs/")
    rule = f"{signal.statistic} {words.get(watch.comparison, '≤')} {watch.threshold:g} in {minutes:g} min{often}"
    return f"[{signal.alarm_means}]({page}) {rule}"


SIGNALS = """# Signals

Every metric that is published or watched, from `contract/signals.py`. Thresholds are defaults; settings change them.

| key | metric | dimensions | unit | what it says | alarm |
| --- | --- | --- | --- | --- | --- |
{rows}
"""
RELEASES = """# The states of a release

Drawn from `delivery/release.py`. A command that has no arrow from the present state is refused with the reason.
While `rolling`, only a first deployment that never served gives way to another `deploy`; with something to go back to, a rollout is ended first.

```mermaid
{drawing}
```
"""


def signals() -> str:
    rows = (
        f"| `{each.key}` | `{each.namespace}` `{each.name}` | {', '.join(each.dimensions)} | {each.unit} | {each.says} | {alarm(each)} |"
        for each in TABLE
    )
    return SIGNALS.format(rows="\n".join(rows))


def releases() -> str:
    return RELEASES.format(drawing=diagram())


SECURITY = """# What is held, and by which rule

Written from `infra/rules.py`, `infra/checks.csv` and `infra/waivers.yaml`. `make rules` judges every environment that is on
AWS, each with every model in the middle of an experiment; nothing is run against a cloud. Each rule has a mutation of the
program that it must see: `tests/infra/test_own_rules.py` for ours, `tests/infra/test_checkov.py` for checkov's.

## Our own rules

For what the public sets lack. They run over a recording in `make rules`, and as a CrossGuard pack inside a Pulumi run
(`pulumi up --policy-pack infra/policypack`).

| id | demands | control |
| --- | --- | --- |
{own}

## Checkov

The checks that really look at something of ours. FSBP is AWS Foundational Security Best Practices, CIS the AWS benchmark 7.0.

| id | demands | control |
| --- | --- | --- |
{checks}

## Waivers

Findings we live with. One that is past its date, or that covers nothing any more, fails `make rules`.

| rule | on | in | until | why |
| --- | --- | --- | --- | --- |
{waivers}

## Permissions

Every statement is in `infra/policies.py`, built from the ARNs it concerns. No statement has a wildcard action; a wildcard
resource stands only where AWS takes no other, each with its reason:

| action | why on every resource |
| --- | --- |
{wildcards}

Who must be able to do what, and who must not, is a table in `tests/infra/test_permissions.py`, decided offline from the very
statements that are deployed.
"""
COST = """# What things cost

Written from `infra/prices.csv`, where each row has its day and its source. A price with `~` is an estimate: entered by hand,
outside us-east-1 by a factor for the region, and compared with no price list. The others were seen in public: an AWS bill, or
the Price List as somebody quoted it. None was asked of the Price List by this project.
`slipway preview` prints what a change makes of the monthly cost: the floor is what is there all the time at the least, the
ceiling what scaling may make of it. Runs, requests, storage and transfer depend on use and are not in it.
`governance.budget.monthly_usd` refuses a ceiling above it.

To refresh a price, change its row: the price, the day, and where it came from.

| item | unit | {regions} | as of |
| --- | --- | {lines} | --- |
{rows}
"""


def security() -> str:
    with (ROOT / "infra" / "checks.csv").open(newline="") as file:
        checks = [f"| `{each['id']}` | {each['demands']} | {each['control']} |" for each in csv.DictReader(file)]
    own = [f"| `{each.id}` | {each.demands} | {each.control} |" for each in RULES]
    accepted = [
        f"| `{each.rule.replace('|', ', ')}` | `{each.resources.replace('|', ', ')}` | {', '.join(each.environments) or 'all'} "
        f"| {each.until} | {each.reason} |"
        for each in waivers()
    ]
    wildcards = [f"| `{action}` | {reason} |" for action, reason in sorted(WILDCARDS.items())]
    return SECURITY.format(
        own="\n".join(own), checks="\n".join(checks), waivers="\n".join(accepted), wildcards="\n".join(wildcards)
    )


def cost() -> str:
    known = prices()
    regions = sorted({region for region, _, _ in known})
    items = list(dict.fromkeys((kind, item) for _, kind, item in known))
    rows = []
    for kind, item in items:
        each = [known[region, kind, item] for region in regions]
        values = " | ".join(f"{'~' if price.is_estimate else ''}{price.usd:g}" for price in each)
        rows.append(
            f"| {item}{'' if kind == 'other' else f' ({kind})'} | {each[0].unit} | {values} | {max(price.as_of for price in each)} |"
        )
    return COST.format(regions=" | ".join(regions), lines=" | ".join("---" for _ in regions), rows="\n".join(rows))


PAGES = {
    "docs/signals.md": signals,
    "docs/release-states.md": releases,
    "docs/security.md": security,
    "docs/cost.md": cost,
    "docs/reference/commands.md": commands_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/gates.md": gates_page,
    "docs/reference/python.md": python_page,
}


def main() -> int:
    stale = [name for name, make in PAGES.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != make()]
    if "--check" in sys.argv:
        if stale:
            print(f"behind the code: {', '.join(stale)}. Run `make tables` and commit what it writes.")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(PAGES[name]())
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
