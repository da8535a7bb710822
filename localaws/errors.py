"""Errors as AWS sends them: a code, a text, a status. Raise one anywhere below the gateway and the client gets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """An answer that is an error: `code` is what boto3 shows in `response["Error"]["Code"]`."""

    code = "InternalFailure"
    status = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.status = status or self.status
        self.members = dict(members or {})


class ValidationException(AwsError):  # noqa: N818  the name is AWS's own code
    """The request breaks a rule of its shape, or names something that is not there (SageMaker says both this way)."""

    code = "ValidationException"


class ResourceNotFound(AwsError):  # noqa: N818
    """What the request names does not exist."""

    code = "ResourceNotFound"


class ResourceInUse(AwsError):  # noqa: N818
    """The name is taken, or something still depends on the resource."""

    code = "ResourceInUse"


class ResourceLimitExceeded(AwsError):  # noqa: N818
    """A quota of the account would be passed."""

    code = "ResourceLimitExceeded"


class ConflictException(AwsError):  # noqa: N818
    """The resource was changed, or is being changed, by another request."""

    code = "ConflictException"


class ThrottlingException(AwsError):  # noqa: N818
    """Too many requests; clients wait and retry."""

    code = "ThrottlingException"


class AccessDenied(AwsError):  # noqa: N818
    """The caller, or the role it passes, may not do this."""

    code = "AccessDeniedException"
    status = 403


class InternalFailure(AwsError):  # noqa: N818
    """A fault of ours. Clients retry it, so it is never the answer to something we do not have."""

    code = "InternalFailure"
    status = 500


class NotBuilt(AwsError):  # noqa: N818
    """The embedded AWS does not have this operation; 501 is not retried by any SDK."""

    code = "NotImplemented"
    status = 501

    def __init__(self, service: str, operation: str) -> None:
        super().__init__(
            f"The embedded AWS does not implement {service}:{operation}. "
            "localaws/COVERAGE.md lists what it stores, simulates and executes."
        )
