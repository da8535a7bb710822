"""The page as a server of this machine alone: it answers its own host and origin, only looks, stores nothing."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.dashboard.looking import Look
from delivery.dashboard.panel import panel
from delivery.dashboard.parts import parts
from delivery.environment import Environment
from monitoring.report.page import bundle, text

PAGE = Path(__file__).with_name("page")
HOSTS = ("127.0.0.1", "localhost", "[::1]")
OWN_SITES = ("same-origin", "none")  # what a browser says of a request of this very page, and of a typed address
EVERY_SECONDS = {"embedded": 3, "aws": 30}  # between two looks
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PortError(Exception):
    """The port asked for cannot be had; the text says what to do."""


class OwnPageOnly:
    """Refuses what another site's page, or a name that was made to point here, would ask; says so in every header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        answer = PlainTextResponse(refused, 403) if refused else self.app
        await answer(scope, receive, send_with_headers)


def refusal(headers: Mapping[str, str]) -> str | None:
    """Why a request is refused, or nothing; pure."""
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    if name not in HOSTS:
        return f"this page answers at {HOSTS[0]} alone, not as '{host}'"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return f"this page is not for {origin}"
    if headers.get("sec-fetch-site", "none") not in OWN_SITES:
        return "this page is not for other sites"
    return None


def application(environment: Environment) -> Starlette:
    """The page of one environment."""
    models = sorted(environment.settings.models)

    def page(_: Request) -> Response:
        return HTMLResponse(whole(environment, models))

    def part(request: Request) -> Response:
        name, model = request.path_params["name"], request.query_params.get("model", "")
        if name not in parts() or model not in models:
            return JSONResponse({"problem": f"there is no part '{name}' of a model '{model}'"}, 404)
        found = panel(name, Look(environment, model))
        return JSONResponse({"html": found.html, "trouble": found.trouble.kind if found.trouble else None})

    def clock(_: Request) -> Response:
        """The environment's own time; none when it does not answer, which each part says in its own words."""
        try:
            return JSONResponse({"now": environment.now().isoformat(timespec="seconds")})
        except httpx.TransportError:
            return JSONResponse({"now": ""})

    def asset(request: Request) -> Response:
        content, kind = assets().get(request.path_params["name"], (None, ""))
        return Response(content, media_type=kind) if content is not None else PlainTextResponse("not here", 404)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/parts/{name}", part),
            Route("/clock", clock),
            Route("/{name}", asset),
        ],
        middleware=[Middleware(OwnPageOnly)],
    )


def assets() -> dict[str, tuple[bytes, str]]:
    """What the page brings along; nothing else is given out."""
    return {
        "page.css": ((PAGE / "page.css").read_bytes(), "text/css"),
        "parts.css": ((PAGE / "parts.css").read_bytes(), "text/css"),
        "page.js": ((PAGE / "page.js").read_bytes(), "text/javascript"),
        "plotly.js": (bundle().encode(), "text/javascript"),
    }


def whole(environment: Environment, models: list[str]) -> str:
    """The page with a place for each part; the parts come by themselves."""
    choices = "".join(f'<option value="{text(each)}">{text(each)}</option>' for each in models)
    places = "".join(
        f'<section id="{name}" class="{"whole" if each.WIDE else "half"}" aria-live="off"><h2>{text(each.TITLE)}</h2>'
        f'<div class="body"><p class="empty">looking …</p></div></section>'
        for name, each in parts().items()
    )
    where = environment.cloud.url or f"AWS account {environment.cloud.account}"
    every = EVERY_SECONDS[environment.settings.cloud]
    return (PAGE / "page.html").read_text().format(
        environment=text(environment.name), where=text(where), region=text(environment.cloud.region),
        models=choices, places=places, every=every,
    )  # fmt: skip


def listen(port: int = 0) -> socket.socket:
    """A socket on the loopback that callers may connect to from now on; 0 takes any free port."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen()
    except OSError as problem:
        listening.close()
        raise PortError(
            f"port {port} of 127.0.0.1 cannot be had: {problem.strerror}. Expected one that is free and that you may "
            "use, mostly above 1024: name another, or leave it out and any free one is taken. Nothing was started."
        ) from None
    return listening


def serve(environment: Environment, listening: socket.socket) -> None:
    """Answer until interrupted."""
    import uvicorn

    config = uvicorn.Config(application(environment), log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listening])
