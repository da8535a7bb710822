"""MLServer: a custom runtime whose handler takes the CSV as it comes."""

from __future__ import annotations

from answering import answer, load
from fastapi import Request, Response
from mlserver import MLModel
from mlserver.handlers import custom_handler


class Churn(MLModel):
    async def load(self) -> bool:
        self._pipeline = load()
        return True

    @custom_handler(rest_path="/invocations")
    async def invocations(self, request: Request) -> Response:
        body = (await request.body()).decode()
        return Response(answer(self._pipeline, body), media_type="text/csv")
