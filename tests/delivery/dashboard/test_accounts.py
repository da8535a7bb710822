"""Accounts of another kind: an empty one, and one seen by an auditor. What is not SageMaker's is one per process here,
so none of these may stand beside the filled one."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from delivery.dashboard.looking import Look
from delivery.dashboard.panel import panel
from delivery.dashboard.parts import parts
from delivery.environment import Environment


def words(tab: Any, part: str) -> str:
    return " ".join(tab.locator(f"#{part}").inner_text().split())


@pytest.mark.browser
def test_an_empty_account_says_of_each_part_what_would_fill_it(empty: Environment, served: Any, opened: Any) -> None:
    with served(empty) as url:
        tab, problems = opened(url)
        assert "A first deployment makes it: slipway deploy" in words(tab, "endpoint")
        assert "nothing is brought up yet" in words(tab, "alarms")
        assert "nothing is brought up yet" in words(tab, "pipelines")
        assert "Nobody asked within the last day" in words(tab, "traffic")
        assert "Bring the environment up: slipway up local" in words(tab, "ledger")
        assert problems == []


def test_the_auditors_role_sees_every_part_and_can_change_nothing(audited: Environment) -> None:
    panels = [panel(name, Look(audited, "churn")) for name in parts()]
    assert [(each.name, each.trouble.what) for each in panels if each.trouble] == []
    assert [each.name for each in panels if each.html.startswith('<p class="empty"')] == []
    with pytest.raises(ClientError, match="not authorized"):
        audited.client("sagemaker").delete_endpoint(EndpointName="slipway-local-churn")
    with pytest.raises(ClientError, match="not authorized"):
        audited.s3.put_object(Bucket=audited.settings.names.bucket("evidence"), Key="ledger/x", Body=b"x")
