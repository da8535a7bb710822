"""The CrossGuard pack over its real protocol: the pack as a process, asked as the engine asks it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from delivery.rules.check import recorded, resources
from infra.rules import RULES, Resource
from stacks.settings import ROOT, load


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Any]:
    """The pack's own process, and a client of it."""
    command = [sys.executable, "-m", "infra.policypack", "127.0.0.1:1", str(ROOT / "infra" / "policypack")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
        process.terminate()


@pytest.fixture(scope="module")
def platform() -> list[Resource]:
    return resources(recorded(load("prod")))


def asked(platform: list[Resource]) -> Any:
    return analyzer_pb2.AnalyzeStackRequest(resources=[analysed(each) for each in platform])


def analysed(resource: Resource) -> Any:
    properties = struct_pb2.Struct()
    properties.update(plain(resource.inputs))
    return analyzer_pb2.AnalyzerResource(
        type=resource.type,
        name=resource.name,
        urn=f"urn:pulumi:prod::slipway::{resource.type}::{resource.name}",
        properties=properties,
        options=analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect),
    )


def plain(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in inputs.items() if isinstance(value, (str, bool, int, float, dict, list))}


def test_the_pack_tells_its_policies(analyzer: Any) -> None:
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty())
    assert {each.name for each in info.policies} == {rule.id.lower() for rule in RULES}


def test_prod_passes_the_pack(analyzer: Any, platform: list[Resource]) -> None:
    assert [each.message for each in analyzer.AnalyzeStack(asked(platform)).diagnostics] == []


def test_the_pack_refuses_a_model_that_is_not_isolated(analyzer: Any, platform: list[Resource]) -> None:
    changed = [
        replace(each, inputs={**each.inputs, "enableNetworkIsolation": False}) if each.type.endswith(":Model") else each
        for each in platform
    ]
    found = analyzer.AnalyzeStack(asked(changed)).diagnostics
    assert {each.policyName for each in found} == {"slw004"}
    assert all(each.enforcementLevel == analyzer_pb2.MANDATORY for each in found)
