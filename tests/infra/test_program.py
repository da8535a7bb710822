"""The platform program under a recording monitor: what it declares, and that it computes with no output."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pulumi
import pytest

from contract.platform import PlatformOutputs
from contract.release import Release, Releases
from delivery.engine.convert import synthesise
from delivery.engine.recording import Recording, record, references_in
from delivery.engine.schema import outputs_of
from stacks.platform import Platform
from stacks.settings import Settings, environments, load, parse

Records = Callable[..., Recording]


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)


def test_the_outputs_are_typed(whole: Recording) -> None:
    outputs = PlatformOutputs.from_json(whole.outputs["platform"])
    assert set(outputs.buckets) == {"data", "artifacts", "capture", "outcomes", "evidence", "logs"}
    assert set(outputs.models) == {"churn", "queue", "small"}
    assert outputs.models["churn"].endpoint is not None


def test_no_output_is_computed_with(whole: Recording) -> None:
    """A reference that was cut, upper-cased or hashed would leave its marker behind."""
    for each in whole.resources:
        for text in texts(dict(each.inputs)):
            assert text.count("__ref(") == sum(1 for _ in references_in(text)), f"{each.urn}: {text}"


def test_every_reference_names_something_declared(whole: Recording) -> None:
    declared = {each.urn: each for each in whole.resources}
    for each in whole.resources:
        for urn, property_ in references_in(each.inputs):
            assert urn in declared, f"{each.urn} refers to {urn}"
            assert property_ == "id" or property_ in outputs_of(declared[urn].type)


def test_with_unknown_outputs_the_program_still_runs(records: Records, everything: Settings, served: Releases) -> None:
    """As in a first preview, where nothing exists and no output has a value."""
    assert len(records(everything, served, preview=True).resources) > 150


def test_the_pager_stays_secret(records: Records, everything: Settings) -> None:
    """Given as the engine gives a secret, it is a variable in the document and nowhere else."""
    address = "https://pager.example.com/secret-key"

    def program() -> None:
        Platform(everything, Releases(), pulumi.Output.secret(address))

    synthesis = synthesise(record(program, "test", outputs_of))
    assert address not in json.dumps(synthesis.document)
    assert list(synthesis.secrets.values()) == [address]
    assert all(each["sensitive"] for each in synthesis.document["variable"].values())


def test_two_runs_declare_the_same(records: Records, everything: Settings, served: Releases, whole: Recording) -> None:
    assert records(everything, served) == whole


def test_every_resource_stands_under_a_component(whole: Recording) -> None:
    orphans = [
        each.urn for each in whole.resources if each.custom and not each.is_provider and ":infra:" not in each.parent
    ]
    assert orphans == []


@pytest.mark.parametrize("environment", environments())
def test_an_environment_without_a_release_serves_nothing(environment: str, records: Records) -> None:
    recording = records(load(environment))
    assert recording.of_type("aws:sagemaker/endpoint:Endpoint") == []
    assert recording.of_type("aws:sagemaker/pipeline:Pipeline") != []


def test_every_account_is_guarded(whole: Recording) -> None:
    providers = [each for each in whole.resources if each.is_provider]
    assert {each.name for each in providers} == {"main", "replica"}
    assert all(json.loads(each.inputs["allowedAccountIds"]) == ["123456789012"] for each in providers)


def test_what_holds_data_is_protected_where_settings_say_so(whole: Recording) -> None:
    kinds = ("aws:s3/bucket:Bucket", "aws:kms/key:Key", "aws:ecr/repository:Repository", "aws:ec2/vpc:Vpc")
    named = [each for kind in kinds for each in whole.of_type(kind) if each.name != "replica"]
    assert len(named) == 12
    assert all(each.protect for each in named)


def test_feature_groups_are_protected_everywhere(whole: Recording) -> None:
    """A changed feature replaces the group and loses its online store: the engine refuses instead."""
    assert whole.named("customers").protect


def test_a_model_waits_for_the_permissions_of_its_role(whole: Recording) -> None:
    """IAM answers late: a model made before its role's policy fails at its first download."""
    models = whole.of_type("aws:sagemaker/model:Model")
    assert models
    for each in models:
        assert any("rolePolicy" in urn for urn in each.depends_on)


def test_the_scaling_target_stands_after_the_endpoint(whole: Recording) -> None:
    targets = whole.of_type("aws:appautoscaling/target:Target")
    assert targets
    for target in targets:
        assert any("sagemaker/endpoint:Endpoint" in urn for urn in target.depends_on)


def test_two_models_share_nothing_but_the_foundation(records: Records, minimal: Mapping[str, Any]) -> None:
    one = minimal["models"]["churn"]
    few, many = (
        records(parse({**minimal, "models": {f"m{number}": one for number in range(count)}}, "test", "test"))
        for count in (1, 5)
    )
    assert len(many.of_type("aws:sagemaker/modelPackageGroup:ModelPackageGroup")) == 5
    assert len(many.of_type("aws:iam/role:Role")) == len(few.of_type("aws:iam/role:Role"))


def test_a_release_file_is_read_by_the_entry_program(repository: Any, steady: Release) -> None:
    import yaml

    from delivery.engine.declare import declare

    path = repository / "releases" / "local.yaml"
    path.write_text(yaml.safe_dump(Releases({"churn": steady}).to_json()))
    assert len(declare("local", repository).recording.of_type("aws:sagemaker/endpoint:Endpoint")) == 1


def test_a_program_is_recorded_from_where_an_event_loop_runs_already() -> None:
    async def in_a_notebook() -> Recording:
        return record(lambda: None, "local", outputs_of)

    assert asyncio.run(in_a_notebook()).stack == "local"


def pipeline(whole: Recording, name: str) -> dict[str, Any]:
    found = next(each for each in whole.of_type("aws:sagemaker/pipeline:Pipeline") if each.urn.endswith(f"::{name}"))
    definition: dict[str, Any] = json.loads(found.inputs["pipelineDefinition"])
    return {step["Name"]: step for step in definition["Steps"]}


def test_every_serving_container_says_which_artifact_it_answers_from(whole: Recording, served: Releases) -> None:
    """The monitor asks the endpoint, so a rollback by alarm leaves nothing to bring up."""
    models = whole.of_type("aws:sagemaker/model:Model")
    told = {each.inputs["primaryContainer"]["environment"]["SLIPWAY_ARTIFACT_HASH"] for each in models}
    assert {each.package.artifact_hash for each in served.models["churn"].variants} <= told
    environment = pipeline(whole, "churn-monitor")["Judge"]["Arguments"]["Environment"]
    assert "SLIPWAY_SERVING" not in environment


def test_a_version_is_registered_after_its_baseline_was_counted(whole: Recording) -> None:
    steps = pipeline(whole, "churn-train")
    assert "Baseline" in steps["Register"]["DependsOn"]
    assert steps["Baseline"]["Arguments"]["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"].endswith(
        "/baselines/churn/"
    )
