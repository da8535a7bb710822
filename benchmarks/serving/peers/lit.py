"""LitServe: decode, predict, encode.

No postponed annotations here: LitServe reads them as they stand.
"""

import sys
from typing import Annotated

import litserve as ls
from answering import answer, load
from fastapi import Body, Response

Csv = Annotated[str, Body(media_type="text/csv")]


class Churn(ls.LitAPI):
    def setup(self, device: str) -> None:
        del device
        self.pipeline = load()

    def decode_request(self, request: Csv) -> str:
        return request

    def predict(self, body: str) -> str:
        return answer(self.pipeline, body)

    def encode_response(self, output: str) -> Response:
        return Response(output, media_type="text/csv")


if __name__ == "__main__":
    server = ls.LitServer(Churn(api_path="/invocations"), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning", num_api_servers=1
    )
