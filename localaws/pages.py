"""JSON pages under `/_localaws/`: small functions of a method and a body, with errors as readable JSON."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from localaws.gateway import Application, Environ, StartResponse, read_body


class PageError(Exception):
    """The request to a page cannot be served; its text is the answer."""


Page = Callable[[str, dict[str, Any]], Any]


def json_page(answer: Page) -> Application:
    """A page that gets the method and the JSON body (or the query), and answers with what JSON can hold."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        status = "200 OK"
        try:
            shown = answer(environ["REQUEST_METHOD"], _given(environ))
        except PageError as error:
            status, shown = "400 Bad Request", {"error": str(error)}
        body = json.dumps(shown).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        start_response(status, headers)
        return [body]

    return application


def _given(environ: Environ) -> dict[str, Any]:
    body = read_body(environ)
    if not body:
        return {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    try:
        given = json.loads(body)
    except ValueError as error:
        raise PageError(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise PageError(f"the body must be a JSON object, and it is a {type(given).__name__}")
    return given
