"""What answers requests: the endpoint, its variants with their live weights, and a change that is under way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from delivery.dashboard.looking import Look
from delivery.traffic import Live, read_live
from monitoring.report.page import text

TITLE, PLACE, WIDE = "Endpoint", 10, False


@dataclass(frozen=True, slots=True)
class Serving:
    """One variant as it is live."""

    name: str
    version: str
    share: float
    instances: int


@dataclass(frozen=True, slots=True)
class Found:
    """An endpoint, or none."""

    endpoint: str
    status: str = ""
    config: str = ""
    changed: datetime | None = None
    variants: tuple[Serving, ...] = ()
    under_way: str = ""
    reason: str = ""


def read(look: Look) -> Found:
    sagemaker = look.client("sagemaker")
    try:
        answer = sagemaker.describe_endpoint(EndpointName=look.endpoint)
    except ClientError as problem:
        if "Could not find endpoint" in problem.response["Error"].get("Message", ""):
            return Found(look.endpoint)
        raise
    live = read_live(answer)
    versions = versions_of(sagemaker, live.config)
    variants = tuple(
        Serving(name, versions.get(name, ""), live.shares[name], each.instances) for name, each in live.variants.items()
    )
    return Found(
        look.endpoint, live.status, live.config, answer["LastModifiedTime"], variants, change(live), live.reason
    )


def change(live: Live) -> str:
    """A change that is under way, in words."""
    if live.pending_config is None:
        return ""
    return f"to {live.pending_config}: {', '.join(dict.fromkeys(live.stages)) or live.status}"


def versions_of(sagemaker: Any, config: str) -> dict[str, str]:
    """What each variant serves: the model behind it, as its name says."""
    found = sagemaker.describe_endpoint_config(EndpointConfigName=config)
    return {each["VariantName"]: each.get("ModelName", "") for each in found["ProductionVariants"]}


def show(found: Found) -> str:
    if not found.status:
        return (
            f'<p class="empty">No endpoint {text(found.endpoint)} yet. A first deployment makes it: slipway deploy.</p>'
        )
    mood = {"InService": "good", "Failed": "bad"}.get(found.status, "unsure")
    bars = "".join(
        f'<i class="v{number % 4}" style="flex-grow:{each.share:.4f}" title="{text(each.name)}"></i>'
        for number, each in enumerate(found.variants)
    )
    rows = "".join(
        f'<li><b class="v{number % 4}-text">{text(each.name)}</b> {each.share:.1%} · {each.instances} '
        f'instance{"s" if each.instances != 1 else ""} <span class="soft">{text(each.version)}</span></li>'
        for number, each in enumerate(found.variants)
    )
    notes = "".join(f'<p class="note">{text(each)}</p>' for each in (found.under_way, found.reason) if each)
    return (
        f'<p><b>{text(found.endpoint)}</b> <span class="tag {mood}">{text(found.status)}</span></p>'
        f'<div class="shares" role="img" aria-label="Live shares of the traffic">{bars}</div>'
        f'<ul class="plain">{rows}</ul>'
        f"{notes}"
    )
