"""What a model is for and what it may harm, where auditors look for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.names import Names

Risk = Literal["Low", "Medium", "High", "Unknown"]


@dataclass(frozen=True, slots=True)
class CardArgs:
    names: Names
    model: str
    key_arn: pulumi.Input[str]
    purpose: str
    uses: str
    owner: str
    risk: Risk
    why_this_risk: str


class Card(Component):
    """A SageMaker model card, a draft that people complete; measured quality stands on the versions themselves."""

    def __init__(self, args: CardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{args.model}-card", opts)
        self.card = aws.sagemaker.ModelCard(
            args.model,
            model_card_name=args.names.of(args.model),
            model_card_status="Draft",
            content=self.json(content(args)),
            security_config={"kms_key_id": args.key_arn},
            opts=self.own(),
        )
        self.finish({"arn": self.card.model_card_arn})


def content(args: CardArgs) -> dict[str, object]:
    """The parts of SageMaker's card schema that are known before anything is trained."""
    return {
        "model_overview": {"model_name": args.model, "model_owner": args.owner},
        "intended_uses": {
            "purpose_of_model": args.purpose,
            "intended_uses": args.uses,
            "risk_rating": args.risk,
            "explanations_for_risk_rating": args.why_this_risk,
        },
    }
