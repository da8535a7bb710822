"""The program inside AWS's scikit-learn container: a Flask application for gunicorn's gevent workers behind nginx."""

from __future__ import annotations

from answering import answer, load
from flask import Flask, Response, request

app = Flask(__name__)
pipeline = load()


@app.get("/ping")
def ping() -> Response:
    return Response(status=200)


@app.post("/invocations")
def invocations() -> Response:
    return Response(answer(pipeline, request.get_data(as_text=True)), mimetype="text/csv")
