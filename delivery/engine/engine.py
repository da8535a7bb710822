"""Bring an environment up, look ahead, take it down: the verbs, the same whichever engine does the work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contract.platform import OUTPUT, PlatformOutputs
from contract.release import Releases
from delivery.engine import cost, machine, quotas
from delivery.engine.cloud import Cloud, local_cloud, reach
from delivery.engine.convert import Synthesis, synthesise
from delivery.engine.declare import Declared, declare
from delivery.engine.errors import EngineError, NoEngineError, RefusedError
from delivery.engine.lock import alone
from delivery.engine.machine import Workplace
from delivery.engine.removal import Holding, clear, held_by_settings, look, make_way
from delivery.engine.terraform import Listener, Plan, Terraform, nobody
from delivery.releases import ReleaseFile
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


Check = Callable[[Declared, Synthesis], None]


def opened(environment: str, root: Path = ROOT, check: Check = lambda *_: None) -> Environment:
    """Settings checked, program recorded, document written, provider linked; `check` may refuse before the cloud."""
    declared = declare(environment, root)
    synthesis = synthesis_of(declared)
    check(declared, synthesis)
    workplace = Workplace(root, environment)
    terraform = Terraform.of(workplace, reach(declared.settings, root), synthesis)
    return Environment(declared, synthesis, terraform, workplace)


def preview(environment: str, root: Path = ROOT, listen: Listener = nobody) -> Preview:
    """The diff and the change of cost; nothing is changed."""
    load(environment, root)  # a name that is none leaves no folder behind
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


def refuse_over_budget(declared: Declared, synthesis: Synthesis) -> None:
    after = cost.monthly(cost.declared(synthesis.document), declared.settings.region)
    why = over_budget(declared.settings, after)
    if why is not None:
        raise RefusedError(f"over budget: {why}. Nothing was changed.")


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
    settings = load(environment, root)
    refuse_lost_state(settings, kept=settings.state_bucket is not None, remedy="set state_bucket")
    with alone(Workplace(root, environment), f"up {environment}"):
        here = opened(environment, root, refuse_over_budget)
        ahead = look_ahead(here, planning)
        refuse_outage(ahead.plan)
        short = lacking(here) if not ahead.plan.is_empty else []
        if not ahead.plan.is_empty:
            if not ask(ahead):
                raise RefusedError("not agreed; nothing was changed")
            here.terraform.apply(applying(ahead.plan))
        if ahead.plan.to_read_back:
            here.terraform.read_back(ahead.plan.to_read_back)
        outputs = outputs_of(here.terraform, environment)
        return Brought(
            ahead.plan,
            outputs,
            (*short, *left_behind(here.cloud, outputs, declared_configurations(here.settings, root))),
        )


def refuse_lost_state(settings: Settings, *, kept: bool, remedy: str) -> None:
    """A machine of CI is gone after its run, and state on it with it: the next run would make everything again."""
    if settings.cloud == "aws" and os.environ.get("CI") and not kept:
        raise RefusedError(
            f"the state of '{settings.environment}' would be lost with this machine of CI: {remedy}, so that it is "
            "kept in a bucket. Nothing was changed."
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


@dataclass(frozen=True, slots=True)
class Removal:
    """What taking an environment down removes: what the engine made, and what grew inside it since."""

    plan: Plan
    holding: Holding


AskRemoval = Callable[[Removal], bool]


def down(
    environment: str,
    root: Path = ROOT,
    *,
    ask: AskRemoval = lambda _: True,
    removing: Callable[[Plan], Listener] = lambda _: nobody,
) -> Removal:
    """Remove everything; what must be kept is told before anything is touched."""
    refuse_protected(load(environment, root))
    workplace = Workplace(root, environment)
    with alone(workplace, f"down {environment}"):
        here = opened(environment, root)
        known = list(cost.held(here.terraform.state()))
        holding = look(here.cloud, known)
        refuse_kept(holding)
        removal = Removal(here.terraform.plan_removal() if known else Plan(()), holding)
        if known:
            if not ask(removal):
                raise RefusedError("not agreed; nothing was removed")
            make_way(here.cloud, holding)
            here.terraform.apply(removing(removal.plan))
        clear(here.cloud, f"{here.settings.names.of()}-")
    leave(here.settings, workplace)
    return removal


def refuse_protected(settings: Settings) -> None:
    why = held_by_settings(settings)
    if why is not None:
        raise RefusedError(why)


def refuse_kept(holding: Holding) -> None:
    if holding.refusals:
        raise RefusedError("\n".join([*holding.refusals, "Nothing was removed."]))


def leave(settings: Settings, workplace: Workplace) -> None:
    """Nothing serves any more, and nothing of the work is left here; an embedded AWS of our own ends as well."""
    releases = ReleaseFile.of(settings.environment, workplace.root)
    if settings.cloud == "embedded":
        releases.path.unlink(missing_ok=True)
        local_cloud(workplace.root).stop()
    elif releases.read().models:
        releases.write(Releases())
    shutil.rmtree(workplace.folder, ignore_errors=True)


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
