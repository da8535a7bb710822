"""Plain FastAPI with pandas."""

from __future__ import annotations

from answering import answer, load
from fastapi import FastAPI, Request, Response

app = FastAPI()
pipeline = load()


@app.get("/ping")
async def ping() -> dict[str, str]:
    return {"status": "healthy"}


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    body = (await request.body()).decode()
    return Response(answer(pipeline, body), media_type="text/csv")
