"""The gateway: what reaches ours, what falls through, and what is refused."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from localaws.app import App


def test_an_operation_nobody_built_is_a_typed_501_that_names_it(client: Callable[..., Any]) -> None:
    with pytest.raises(ClientError) as refused:
        client("sagemaker").list_labeling_jobs()
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    assert "sagemaker:ListLabelingJobs" in refused.value.response["Error"]["Message"]
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_services_that_are_not_ours_are_answered_by_what_stands_behind(client: Callable[..., Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="harbour", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="harbour", Key="boat", Body=b"afloat")
    assert s3.get_object(Bucket="harbour", Key="boat")["Body"].read() == b"afloat"


def test_accounts_are_kept_apart_behind_the_gateway_too(client: Callable[..., Any]) -> None:
    client("sqs").create_queue(QueueName="mine")
    assert "QueueUrls" not in client("sqs", account="210987654321").list_queues()
    assert client("sts", account="210987654321").get_caller_identity()["Account"] == "210987654321"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "elsewhere.example"}],
)
def test_own_pages_refuse_other_sites(app: App, headers: dict[str, str]) -> None:
    app.plane.gateway.pages["/_localaws/hello"] = lambda _environ, answer: [(answer("200 OK", []) and b"") or b"hello"]
    assert _get(app, "/_localaws/hello", {}) == (200, b"hello")
    assert _get(app, "/_localaws/hello", headers)[0] == 403


def _get(app: App, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(app.url).netloc, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def policy(bucket: str, **condition: Any) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Condition": condition}]})


def test_a_bucket_that_refuses_plain_http_can_be_used(client: Callable[..., Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="guarded", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_policy(Bucket="guarded", Policy=policy("guarded", Bool={"aws:SecureTransport": "false"}))
    s3.put_object(Bucket="guarded", Key="boat", Body=b"afloat")
    assert s3.get_object(Bucket="guarded", Key="boat")["Body"].read() == b"afloat"


def test_a_bucket_that_refuses_what_is_not_encrypted_takes_what_is(client: Callable[..., Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="sealed", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="sealed", Key="boat", Body=b"afloat")
    s3.put_bucket_policy(
        Bucket="sealed", Policy=policy("sealed", StringNotEquals={"s3:x-amz-server-side-encryption": "aws:kms"})
    )
    s3.put_object(Bucket="sealed", Key="boat", Body=b"afloat", ServerSideEncryption="aws:kms")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="sealed", Key="boat", Body=b"afloat")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_bucket_tells_that_it_notifies_eventbridge(client: Callable[..., Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="noted", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_notification_configuration(Bucket="noted", NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket="noted")


def test_a_bucket_tells_what_of_it_is_replicated(client: Callable[..., Any]) -> None:
    s3 = client("s3")
    for bucket in ("kept-twice", "kept-there"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rule = {
        "ID": "all",
        "Priority": 0,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        "Destination": {"Bucket": "arn:aws:s3:::kept-there"},
    }
    configuration = {"Role": "arn:aws:iam::123456789012:role/copies", "Rules": [rule]}
    s3.put_bucket_replication(Bucket="kept-twice", ReplicationConfiguration=configuration)
    (told,) = s3.get_bucket_replication(Bucket="kept-twice")["ReplicationConfiguration"]["Rules"]
    assert told["SourceSelectionCriteria"] == rule["SourceSelectionCriteria"]
    s3.delete_bucket_replication(Bucket="kept-twice")
    with pytest.raises(ClientError, match="ReplicationConfigurationNotFoundError"):
        s3.get_bucket_replication(Bucket="kept-twice")


def test_a_policy_of_awss_own_is_attached_in_one_account_and_counted_there_alone(client: Callable[..., Any]) -> None:
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    one, other = (client("iam", account=account) for account in ("111111111111", "222222222222"))
    one.create_role(RoleName="trainer", AssumeRolePolicyDocument="{}")
    one.attach_role_policy(RoleName="trainer", PolicyArn=policy)
    assert [each.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] for each in (one, other)] == [1, 0]
    version = other.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"]
    document = other.get_policy_version(PolicyArn=policy, VersionId=version)["PolicyVersion"]["Document"]
    assert document["Version"] == "2012-10-17"
