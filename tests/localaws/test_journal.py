# ruff: noqa: ARG002  the small S3 answers every change in one form
"""The journal of what stands behind keeps what is needed to make the present again, and forgets the rest."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.app import App, start
from localaws.plane import Settings
from localaws.superseded import Change, Superseded

# --- the rules, against a small S3 -----------------------------------------------------------------------------------

SIGNED = {
    "HTTP_HOST": "127.0.0.1:4566",
    "HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=123456789012/20260105/eu-west-1/s3/aws4_request",
}


@dataclass(frozen=True)
class Op:
    """One change somebody asks for."""

    what: str
    bucket: str
    key: str = ""
    other: tuple[str, str] = ("", "")


@dataclass
class Small:
    """As much of S3 as the rules know of; refuses what S3 refuses."""

    buckets: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    uploads: dict[tuple[str, str], int] = field(default_factory=dict)

    def does(self, op: Op, stamp: str) -> bool:
        if op.what == "make":
            return op.bucket not in self.buckets and self.buckets.setdefault(op.bucket, {}) == {}
        held = self.buckets.get(op.bucket)
        return held is not None and getattr(self, f"_{op.what}")(held, op, stamp)

    def _drop(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        if held or self.versions.get(op.bucket):
            return False
        del self.buckets[op.bucket]
        self.versions.pop(op.bucket, None)
        self.uploads = {place: count for place, count in self.uploads.items() if place[0] != op.bucket}
        return True

    def _version(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        self.versions.setdefault(op.bucket, [])
        return True

    def _put(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        held[op.key] = stamp
        self.tags.pop((op.bucket, op.key), None)
        if op.bucket in self.versions:
            self.versions[op.bucket].append(stamp)
        return True

    def _replace(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        return op.key in held and self._put(held, op, f"{held[op.key]}>{stamp}")

    def _copy(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        bucket, key = op.other
        found = self.buckets.get(bucket, {}).get(key)
        return found is not None and self._put(held, op, f"copy of {found}")

    def _delete(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        held.pop(op.key, None)
        self.tags.pop((op.bucket, op.key), None)
        return True

    def _clear(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        return all(self._delete(held, replace(op, key=key), stamp) for key in ("a&b", "c d"))

    def _tag(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        if op.key in held:
            self.tags[op.bucket, op.key] = stamp
        return op.key in held

    def _begin(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        self.uploads[op.bucket, op.key] = self.uploads.get((op.bucket, op.key), 0) + 1
        return True

    def _finish(self, held: dict[str, str], op: Op, stamp: str) -> bool:
        place = (op.bucket, op.key)
        if not self.uploads.get(place):
            return False
        self.uploads[place] -= 1
        return self._put(held, op, stamp)


HOW = {  # method, query
    "make": ("PUT", ""),
    "drop": ("DELETE", ""),
    "version": ("PUT", "versioning"),
    "put": ("PUT", ""),
    "replace": ("PUT", ""),
    "copy": ("PUT", ""),
    "delete": ("DELETE", ""),
    "clear": ("POST", "delete"),
    "tag": ("PUT", "tagging"),
    "begin": ("POST", "uploads"),
    "finish": ("POST", "uploadId=1"),
}
ABOUT_BUCKETS = {"make", "drop", "version", "clear"}


def change(op: Op, seed: int) -> Change:
    method, query = HOW[op.what]
    path = f"/{op.bucket}" if op.what in ABOUT_BUCKETS else f"/{op.bucket}/{quote(op.key)}"
    head = {**SIGNED, "REQUEST_METHOD": method, "RAW_URI": f"{path}?{query}", "QUERY_STRING": query}
    if op.what == "copy":
        head["HTTP_X_AMZ_COPY_SOURCE"] = f"{op.other[0]}/{quote(op.other[1])}"
    if op.what == "replace":
        head["HTTP_IF_MATCH"] = "etag"
    body = b"<Delete><Object><Key>a&amp;b</Key></Object><Object><Key>c d</Key></Object></Delete>"
    return Change(seed, float(seed), head, body if op.what == "clear" else b"")


BUCKETS = st.sampled_from(["one", "two"])
KEYS = st.sampled_from(["a&b", "c d"])
MOST = [*HOW, "put", "put", "put", "delete", "copy"]
OPS = st.builds(Op, st.sampled_from(MOST), BUCKETS, KEYS, st.tuples(BUCKETS, KEYS))


@settings(max_examples=400)
@given(st.lists(OPS, max_size=40))
def test_what_is_left_of_the_changes_makes_the_same_buckets(ops: list[Op]) -> None:
    lived, rules = Small(), Superseded()
    kept: dict[int, Op] = {}
    for seed, op in enumerate([Op("make", "one"), Op("make", "two"), *ops], start=1):
        if lived.does(op, str(seed)):
            kept[seed] = op
            for gone in rules.by(change(op, seed)):
                kept.pop(gone, None)
    again = Small()
    for seed, op in kept.items():
        again.does(op, str(seed))
    assert (again.buckets, again.tags, again.versions) == (lived.buckets, lived.tags, lived.versions)


def test_an_object_written_over_and_over_is_one_change() -> None:
    rules = Superseded()
    assert rules.by(change(Op("make", "one"), 1)) == set()
    for seed in range(2, 50):
        assert rules.by(change(Op("put", "one", "a&b"), seed)) == ({seed - 1} if seed > 2 else set())
    assert rules.by(change(Op("delete", "one", "a&b"), 50)) == {49, 50}
    assert rules.by(change(Op("drop", "one"), 51)) == {1, 51}


def test_a_session_is_forgotten_when_it_has_ended() -> None:
    rules = Superseded()
    head = {**SIGNED, "HTTP_AUTHORIZATION": SIGNED["HTTP_AUTHORIZATION"].replace("/s3/", "/sts/")}
    assert rules.by(Change(1, 0.0, head, b"Action=AssumeRole&RoleArn=x")) == set()
    assert rules.by(Change(2, 3600.0, head, b"Action=AssumeRole&RoleArn=y")) == set()
    assert rules.by(Change(3, 12 * 3600.0 + 1, head, b"Action=CreateRole")) == {1}


# --- the journal itself ----------------------------------------------------------------------------------------------

Make = Callable[..., Any]


class Shelves:
    """Objects and log groups that are made, changed and taken away at random."""

    def __init__(self, client: Make, seed: int) -> None:
        self.s3, self.logs = client("s3"), client("logs")
        self._draw = random.Random(seed)
        for bucket in ("plain", "kept"):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        enabled = {"Status": "Enabled"}
        self.s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration=enabled)

    def change(self) -> None:
        draw = self._draw
        place = {"Bucket": draw.choice(["plain", "plain", "kept"]), "Key": f"folder/{draw.randint(1, 4)} &"}
        source = {"Bucket": "plain", "Key": f"folder/{draw.randint(1, 4)} &"}
        group = f"group-{draw.randint(1, 2)}"
        event = [{"timestamp": 1767571200000 + draw.randint(1, 1000), "message": f"{draw.random()}"}]
        tags = {"TagSet": [{"Key": "k", "Value": str(draw.random())}]}
        both = {"Objects": [{"Key": "folder/1 &"}, {"Key": "folder/2 &"}]}
        deeds: list[Callable[[], Any]] = [
            lambda: self.s3.put_object(**place, Body=str(draw.random()).encode()),
            lambda: self.s3.put_object(**place, Body=str(draw.random()).encode()),
            lambda: self.s3.copy_object(**place, CopySource=source),
            lambda: self.s3.delete_object(**place),
            lambda: self.s3.delete_objects(Bucket=place["Bucket"], Delete=both),
            lambda: self.s3.put_object_tagging(**place, Tagging=tags),
            lambda: self._upload(place),
            lambda: self.logs.create_log_group(logGroupName=group),
            lambda: self.logs.create_log_stream(logGroupName=group, logStreamName="s"),
            lambda: self.logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=event),
            lambda: self.logs.delete_log_stream(logGroupName=group, logStreamName="s"),
            lambda: self.logs.delete_log_group(logGroupName=group),
        ]
        with contextlib.suppress(ClientError):  # what is refused changes nothing
            draw.choice(deeds)()

    def _upload(self, place: Mapping[str, str]) -> None:
        upload = self.s3.create_multipart_upload(**place)["UploadId"]
        part = self.s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=str(self._draw.random()).encode())
        parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        self.s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)


def present(client: Make) -> dict[str, Any]:
    """All there is, as a client sees it."""
    s3, logs = client("s3"), client("logs")
    found: dict[str, Any] = {}
    for bucket in ("plain", "kept"):
        for version in s3.list_object_versions(Bucket=bucket).get("Versions", ()):
            place = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
            body = s3.get_object(**place)["Body"].read()
            found[f"{bucket}/{version['Key']}/{version['VersionId']}"] = body, s3.get_object_tagging(**place)["TagSet"]
    for group in logs.describe_log_groups()["logGroups"]:
        for stream in logs.describe_log_streams(logGroupName=group["logGroupName"])["logStreams"]:
            events = logs.get_log_events(logGroupName=group["logGroupName"], logStreamName=stream["logStreamName"])
            found[f"{group['arn']}/{stream['logStreamName']}"] = [event["message"] for event in events["events"]]
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_after_any_changes_a_restart_brings_the_same_present_from_a_short_journal(
    seed: int, tmp_path: Path, clients: Callable[[App], Make]
) -> None:
    where = Settings(containers=tmp_path, work=tmp_path / "work", state=tmp_path / "state")
    app = start(where)
    shelves = Shelves(clients(app), seed)
    for _ in range(120):
        shelves.change()
    before = present(clients(app))
    app.stop()
    app = start(where)
    try:
        assert present(clients(app)) == before
    finally:
        app.stop()


def test_keys_are_the_same_after_a_restart(tmp_path: Path, clients: Callable[[App], Make]) -> None:
    where = Settings(containers=tmp_path, work=tmp_path / "work", state=tmp_path / "state")
    app = start(where)
    kms = clients(app)("kms")
    keys = {
        spec: kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
        for spec, usage in (
            ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
            ("ECC_NIST_P256", "SIGN_VERIFY"),
            ("RSA_2048", "SIGN_VERIFY"),
        )
    }
    how = {"ECC_NIST_P256": "ECDSA_SHA_256", "RSA_2048": "RSASSA_PSS_SHA_256"}
    signed = {
        spec: kms.sign(KeyId=keys[spec], Message=b"said", SigningAlgorithm=algorithm)["Signature"]
        for spec, algorithm in how.items()
    }
    sealed = kms.encrypt(KeyId=keys["SYMMETRIC_DEFAULT"], Plaintext=b"secret")["CiphertextBlob"]
    app.stop()
    app = start(where)
    kms = clients(app)("kms")
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    for spec, algorithm in how.items():
        given = {"KeyId": keys[spec], "Message": b"said", "SigningAlgorithm": algorithm}
        assert kms.verify(**given, Signature=signed[spec])["SignatureValid"]
    app.stop()


def test_churn_does_not_make_the_journal_longer(tmp_path: Path, clients: Callable[[App], Make]) -> None:
    where = Settings(containers=tmp_path, work=tmp_path / "work", state=tmp_path / "state")
    app = start(where)
    s3 = clients(app)("s3")
    s3.create_bucket(Bucket="busy", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for round_ in range(30):
        s3.put_object(Bucket="busy", Key="same", Body=b"x" * 100_000)
        s3.put_object(Bucket="busy", Key=f"passing-{round_}", Body=b"y" * 100_000)
        s3.delete_object(Bucket="busy", Key=f"passing-{round_}")
    app.stop()
    with contextlib.closing(sqlite3.connect(where.state / "behind.sqlite")) as file:  # type: ignore[operator]
        assert file.execute("SELECT count(*) FROM changes").fetchone() == (2,)
        (pages,), (size,) = (file.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
        assert pages * size < 1_000_000
