"""The guard that stands before every call when permissions are enforced, and refuses in AWS's words."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from localaws.bucket_policies import context_of as s3_context
from localaws.clock import Clock
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Guard, Request
from localaws.iam import caller
from localaws.iam.action import PASSED, Call, call_of, passed_roles
from localaws.iam.policy import Asked, Principal, Verdict, decide, trusted, trusts
from localaws.wire import Response

OPEN = {"sts:GetCallerIdentity", "sts:GetSessionToken"}
CODES = {"sns": "AuthorizationError", "ec2": "UnauthorizedOperation"}
XML = {"sns", "sqs", "iam", "sts", "cloudwatch"}  # these say AccessDenied, the JSON services AccessDeniedException
CREATED_WITH = ("Tags", "tags", "Tag", "TagList")


def permissions(clock: Clock) -> Guard:
    """A guard that lets a call through when the caller's policies do."""

    def guard(request: Request) -> Response | None:
        principal = caller.caller_of(request)
        if principal is None:
            return None
        call = call_of(request)
        refused = _refusal(request, call, principal, clock)
        if refused is None:
            return None
        if call.service in {"s3", "ec2"}:
            return _xml(call, refused, request)
        raise refused

    return guard


def _refusal(request: Request, call: Call, principal: Principal, clock: Clock) -> AwsError | None:
    if call.action in OPEN:
        return None
    context = _context(request, call, principal, clock)
    for resource in call.resources or (None,):
        verdict = _decide(request, call, principal, Asked(call.action, resource, context))
        if not verdict.allowed:
            return _denied(principal, call, call.action, resource, verdict)
    for role in passed_roles(call):
        service = PASSED[call.service]
        asked = Asked("iam:PassRole", role, {**context, "iam:PassedToService": service})
        verdict = decide(principal, asked)
        if not verdict.allowed:
            return _denied(principal, call, asked.action, role, verdict)
        _assumable(call, role, service)
    return None


def _decide(request: Request, call: Call, principal: Principal, asked: Asked) -> Verdict:
    if call.action == "sts:AssumeRole" and asked.resource:
        return _may_assume(principal, asked)
    bucket = call.params.get("Bucket") if call.service == "s3" else None
    policy = caller.bucket_policy(request.account, bucket) if bucket else None
    return decide(principal, asked, policy)


def _may_assume(principal: Principal, asked: Asked) -> Verdict:
    """A role's trust policy must let the caller in; one that trusts the whole account leaves it to their policies."""
    arn = asked.resource or ""
    found = caller.role(arn.split(":")[4], arn)
    said = trusted(caller.trust_policy(found), principal, Asked(asked.action, None, asked.context)) if found else ""
    if said == "Allow":
        own = decide(principal, asked)
        return Verdict(allowed=True) if not own.why.startswith("with an explicit deny") else own
    if said == "Account":
        return decide(principal, asked)
    return Verdict(allowed=False, why="because the role's trust policy does not allow it")


def _assumable(call: Call, role: str, service: str) -> None:
    """SageMaker looks at once whether it can assume the role; the others find out when they use it."""
    if call.service != "sagemaker":
        return
    found = caller.role(role.split(":")[4], role)
    if found is None or not trusts(caller.trust_policy(found), service):
        raise ValidationException(
            f"Could not assume role {role}. Please ensure that the role exists and allows principal '{service}' to "
            "assume the role."
        )


def _denied(principal: Principal, call: Call, action: str, resource: str | None, verdict: Verdict) -> AwsError:
    where = f" on resource: {resource}" if resource and resource != "*" else ""
    code = CODES.get(call.service, "AccessDenied" if call.service in XML else "AccessDeniedException")
    status = 400 if code == "AccessDeniedException" else 403
    return AwsError(
        f"User: {principal.arn} is not authorized to perform: {action}{where} {verdict.why}", code=code, status=status
    )


def _xml(call: Call, error: AwsError, request: Request) -> Response:
    """The shapes of errors that are S3's and EC2's own."""
    text = f"<Code>AccessDenied</Code><Message>{escape(error.message)}</Message>"
    if call.service == "s3":
        body = f"<Error>{text}<RequestId>{request.id}</RequestId></Error>"
    else:
        text = text.replace("AccessDenied<", f"{error.code}<", 1)
        body = f"<Response><Errors><Error>{text}</Error></Errors><RequestID>{request.id}</RequestID></Response>"
    return Response(403, {"Content-Type": "application/xml"}, b"" if request.method == "HEAD" else body.encode())


# --- what conditions look at ----------------------------------------------------------------------------------------


def _context(request: Request, call: Call, principal: Principal, clock: Clock) -> dict[str, Any]:
    context: dict[str, Any] = dict(s3_context(request.environ, principal.account))
    now = clock.now()
    context |= {
        "aws:PrincipalArn": _principal_arn(principal),
        "aws:PrincipalType": "AssumedRole" if ":assumed-role/" in principal.arn else "User",
        "aws:PrincipalIsAWSService": "false",
        "aws:userid": principal.arn.rsplit("/", 1)[-1],
        "aws:RequestedRegion": request.region,
        "aws:CurrentTime": datetime.fromtimestamp(now, UTC).isoformat(),
        "aws:EpochTime": str(int(now)),
        "aws:ResourceAccount": request.account,
        "aws:ViaAWSService": "false",
    }
    if ":user/" in principal.arn:
        context["aws:username"] = principal.arn.rsplit("/", 1)[-1]
    tags = dict(_request_tags(call.params))
    context |= {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    if tags:
        context["aws:TagKeys"] = list(tags)
    for resource in (call.resources or ())[:1]:
        context |= {f"aws:ResourceTag/{key}": value for key, value in request.scope.tags(resource).items()}
    context |= _of_service(call)
    return context


def _principal_arn(principal: Principal) -> str:
    """The role's own ARN for a session, as AWS compares it."""
    return next((name for name in principal.names if ":role/" in name), principal.arn)


def _request_tags(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for member in CREATED_WITH:
        found = params.get(member)
        if isinstance(found, Mapping):
            yield from ((str(key), str(value)) for key, value in found.items())
        elif isinstance(found, list):
            for tag in found:
                if isinstance(tag, Mapping):
                    yield str(tag.get("Key", tag.get("key"))), str(tag.get("Value", tag.get("value", "")))


SAGEMAKER_KEYS = {
    "InstanceType": "sagemaker:InstanceTypes",
    "VolumeKmsKeyId": "sagemaker:VolumeKmsKey",
    "KmsKeyId": "sagemaker:OutputKmsKey",
    "Subnets": "sagemaker:VpcSubnets",
    "SecurityGroupIds": "sagemaker:VpcSecurityGroupIds",
    "EnableNetworkIsolation": "sagemaker:NetworkIsolation",
    "EnableInterContainerTrafficEncryption": "sagemaker:InterContainerTrafficEncryption",
    "MaxRuntimeInSeconds": "sagemaker:MaxRuntimeInSeconds",
    "TargetModel": "sagemaker:TargetModel",
    "ModelApprovalStatus": "sagemaker:ModelApprovalStatus",
}


def _of_service(call: Call) -> dict[str, Any]:
    """The condition keys that only one service has."""
    if call.service == "cloudwatch" and "Namespace" in call.params:
        return {"cloudwatch:namespace": str(call.params["Namespace"])}
    if call.service == "kms" and str(call.params.get("KeyId", "")).startswith("alias/"):
        return {"kms:RequestAlias": str(call.params["KeyId"])}
    if call.service == "s3":
        found = {"prefix": "s3:prefix", "delimiter": "s3:delimiter", "max-keys": "s3:max-keys"}
        return {key: str(call.params[name]) for name, key in found.items() if name in call.params}
    if call.service != "sagemaker":
        return {}
    keys: dict[str, list[str]] = {}
    for member, value in _walk(call.params):
        if member in SAGEMAKER_KEYS:
            values = value if isinstance(value, list) else [value]
            texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
            keys.setdefault(SAGEMAKER_KEYS[member], []).extend(texts)
    return {key: values if len(values) > 1 or key.endswith("s") else values[0] for key, values in keys.items()}


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name, inner
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)
