"""What went wrong with a look, in words a reader can act on; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import httpx
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as NotReachedError

Kind = Literal["expired", "forbidden", "unreachable", "throttled", "missing", "failed"]

EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}
FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown"}
MISSING = {"ResourceNotFound", "ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "ParameterNotFound", "404"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a part of the page is empty, and what the reader can do."""

    kind: Kind
    what: str
    do: str


def explained(problem: BaseException, environment: str) -> Trouble:
    """Any error of a look, as trouble."""
    if isinstance(problem, ClientError):
        return refused(problem, environment)
    if isinstance(problem, NoCredentialsError):
        return Trouble("expired", "There are no credentials on this machine.", sign_in(environment))
    if isinstance(problem, NotReachedError | HTTPClientError | httpx.TransportError):
        return Trouble(
            "unreachable", f"AWS did not answer: {problem}", "Look at the network; this part tries again by itself."
        )
    if isinstance(problem, BotoCoreError):
        return Trouble("expired", f"AWS could not be asked: {problem}", sign_in(environment))
    return Trouble("failed", f"{type(problem).__name__}: {problem}", "The other parts are not touched by it.")


def refused(problem: ClientError, environment: str) -> Trouble:
    """An answer that says no."""
    error = problem.response["Error"]
    code, said = error.get("Code", ""), error.get("Message", str(problem))
    if code in EXPIRED:
        return Trouble("expired", f"These credentials do not hold any more: {said}", sign_in(environment))
    if code in FORBIDDEN:
        return Trouble(
            "forbidden", f"These credentials may not {problem.operation_name}: {said}",
            "The auditor's role may read everything here.",
        )  # fmt: skip
    if code in THROTTLED:
        return Trouble("throttled", f"AWS asks to slow down: {said}", "This part tries again by itself.")
    if code in MISSING or "Could not find" in said or "does not exist" in said:
        return Trouble("missing", said, f"Bring the environment up: slipway up {environment}")
    return Trouble("failed", f"{problem.operation_name}: {code}: {said}", "This part tries again by itself.")


def sign_in(environment: str) -> str:
    return f"Sign in again (for example `aws sso login`), then reload; for '{environment}' a read-only role is enough."
