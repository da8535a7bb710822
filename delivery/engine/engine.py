"""Bring an environment up, look ahead, take it down: the verbs, the same whichever engine does the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contract.platform import OUTPUT, PlatformOutputs
from delivery.engine import cost, machine, quotas
from delivery.engine.cloud import Cloud, reach
from delivery.engine.convert import Synthesis, synthesise
from delivery.engine.declare import Declared, declare
from delivery.engine.errors import EngineError, NoEngineError, RefusedError
from delivery.engine.lock import alone
from delivery.engine.machine import Workplace
from delivery.engine.terraform import Listener, Plan, Terraform, nobody
from stacks.forms import declared_configurations
from stacks.settings import ROOT, Settings, load


def synthesis_of(declared: Declared) -> Synthesis:
    return synthesise(declared.recording, backend_of(declared.settings))


def backend_of(settings: Settings) -> Mapping[str, Any]:
    """Where Terraform keeps state: beside the work, or in a bucket with a lock in it."""
    if settings.state_bucket is None:
        return {"local": {}}
    return {
        "s3": {
            "bucket": settings.state_bucket,
            "key": f"{settings.environment}/terraform.tfstate",
            "region": settings.region,
            "encrypt": True,
            "use_lockfile": True,
            "allowed_account_ids": [settings.account],
        }
    }


@dataclass(frozen=True, slots=True)
class Preview:
    """What an `up` would do, and what it would cost."""

    plan: Plan
    cost: cost.Change
    text: str = ""
    over_budget: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment under the Terraform engine, ready to be asked."""

    declared: Declared
    synthesis: Synthesis
    terraform: Terraform
    workplace: Workplace

    @property
    def settings(self) -> Settings:
        return self.declared.settings

    @property
    def cloud(self) -> Cloud:
        return self.terraform.cloud


def opened(environment: str, root: Path = ROOT) -> Environment:
    """Settings checked, program recorded, document written, provider linked."""
    declared = declare(environment, root)
    synthesis = synthesis_of(declared)
    workplace = Workplace(root, environment)
    terraform = Terraform.of(workplace, reach(declared.settings, root), synthesis)
    return Environment(declared, synthesis, terraform, workplace)


def preview(environment: str, root: Path = ROOT, listen: Listener = nobody) -> Preview:
    """The diff and the change of cost; nothing is changed."""
    with alone(Workplace(root, environment), "preview"):
        here = opened(environment, root)
        ahead = look_ahead(here, listen)
        return ahead if ahead.plan.is_empty else replace(ahead, text=here.terraform.show_plan())


def look_ahead(here: Environment, listen: Listener = nobody) -> Preview:
    plan = here.terraform.plan(listen)
    region = here.settings.region
    before = cost.monthly(cost.held(here.terraform.state()), region)
    after = cost.monthly(cost.declared(here.synthesis.document), region)
    change = cost.Change(before, after)
    return Preview(plan, change, over_budget=over_budget(here.settings, after))


def over_budget(settings: Settings, after: cost.Cost) -> str | None:
    """Why the budget of the settings forbids this, or nothing."""
    budget = settings.governance.budget
    if budget is None or not budget.blocks_preview or after.ceiling <= budget.monthly_usd:
        return None
    return (
        f"the ceiling is {after.ceiling:,.0f} USD a month, governance.budget.monthly_usd is {budget.monthly_usd:,.0f}: "
        "lower models.<name>.serving.scaling.most, raise the budget, or set blocks_preview: false"
    )


@dataclass(frozen=True, slots=True)
class Brought:
    """What an `up` did, and what should worry the operator afterwards."""

    plan: Plan
    outputs: PlatformOutputs
    warnings: tuple[str, ...] = ()


Ask = Callable[[Preview], bool]


def yes(_: Preview) -> bool:
    """Agree to whatever it is."""
    return True


def up(
    environment: str,
    root: Path = ROOT,
    *,
    ask: Ask = yes,
    planning: Listener = nobody,
    applying: Callable[[Plan], Listener] = lambda _: nobody,
) -> Brought:
    """Bring the environment to what its files say; ask before changing anything."""
    with alone(Workplace(root, environment), f"up {environment}"):
        here = opened(environment, root)
        ahead = look_ahead(here, planning)
        if ahead.over_budget:
            raise RefusedError(f"over budget: {ahead.over_budget}. Nothing was changed.")
        refuse_outage(ahead.plan)
        short = lacking(here) if not ahead.plan.is_empty else []
        if not ahead.plan.is_empty:
            if not ask(ahead):
                raise RefusedError("not agreed; nothing was changed")
            here.terraform.apply(applying(ahead.plan))
        outputs = outputs_of(here.terraform, environment)
        return Brought(
            ahead.plan,
            outputs,
            (*short, *left_behind(here.cloud, outputs, declared_configurations(here.settings, root))),
        )


def refuse_outage(plan: Plan) -> None:
    """An endpoint is updated, never replaced: a replacement answers nobody while it lasts."""
    lost = [
        each.address for each in plan.changes if each.verb == "replace" and "aws_sagemaker_endpoint." in each.address
    ]
    if lost:
        raise RefusedError(
            f"this would replace {', '.join(lost)}: nobody would be answered meanwhile. AWS replaces an endpoint when "
            "its name or its rollback alarms change: keep both. Nothing was changed."
        )


def lacking(here: Environment) -> list[str]:
    """Quotas that would not hold; the embedded AWS has none."""
    if here.settings.cloud == "embedded":
        return []
    return quotas.shortages(quotas.needed(list(cost.declared(here.synthesis.document))), quotas.granted(here.cloud))


def left_behind(cloud: Cloud, outputs: PlatformOutputs, declared: Mapping[str, str]) -> list[str]:
    """Endpoints that do not serve the configuration that was declared: a rollback happened, or somebody moved them."""
    client = cloud.client("sagemaker")
    found = []
    for name, each in outputs.models.items():
        if each.endpoint is None:
            continue
        seen = client.describe_endpoint(EndpointName=each.endpoint)
        if seen["EndpointConfigName"] != declared[name]:
            reason = seen.get("FailureReason") or "no reason was given"
            found.append(
                f"endpoint {each.endpoint} serves {seen['EndpointConfigName']}, not {declared[name]}: the "
                f"deployment was rolled back ({reason}). `slipway rollback {name}` makes the release file say so."
            )
    return found


def down(environment: str, root: Path = ROOT, listen: Listener = nobody) -> None:
    """Remove everything; protected environments refuse."""
    with alone(Workplace(root, environment), f"down {environment}"):
        here = opened(environment, root)
        if here.settings.protect:
            raise RefusedError(
                f"environment '{environment}' is protected. To remove it, set `protect: false` in "
                f"Pulumi.{environment}.yaml, bring it up once so that the protection is lifted, then take it down."
            )
        here.terraform.destroy(listen)


def outputs(environment: str, root: Path = ROOT) -> PlatformOutputs:
    """What the environment told when it was last brought up."""
    settings = load(environment, root)
    workplace = Workplace(root, environment)
    binary = machine.terraform()
    if binary is None:
        raise NoEngineError("terraform is not on PATH")
    if not workplace.document.exists():
        raise EngineError(f"environment '{environment}' was never brought up here: `slipway up {environment}`")
    return outputs_of(Terraform(workplace, reach(settings, root), binary), environment)


def outputs_of(terraform: Terraform, environment: str) -> PlatformOutputs:
    found = terraform.outputs()
    if OUTPUT not in found:
        raise EngineError(f"environment '{environment}' has no outputs yet: `slipway up {environment}` finishes it")
    return PlatformOutputs.from_json(found[OUTPUT])
