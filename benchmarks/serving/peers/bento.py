"""BentoML: a service with one API that takes and gives text."""

from __future__ import annotations

import bentoml
from answering import answer, load


@bentoml.service(workers=1, metrics={"enabled": True}, logging={"access": {"enabled": False}})
class Churn:
    def __init__(self) -> None:
        self.pipeline = load()

    @bentoml.api(route="/invocations")
    def invocations(self, body: str, /) -> str:
        return answer(self.pipeline, body)
