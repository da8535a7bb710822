"""The status page: what serves, runs, alarms and is measured here, in one page that needs nothing else."""

import base64
import hashlib
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

from localaws.gateway import Application, Environ, StartResponse
from localaws.page.status import Status
from localaws.pages import PageError, json_page
from localaws.plane import Plane

MOST_LINES = 500


def install(plane: Plane) -> None:
    """Put the page at `/` and what it asks for below `/_localaws/`."""
    status = Status(plane)
    plane.gateway.pages["/"] = html_page()
    plane.gateway.pages["/_localaws/status"] = json_page(lambda _method, _given: status.shown())
    plane.gateway.pages["/_localaws/logs"] = json_page(lambda _method, given: logs(plane, given))


def html_page() -> Application:
    """The page itself; its policy lets it run its own script, ask its own server, and nothing else."""
    text = resources.files("localaws.page").joinpath("index.html").read_text()
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256((script[1] if script else "").encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    body = text.encode()
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    ]

    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return [body]

    return application


def logs(plane: Plane, given: dict[str, Any]) -> dict[str, Any]:
    """The last lines of the streams of a log group whose names begin with `prefix`."""
    for member in ("account", "region", "group"):
        if member not in given:
            raise PageError(f"logs need account, region and group (and may have prefix), and {member} is missing")
    client = plane.clients.get("logs", given["account"], given["region"])
    wanted = {"logGroupName": given["group"]}
    try:
        streams = client.describe_log_streams(**wanted, logStreamNamePrefix=given.get("prefix", ""))["logStreams"]
    except client.exceptions.ResourceNotFoundException:
        return {"lines": []}
    lines = [
        event
        for stream in streams
        for event in client.get_log_events(**wanted, logStreamName=stream["logStreamName"], limit=MOST_LINES)["events"]
    ]
    lines.sort(key=lambda event: event["timestamp"])
    return {"lines": [[event["timestamp"], event["message"]] for event in lines[-MOST_LINES:]]}
