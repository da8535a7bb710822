"""Who a request comes from, out of the users, roles and sessions that moto keeps."""

import json
from collections.abc import Iterator
from typing import Any

from localaws.errors import AwsError
from localaws.gateway import Request, account_from
from localaws.iam.policy import Document, Principal, read

PARTITION = "aws"


def caller_of(request: Request) -> Principal | None:
    """The caller; None for an account's own key (twelve digits), which may do everything."""
    key = request.caller.access_key
    if account_from(key):
        return None
    found = _session(key) or _user(key)
    if found is None:
        raise AwsError(
            "The security token included in the request is invalid: no user or session has the access key "
            f"{key or '(none)'}.",
            code="UnrecognizedClientException",
            status=403,
        )
    return found


def role(account: str, arn_or_name: str) -> Any:
    """A role by its ARN or name; None when there is none."""
    name = arn_or_name.rsplit("/", 1)[-1]
    return next((each for each in _iam(account).roles.values() if each.name == name), None)


def owner_of(arn: str) -> Principal | None:
    """A user, group or role by its ARN, with its policies; None when there is none."""
    account, (kind, _, name) = arn.split(":")[4], arn.split(":")[5].partition("/")
    backend = _iam(account)
    owners = {"role": backend.roles, "user": backend.users, "group": backend.groups}.get(kind, {})
    found = next((each for each in owners.values() if each.name == name.rpartition("/")[2]), None)
    if found is None:
        return None
    groups = backend.get_groups_for_user(found.name) if kind == "user" else []
    policies = [*_policies(found), *(policy for group in groups for policy in _policies(group))]
    boundary = getattr(found, "permissions_boundary_arn", None)
    return Principal(arn, account, frozenset({arn}), policies, _boundary(account, boundary))


def trust_policy(role: Any) -> Document:
    return read(role.assume_role_policy_document)


def _iam(account: str) -> Any:
    from moto.iam.models import iam_backends

    return iam_backends[account][PARTITION]


def _user(key: str) -> Principal | None:
    from moto.iam.models import iam_backends

    for account in list(iam_backends):
        backend = _iam(account)
        for user in list(backend.users.values()):
            if any(each.access_key_id == key and each.status == "Active" for each in user.access_keys):
                groups = backend.get_groups_for_user(user.name)
                policies = [*_policies(user), *(policy for group in groups for policy in _policies(group))]
                boundary = getattr(user, "permissions_boundary_arn", None)
                return Principal(user.arn, account, frozenset({user.arn}), policies, _boundary(account, boundary))
    return None


def _session(key: str) -> Principal | None:
    from moto.sts.models import sts_backends

    for account in list(sts_backends):
        session = sts_backends[account][PARTITION].get_assumed_role_from_access_key(key)
        if session is None:
            continue
        owner = session.role_arn.split(":")[4]
        found = role(owner, session.role_arn)
        name = session.role_arn.rsplit("/", 1)[-1]
        arn = f"arn:aws:sts::{owner}:assumed-role/{name}/{session.session_name}"
        names = frozenset({arn, session.role_arn})
        policies = list(_policies(found)) if found else []
        boundary = _boundary(owner, found.permissions_boundary_arn) if found else None
        return Principal(arn, owner, names, policies, boundary, json.loads(session.policy) if session.policy else None)
    return None


def _policies(owner: Any) -> Iterator[Document]:
    """Inline and attached policies of a user, group or role."""
    for document in owner.policies.values():
        yield read(document)
    for policy in owner.managed_policies.values():
        yield _version(policy)


def _boundary(account: str, arn: str | None) -> Document | None:
    if not arn:
        return None
    policy = _iam(account).managed_policies.get(arn)
    return _version(policy) if policy else {"Statement": []}


def _version(policy: Any) -> Document:
    """A managed policy's default version."""
    return read(next(each.document for each in policy.versions if each.version_id == policy.default_version_id))


def bucket_policy(account: str, bucket: str) -> Document | None:
    """The policy of a bucket that moto keeps."""
    from moto.s3.models import s3_backends

    found = s3_backends[account][PARTITION].buckets.get(bucket)
    return json.loads(found.policy) if found is not None and found.policy else None
