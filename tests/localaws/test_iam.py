"""Permissions: the evaluation logic as such, and refusals through every protocol when they are enforced."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.app import App, start
from localaws.iam.policy import Asked, Principal, decide, fill, like
from localaws.plane import Settings

ACCOUNT = "123456789012"
ARN = "arn:aws:sagemaker:eu-west-1:123456789012"
AwsClient = Callable[..., Any]
Statement = Mapping[str, Any]


def allow(action: Any, resource: Any = "*", **condition: Any) -> Statement:
    return {
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
        **({"Condition": condition} if condition else {}),
    }


def deny(action: Any, resource: Any = "*", **condition: Any) -> Statement:
    return {**allow(action, resource, **condition), "Effect": "Deny"}


def policy(*statements: Statement) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def who(*statements: Statement, **more: Any) -> Principal:
    arn = f"arn:aws:iam::{ACCOUNT}:user/ada"
    return Principal(arn, ACCOUNT, frozenset({arn}), [policy(*statements)], **more)


def asks(action: str, resource: str, **context: str) -> Asked:
    return Asked(action, resource, {key.replace("__", ":"): value for key, value in context.items()})


# --- the logic ------------------------------------------------------------------------------------------------------

actions = st.sampled_from(["s3:GetObject", "s3:PutObject", "sagemaker:InvokeEndpoint", "s3:*", "*", "sagemaker:*"])
places = st.sampled_from(
    ["*", "arn:aws:s3:::data/*", "arn:aws:s3:::data/a", f"{ARN}:endpoint/shop", f"{ARN}:endpoint/*"]
)
grants = st.lists(st.builds(allow, actions, places), max_size=4)
denials = st.lists(st.builds(deny, actions, places), max_size=3)
questions = st.builds(
    asks,
    st.sampled_from(["s3:GetObject", "s3:PutObject", "sagemaker:InvokeEndpoint"]),
    st.sampled_from(["arn:aws:s3:::data/a", "arn:aws:s3:::data/b", f"{ARN}:endpoint/shop"]),
)


@given(grants, denials, questions)
@settings(max_examples=150)
def test_a_deny_that_applies_always_wins_and_more_grants_never_take_anything_away(
    granted: list[Statement], denied: list[Statement], asked: Asked
) -> None:
    both = decide(who(*granted, *denied), asked)
    only = decide(who(*granted), asked)
    refusing = decide(who(allow("*"), *denied), asked)
    assert both.allowed == (only.allowed and refusing.allowed)
    if only.allowed:
        assert decide(who(*granted, allow("s3:GetObject")), asked).allowed


@given(grants, grants, questions)
@settings(max_examples=150)
def test_a_boundary_only_narrows(granted: list[Statement], bounded: list[Statement], asked: Asked) -> None:
    inside = decide(who(*granted, boundary=policy(*bounded)), asked)
    assert inside.allowed == (decide(who(*granted), asked).allowed and decide(who(*bounded), asked).allowed)


def test_without_a_grant_the_answer_is_no_and_says_so() -> None:
    verdict = decide(who(), asks("s3:GetObject", "arn:aws:s3:::data/a"))
    assert (verdict.allowed, verdict.why) == (False, "because no identity-based policy allows the s3:GetObject action")


def test_a_session_policy_narrows_what_the_role_may() -> None:
    narrowed = who(allow("s3:*"), session=policy(allow("s3:GetObject")))
    assert decide(narrowed, asks("s3:GetObject", "arn:aws:s3:::data/a")).allowed
    assert "no session policy" in decide(narrowed, asks("s3:PutObject", "arn:aws:s3:::data/a")).why


def test_a_resource_policy_that_names_the_caller_is_enough_and_its_deny_is_final() -> None:
    ada = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"}
    asked = asks("s3:GetObject", "arn:aws:s3:::data/a")
    assert decide(who(), asked, policy({**allow("s3:GetObject"), "Principal": ada})).allowed
    account = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert not decide(who(), asked, policy({**allow("s3:GetObject"), "Principal": account})).allowed
    assert not decide(who(allow("*")), asked, policy({**deny("s3:*"), "Principal": "*"})).allowed
    others = {**deny("s3:*"), "NotPrincipal": ada}
    assert decide(who(allow("*")), asked, policy(others)).allowed


def test_conditions_and_variables_are_filled_from_the_request() -> None:
    own = who(allow("s3:*", "arn:aws:s3:::home/${aws:username}/*", StringEquals={"aws:RequestedRegion": "eu-west-1"}))
    context = {"aws__username": "ada", "aws__RequestedRegion": "eu-west-1"}
    assert decide(own, asks("s3:GetObject", "arn:aws:s3:::home/ada/x", **context)).allowed
    assert not decide(own, asks("s3:GetObject", "arn:aws:s3:::home/bob/x", **context)).allowed
    elsewhere = {**context, "aws__RequestedRegion": "us-east-1"}
    assert not decide(own, asks("s3:GetObject", "arn:aws:s3:::home/ada/x", **elsewhere)).allowed
    assert fill("${*} ${missing, 'none'}", {}) == "* none"


def test_actions_are_compared_without_case_and_resources_with_it() -> None:
    assert like("s3:GetObject", "S3:get*", fold=True)
    assert not like("arn:aws:s3:::Data", "arn:aws:s3:::data")
    assert decide(who({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}), asks("s3:GetObject", "x")).allowed
    assert not decide(who({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}), asks("s3:GetObject", "x")).allowed


# --- enforced -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("iam")
    running = start(Settings(containers=folder, work=folder / "work", enforce_iam=True))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(app: App) -> AwsClient:
    def make(service: str, credentials: Mapping[str, str] | None = None) -> Any:
        build: Callable[..., Any] = boto3.client
        given = credentials or {"AccessKeyId": ACCOUNT, "SecretAccessKey": "local"}
        return build(
            service,
            endpoint_url=app.url,
            region_name="eu-west-1",
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given.get("SessionToken"),
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    return make


class Staff:
    """Roles and users, made by the account's own key."""

    def __init__(self, client: AwsClient, prefix: str) -> None:
        self.client, self.prefix, self.iam = client, prefix, client("iam")
        self.count = 0

    def role(self, *statements: Statement, trust: Any = None, **more: Any) -> str:
        self.count += 1
        name = f"{self.prefix}-{self.count}"
        principal = trust or {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        document = policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document), **more)["Role"]["Arn"]
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy(*statements)))
        return arn

    def session(self, *statements: Statement, session_policy: Any = None, **more: Any) -> Mapping[str, str]:
        arn = self.role(*statements, **more)
        narrowed = {"Policy": json.dumps(session_policy)} if session_policy else {}
        return self.client("sts").assume_role(RoleArn=arn, RoleSessionName="test", **narrowed)["Credentials"]

    def user(self, *statements: Statement) -> Mapping[str, str]:
        self.count += 1
        name = f"{self.prefix}-user-{self.count}"
        self.iam.create_user(UserName=name)
        if statements:
            self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy(*statements)))
        return self.iam.create_access_key(UserName=name)["AccessKey"]


@pytest.fixture
def staff(client: AwsClient, request: pytest.FixtureRequest) -> Staff:
    return Staff(client, f"t{abs(hash(request.node.name)) % 10**8}")


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


SERVICE = {"Service": "sagemaker.amazonaws.com"}


def test_a_role_may_do_what_it_was_given_and_nothing_more(client: AwsClient, staff: Staff) -> None:
    execution = staff.role(trust=SERVICE)
    passing = allow("iam:PassRole", execution, StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"})
    session = staff.session(allow("sagemaker:CreateModel", f"{ARN}:model/shop-*"), passing)
    sagemaker = client("sagemaker", session)
    container = {"Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/inference:1"}
    sagemaker.create_model(ModelName="shop-1", ExecutionRoleArn=execution, PrimaryContainer=container)

    def create(name: str, role: str) -> Any:
        return sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)

    code, said = refusal(lambda: create("till-1", execution))
    assert code == "AccessDeniedException"
    assert said.endswith(
        f"is not authorized to perform: sagemaker:CreateModel on resource: {ARN}:model/till-1 "
        "because no identity-based policy allows the sagemaker:CreateModel action"
    )
    assert refusal(sagemaker.list_models)[0] == "AccessDeniedException"
    other = staff.role(trust=SERVICE)
    code, said = refusal(lambda: create("shop-2", other))
    assert f"iam:PassRole on resource: {other}" in said


def test_a_role_may_be_passed_only_to_the_service_the_policy_names_and_that_may_assume_it(
    client: AwsClient, staff: Staff
) -> None:
    untrusting = staff.role(trust={"Service": "lambda.amazonaws.com"})
    wrong = allow("iam:PassRole", "*", StringEquals={"iam:PassedToService": "lambda.amazonaws.com"})
    container = {"Image": "x.dkr.ecr.eu-west-1.amazonaws.com/inference:1"}

    def create(session: Mapping[str, str]) -> Any:
        made = client("sagemaker", session)
        return made.create_model(ModelName="m", ExecutionRoleArn=untrusting, PrimaryContainer=container)

    assert "iam:PassRole" in refusal(lambda: create(staff.session(allow("sagemaker:*"), wrong)))[1]
    code, said = refusal(lambda: create(staff.session(allow("sagemaker:*"), allow("iam:PassRole"))))
    assert (code, said[:22]) == ("ValidationException", "Could not assume role ")


def test_every_protocol_refuses_in_its_own_shape(client: AwsClient, staff: Staff) -> None:
    client("s3").create_bucket(Bucket="closed", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    topic = client("sns").create_topic(Name="closed")["TopicArn"]
    nobody = staff.session()
    assert refusal(lambda: client("s3", nobody).list_objects_v2(Bucket="closed"))[0] == "AccessDenied"
    assert refusal(lambda: client("s3", nobody).head_bucket(Bucket="closed"))[0] == "403"
    assert refusal(lambda: client("sns", nobody).publish(TopicArn=topic, Message="x"))[0] == "AuthorizationError"
    assert refusal(lambda: client("sqs", nobody).create_queue(QueueName="q"))[0] == "AccessDenied"
    assert refusal(lambda: client("iam", nobody).list_roles())[0] == "AccessDenied"
    assert refusal(lambda: client("cloudwatch", nobody).describe_alarms())[0] == "AccessDenied"
    assert refusal(lambda: client("logs", nobody).describe_log_groups())[0] == "AccessDeniedException"
    assert refusal(lambda: client("scheduler", nobody).list_schedules())[0] == "AccessDeniedException"
    runtime = client("sagemaker-runtime", nobody)
    assert refusal(lambda: runtime.invoke_endpoint(EndpointName="shop", Body=b"1"))[0] == "AccessDeniedException"
    assert client("sts", nobody).get_caller_identity()["Account"] == ACCOUNT


def test_objects_are_judged_by_their_arns_the_bucket_policy_and_its_conditions(client: AwsClient, staff: Staff) -> None:
    root = client("s3")
    root.create_bucket(Bucket="shelf", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    root.put_object(Bucket="shelf", Key="open/a", Body=b"a")
    reader = staff.session(
        allow("s3:GetObject", "arn:aws:s3:::shelf/open/*"),
        allow("s3:ListBucket", "arn:aws:s3:::shelf", StringLike={"s3:prefix": "open/*"}),
    )
    s3 = client("s3", reader)
    assert s3.get_object(Bucket="shelf", Key="open/a")["Body"].read() == b"a"
    assert s3.head_object(Bucket="shelf", Key="open/a")["ContentLength"] == 1
    assert s3.list_objects_v2(Bucket="shelf", Prefix="open/")["KeyCount"] == 1
    assert refusal(lambda: s3.list_objects_v2(Bucket="shelf"))[0] == "AccessDenied"
    assert refusal(lambda: s3.get_object(Bucket="shelf", Key="shut/a"))[0] == "AccessDenied"
    assert refusal(lambda: s3.put_object(Bucket="shelf", Key="open/b", Body=b""))[0] == "AccessDenied"
    locked = {**deny("s3:GetObject", "arn:aws:s3:::shelf/*"), "Principal": "*"}
    root.put_bucket_policy(Bucket="shelf", Policy=json.dumps(policy(locked)))
    code, said = refusal(lambda: s3.get_object(Bucket="shelf", Key="open/a"))
    assert (code, "explicit deny in a resource-based policy" in said) == ("AccessDenied", True)


def test_conditions_see_namespaces_tags_and_instance_types(client: AwsClient, staff: Staff) -> None:
    session = staff.session(
        allow("cloudwatch:PutMetricData", "*", StringEquals={"cloudwatch:namespace": "Slipway"}),
        allow("sagemaker:CreateModelPackageGroup", "*", StringEquals={"aws:RequestTag/team": "ml"}),
        allow("sagemaker:CreateEndpointConfig", "*"),
        deny("sagemaker:CreateEndpointConfig", "*", **{"ForAnyValue:StringLike": {"sagemaker:InstanceTypes": "ml.p*"}}),
    )
    cloudwatch, sagemaker = client("cloudwatch", session), client("sagemaker", session)
    data = [{"MetricName": "x", "Value": 1.0}]
    cloudwatch.put_metric_data(Namespace="Slipway", MetricData=data)
    assert refusal(lambda: cloudwatch.put_metric_data(Namespace="Other", MetricData=data))[0] == "AccessDenied"
    sagemaker.create_model_package_group(ModelPackageGroupName="g1", Tags=[{"Key": "team", "Value": "ml"}])
    assert (
        refusal(lambda: sagemaker.create_model_package_group(ModelPackageGroupName="g2"))[0] == "AccessDeniedException"
    )
    costly = {"VariantName": "a", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.p4d.24xlarge"}
    said = refusal(lambda: sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[costly]))[1]
    assert "with an explicit deny in an identity-based policy" in said


def test_boundaries_session_policies_and_users_are_honoured(client: AwsClient, staff: Staff) -> None:
    iam = client("iam")
    bound = iam.create_policy(
        PolicyName=f"{staff.prefix}-bound", PolicyDocument=json.dumps(policy(allow("sagemaker:List*")))
    )["Policy"]["Arn"]
    bounded = staff.session(allow("*"), PermissionsBoundary=bound)
    client("sagemaker", bounded).list_models()
    assert "no permissions boundary allows" in refusal(client("s3", bounded).list_buckets)[1]
    narrowed = staff.session(allow("*"), session_policy=policy(allow("s3:ListAllMyBuckets")))
    client("s3", narrowed).list_buckets()
    assert "no session policy allows" in refusal(client("sagemaker", narrowed).list_models)[1]
    user = staff.user(allow("sagemaker:ListModels"))
    client("sagemaker", user).list_models()
    assert ":user/" in refusal(client("sagemaker", user).list_endpoints)[1]


def test_a_role_is_assumed_only_by_those_it_trusts(client: AwsClient, staff: Staff) -> None:
    for_service = staff.role(trust=SERVICE)
    for_account = staff.role()
    permitted = client("sts", staff.session(allow("sts:AssumeRole", for_account)))
    permitted.assume_role(RoleArn=for_account, RoleSessionName="test")
    assert "trust policy" in refusal(lambda: permitted.assume_role(RoleArn=for_service, RoleSessionName="test"))[1]
    stranger = client("sts", staff.session())
    assert refusal(lambda: stranger.assume_role(RoleArn=for_account, RoleSessionName="test"))[0] == "AccessDenied"


def test_the_simulator_says_what_would_be_decided(client: AwsClient, staff: Staff) -> None:
    reader = staff.role(allow("s3:Get*", "arn:aws:s3:::open/*"), deny("s3:GetObjectAcl"))

    def decisions(*actions: str, **more: Any) -> list[str]:
        told = client("iam").simulate_principal_policy(PolicySourceArn=reader, ActionNames=list(actions), **more)
        return [result["EvalDecision"] for result in told["EvaluationResults"]]

    place = {"ResourceArns": ["arn:aws:s3:::open/a"]}
    assert decisions("s3:GetObject", "s3:GetObjectAcl", "s3:PutObject", **place) == [
        "allowed",
        "explicitDeny",
        "implicitDeny",
    ]
    assert decisions("s3:GetObject") == ["implicitDeny"]
    text = json.dumps(policy(allow("sqs:*", "*", StringEquals={"aws:RequestedRegion": "eu-west-1"})))
    entry = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyValues": ["eu-west-1"], "ContextKeyType": "string"}
    told = client("iam").simulate_custom_policy(
        PolicyInputList=[text], ActionNames=["sqs:SendMessage"], ContextEntries=[entry]
    )
    assert told["EvaluationResults"][0]["EvalDecision"] == "allowed"
    with pytest.raises(ClientError, match="NoSuchEntity"):
        client("iam").simulate_principal_policy(PolicySourceArn=f"{reader}-ghost", ActionNames=["s3:GetObject"])


def test_a_key_nobody_has_is_refused(client: AwsClient) -> None:
    stranger = client("sagemaker", {"AccessKeyId": "AKIANOBODY", "SecretAccessKey": "x"})
    assert refusal(stranger.list_models)[0] == "UnrecognizedClientException"
