"""Every content type in, every form out: the same predictions."""

from __future__ import annotations

import csv
import io
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from contract.records import Schema
from families.opening import open_artifact

if TYPE_CHECKING:
    from tests.inference.conftest import Row, Server, Start


def as_csv(rows: list[Row], header: tuple[str, ...] | None = None, order: list[int] | None = None) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    places = order or list(range(len(rows[0])))
    if header:
        writer.writerow([header[at] for at in places])
    writer.writerows([["" if row[at] is None else row[at] for at in places] for row in rows])
    return out.getvalue().encode()


def as_records(rows: list[Row], names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]


def as_npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def encoded(rows: list[Row], schema: Schema) -> np.ndarray:
    """The rows as the model's own matrix, worked out here once more."""
    matrix = np.full((len(rows), len(schema.columns)), np.nan)
    for at, row in enumerate(rows):
        for place, (column, value) in enumerate(zip(schema.columns, row, strict=True)):
            if value is not None:
                levels = column.levels
                matrix[at, place] = (levels.index(value) if value in levels else -1) if levels else value
    return matrix


@pytest.fixture(scope="module")
def expected(artifact: Path, rows: list[Row], schema: Schema) -> list[list[float]]:
    return open_artifact(artifact)[1].predict(encoded(rows, schema)).tolist()


def contents(rows: list[Row], schema: Schema) -> dict[str, tuple[str, bytes]]:
    names = schema.names
    lists, records = [list(row) for row in rows], as_records(rows, names)
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    frame = pl.DataFrame(records, infer_schema_length=None)
    parquet = io.BytesIO()
    frame.select(reversed(names)).write_parquet(parquet)
    fields: Any = [("age", "f8"), ("calls", "i4"), ("active", "?"), ("plan", "U20"), ("city", "S10")]
    structured = np.array(
        [tuple("" if v is None and at > 2 else np.nan if v is None else v for at, v in enumerate(row)) for row in rows],
        dtype=fields,
    )
    texts = np.array([["" if value is None else str(value) for value in row] for row in rows])
    return {
        "csv": ("text/csv", as_csv(rows)),
        "csv with a header": ("text/csv", as_csv(rows, names)),
        "csv with a header in another order": ("text/csv; header=present", as_csv(rows, names, [4, 2, 0, 1, 3])),
        "csv said to have none": ("text/csv; header=absent", as_csv(rows)),
        "json rows": ("application/json", json.dumps(lists).encode()),
        "json instances": ("application/json", json.dumps({"instances": lists}).encode()),
        "json instances by name": ("application/json; charset=utf-8", json.dumps({"instances": records}).encode()),
        "json rows by key": ("application/json", json.dumps({"rows": lists}).encode()),
        "json records": ("application/json", json.dumps(records).encode()),
        "json columns": ("application/json", json.dumps({"columns": columns}).encode()),
        "json split": ("application/json", json.dumps({"columns": names, "data": lists}).encode()),
        "jsonlines of lists": ("application/jsonlines", b"\n".join(json.dumps(row).encode() for row in lists)),
        "jsonlines of records": ("application/x-ndjson", b"\n".join(json.dumps(row).encode() for row in records)),
        "jsonlines of features": (
            "application/jsonlines",
            b"".join(json.dumps({"features": row}).encode() + b"\n" for row in lists),
        ),
        "npy": ("application/x-npy", as_npy(encoded(rows, schema))),
        "npy in Fortran order": ("application/x-npy", as_npy(np.asfortranarray(encoded(rows, schema)))),
        "npy by name": ("application/x-npy", as_npy(structured)),
        "npy of texts": ("application/x-npy", as_npy(texts)),
        "parquet": ("application/x-parquet", parquet.getvalue()),
    }


def test_all_contents_give_equal_predictions(
    server: Server, rows: list[Row], schema: Schema, expected: list[list[float]]
) -> None:
    for name, (content_type, body) in contents(rows, schema).items():
        reply = server.invoke(body, content_type, "application/json;output=probabilities")
        assert reply.status == 200, (name, reply.body)
        told = [each["probabilities"] for each in reply.json["predictions"]]
        assert told == expected, name


def test_a_single_record_is_one_row(
    server: Server, rows: list[Row], schema: Schema, expected: list[list[float]]
) -> None:
    record = as_records(rows, schema.names)[0]
    for document in (record, list(rows[0])):
        reply = server.invoke(json.dumps(document), "application/json", "application/json")
        assert reply.json["predictions"][0]["probabilities"] == expected[0]


def test_every_form_of_answer_tells_the_same(server: Server, rows: list[Row], expected: list[list[float]]) -> None:
    body = as_csv(rows)
    labels = ["yes" if row[1] > row[0] else "no" for row in expected]
    document = server.invoke(body, accept="application/json").json
    assert document["classes"] == ["no", "yes"]
    assert [each["label"] for each in document["predictions"]] == labels
    lines = server.invoke(body, accept="application/jsonlines").body.splitlines()
    assert [json.loads(line) for line in lines] == document["predictions"]
    table = list(csv.reader(server.invoke(body, accept="text/csv").body.decode().splitlines()))
    assert [[row[0], float(row[1]), float(row[2])] for row in table] == [
        [label, *values] for label, values in zip(labels, expected, strict=True)
    ]
    array = np.load(io.BytesIO(server.invoke(body, accept="application/x-npy").body), allow_pickle=False)
    assert array.tolist() == expected


def test_labels_or_probabilities_can_be_chosen_by_accept_and_by_query(server: Server, rows: list[Row]) -> None:
    body = as_csv(rows[:1])
    both = server.invoke(body, accept="text/csv").body.decode().strip().split(",")
    assert server.invoke(body, accept="text/csv;output=labels").body.decode() == both[0] + "\n"
    assert server.invoke(body, accept="text/csv;output=probabilities").body.decode() == ",".join(both[1:]) + "\n"
    reply = server.ask("POST", "/invocations?output=labels", body, {"Content-Type": "text/csv", "Accept": "text/csv"})
    assert reply.body.decode() == both[0] + "\n"
    labels = np.load(io.BytesIO(server.invoke(body, accept="application/x-npy;output=labels").body))
    assert labels.tolist() == [both[0]]


def test_csv_answers_can_begin_with_a_header(server: Server, rows: list[Row]) -> None:
    first = server.invoke(as_csv(rows), accept="text/csv; header=present").body.splitlines()[0]
    assert first == b"churned,churned=no,churned=yes"


def test_without_an_accept_the_answer_has_the_form_of_the_request(
    server: Server, rows: list[Row], schema: Schema
) -> None:
    given = contents(rows, schema)
    for name, form in (("csv", "text/csv"), ("json rows", "application/json"), ("parquet", "application/json")):
        content_type, body = given[name]
        assert server.invoke(body, content_type).headers["content-type"] == form
        assert server.invoke(body, content_type, "*/*").headers["content-type"] == form


def test_the_heavier_choice_of_several_accepted_forms_is_taken(server: Server, rows: list[Row]) -> None:
    accept = "application/json;q=0.5, image/png, application/jsonlines;q=0.9"
    assert server.invoke(as_csv(rows), accept=accept).headers["content-type"] == "application/jsonlines"


def test_a_long_answer_comes_in_parts_and_is_whole(server: Server, rows: list[Row]) -> None:
    body = as_csv(rows) * 10_000
    reply = server.invoke(body)
    assert reply.headers["transfer-encoding"] == "chunked"
    lines = reply.body.splitlines()
    assert len(lines) == 40_000
    assert set(lines) == set(server.invoke(as_csv(rows)).body.splitlines())


def test_a_client_of_http_1_0_gets_a_long_answer_unchunked(server: Server, rows: list[Row]) -> None:
    body = as_csv(rows) * 10_000
    head = b"POST /invocations HTTP/1.0\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head + body)
        answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    told, _, lines = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in told
    assert lines.count(b"\n") == 40_000


def test_a_regression_answers_values(start: Start, regression: Path, rows: list[Row], schema: Schema) -> None:
    server = start(regression)
    expected = open_artifact(regression)[1].predict(encoded(rows, schema))[:, 0].tolist()
    told = server.invoke(as_csv(rows), accept="application/json").json["predictions"]
    assert [each["value"] for each in told] == expected
    assert [float(line) for line in server.invoke(as_csv(rows)).body.splitlines()] == expected
    refusal = server.invoke(as_csv(rows), accept="text/csv;output=labels")
    assert refusal.status == 400
    assert "regression" in refusal.json["error"]["message"]
