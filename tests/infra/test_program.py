"""The platform program under a recording monitor: what it declares, and that it computes with no output."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from contract.platform import PlatformOutputs
from contract.release import Release, Releases
from delivery.engine.convert import ConversionError, synthesise
from delivery.engine.recording import Recording, record, references_in
from delivery.engine.schema import outputs_of
from stacks.platform import Platform
from stacks.settings import Settings, SettingsError, environments, load, parse

Records = Callable[..., Recording]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # how the wire says that a value is not known yet


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_outputs_are_typed(whole: Recording) -> None:
    outputs = PlatformOutputs.from_json(whole.outputs["platform"])
    assert set(outputs.buckets) == {"data", "artifacts", "capture", "outcomes", "evidence", "logs"}
    assert set(outputs.models) == {"churn", "queue", "small"}
    assert outputs.models["churn"].endpoint is not None


def declared_in(recording: Recording, mark: str) -> list[str]:
    """All inputs, with the outputs they mention under the same name whatever they were called in this run."""
    return [
        json.dumps([each.urn, dict(each.inputs)], default=lambda secret: secret.value, sort_keys=True).replace(
            f"__ref({mark}", "__ref("
        )
        for each in recording.resources
    ]


def computed_with(program: Callable[[], None]) -> list[str]:
    """Inputs that differ when nothing but the outputs' own values does: something was made of them, not passed on."""
    one, other = (declared_in(record(program, "test", outputs_of, mark=mark), mark) for mark in ("", "elsewhere/"))
    return [first for first, second in zip(one, other, strict=True) if first != second]


def test_no_output_is_computed_with(everything: Settings, served: Releases) -> None:
    """What is made of a placeholder would be wrong in the other engine."""

    def program() -> None:
        Platform(everything, served)

    assert computed_with(program) == []


@pytest.mark.parametrize("make", [str.upper, hash_of, len, lambda text: text[:9]], ids=["upper", "hash", "len", "cut"])
def test_an_output_that_is_computed_with_is_found(make: Callable[[str], Any]) -> None:
    def program() -> None:
        bucket = aws.s3.Bucket("one", bucket="one")
        aws.ssm.Parameter("two", name="two", type="String", value=bucket.arn.apply(make).apply(str))

    assert len(computed_with(program)) == 1


def test_every_reference_names_something_declared(whole: Recording) -> None:
    declared = {each.urn: each for each in whole.resources}
    for each in whole.resources:
        for urn, property_ in references_in(each.inputs):
            assert urn in declared, f"{each.urn} refers to {urn}"
            assert property_ == "id" or property_ in outputs_of(declared[urn].type)


def test_with_unknown_outputs_the_program_still_runs(records: Records, everything: Settings, served: Releases) -> None:
    """As in a first preview, where nothing exists and no output has a value."""
    recording = records(everything, served, preview=True)
    assert len(recording.resources) > 150
    outputs = recording.outputs["platform"]
    assert outputs == UNKNOWN or outputs["key_arn"] == UNKNOWN


def test_what_is_unknown_stays_unknown(records: Records, everything: Settings, served: Releases) -> None:
    """Nothing stands in for a value that does not exist yet, and what settings say is known all the same."""
    recording = records(everything, served, preview=True)
    alias = recording.of_type("aws:kms/alias:Alias")[0]
    assert alias.inputs["targetKeyId"] == UNKNOWN
    assert alias.inputs["name"].startswith("alias/slipway-test")


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


def test_what_serves_may_be_read_by_the_environment_that_promotes_it(whole: Recording) -> None:
    offer = next(each for each in whole.resources if each.inputs.get("name") == "slipway-test-ci-offer")
    assert '"repo:an-organisation/slipway:environment:prod"' in offer.inputs["assumeRolePolicy"]


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


def test_a_serverless_model_takes_one_variant(records: Records, everything: Settings, experiment: Release) -> None:
    with pytest.raises(SettingsError, match="Serverless endpoints take neither several variants nor a shadow"):
        records(everything, Releases({"small": experiment}))


@pytest.fixture(scope="module")
def pulumi_only(records: Records, minimal: Mapping[str, Any]) -> Recording:
    card = {"purpose": "keep customers", "uses": "an offer before they leave", "risk": "Low"}
    models = {"churn": {**minimal["models"]["churn"], "card": card}}
    return records(parse({**minimal, "tracking": {"kind": "app"}, "models": models}, "test", "test"))


def test_what_only_pulumi_has_is_declared(pulumi_only: Recording) -> None:
    card = pulumi_only.of_type("aws:sagemaker/modelCard:ModelCard")[0]
    assert json.loads(card.inputs["content"])["intended_uses"]["risk_rating"] == "Low"
    assert pulumi_only.of_type("aws:sagemaker/mlflowApp:MlflowApp")


def test_terraform_refuses_what_only_pulumi_has_with_the_way_out(pulumi_only: Recording) -> None:
    with pytest.raises(ConversionError, match=r"--engine pulumi.*tracking.kind: server"):
        synthesise(pulumi_only)


def test_what_only_pulumi_has_is_judged_and_counted_all_the_same(pulumi_only: Recording) -> None:
    document = synthesise(pulumi_only, partial=True).document
    assert "aws_sagemaker_model_card" not in document["resource"]
    pipeline = document["resource"]["aws_sagemaker_pipeline"]["churn-train"]["pipeline_definition"]
    assert "tracking.arn" in pipeline
