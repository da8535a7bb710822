"""What crosses a process boundary, one frozen record per idea, each with its JSON form.

`to_json` gives plain values for `json.dumps`; `from_json` refuses what it does not know.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

Kind = Literal["number", "integer", "boolean", "category"]
Task = Literal["classification", "regression"]
Encoding = Literal["CSV", "JSON", "BASE64"]


class RecordError(ValueError):
    """A record cannot be read; the text says what was given and what was expected."""


def known_fields(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, or an error naming every unknown one with its nearest real name and every missing one."""
    if not isinstance(given, Mapping):
        raise RecordError(f"{kind.__name__}: given {type(given).__name__}, expected names with values")
    fields = {each.name: each for each in dataclasses.fields(kind)}
    problems = []
    for name in sorted(set(given) - set(fields)):
        near = difflib.get_close_matches(name, fields, n=1)
        problems.append(f"unknown field '{name}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
    for name, each in fields.items():
        optional = each.default is not dataclasses.MISSING or each.default_factory is not dataclasses.MISSING
        if name not in given and not optional:
            problems.append(f"missing field '{name}'")
    if problems:
        raise RecordError(f"{kind.__name__}: {'; '.join(problems)}. Known fields: {', '.join(fields)}.")
    return dict(given)


@dataclass(frozen=True, slots=True)
class Column:
    """One input of a model: its name, its kind, and what values it took in training."""

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    missing: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise RecordError(
                f"column '{self.name}': kind is '{self.kind}', expected one of {', '.join(get_args(Kind))}"
            )
        if len(set(self.levels)) != len(self.levels):
            raise RecordError(f"column '{self.name}': a level stands twice; levels must be distinct")

    @property
    def is_category(self) -> bool:
        return self.kind == "category"

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"levels": list(self.levels)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(**fields | {"levels": tuple(fields.get("levels", ()))})


@dataclass(frozen=True, slots=True)
class Schema:
    """The inputs of a model in order, what it predicts, and the classes it chooses from (none for a regression)."""

    columns: tuple[Column, ...]
    target: str
    task: Task
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise RecordError(f"a column name stands twice among {', '.join(names)}; names must be distinct")
        if self.task not in get_args(Task):
            raise RecordError(f"task is '{self.task}', expected one of {', '.join(get_args(Task))}")
        if (self.task == "classification") != (len(self.classes) > 1):
            raise RecordError(
                f"a {self.task} with {len(self.classes)} classes: a classification has at least two, a regression none"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": [column.to_json() for column in self.columns],
            "target": self.target,
            "task": self.task,
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(
            columns=tuple(Column.from_json(each) for each in fields["columns"]),
            target=fields["target"],
            task=fields["task"],
            classes=tuple(fields.get("classes", ())),
        )


MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact vouches for: who made it, from what, and the SHA-256 of every file beside it."""

    family: str
    schema: Schema
    files: Mapping[str, str]
    versions: Mapping[str, str]
    data_hash: str
    code_hash: str
    seed: int
    created_by: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    version: int = MANIFEST_VERSION

    def __post_init__(self) -> None:
        if self.version != MANIFEST_VERSION:
            raise RecordError(
                f"the manifest has version {self.version}, this program reads version {MANIFEST_VERSION}: "
                "use the program that made the artifact, or train again"
            )

    def to_json(self) -> dict[str, Any]:
        given = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        maps = ("files", "versions", "metrics", "hyperparameters")
        return given | {name: dict(given[name]) for name in maps} | {"schema": self.schema.to_json()}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        fields = known_fields(cls, given)
        return cls(**fields | {"schema": Schema.from_json(fields["schema"])})


@dataclass(frozen=True, slots=True)
class Request:
    """One call of an endpoint, as an application makes it."""

    body: bytes
    content_type: str = "text/csv"
    accept: str = "application/json"
    inference_id: str | None = None
    target_variant: str | None = None
    session_id: str | None = None
    custom_attributes: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and which variant gave it."""

    body: bytes
    content_type: str
    variant: str
    custom_attributes: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """One side of a captured call: the text as SageMaker stored it, and how to read it."""

    data: str
    encoding: Encoding
    content_type: str

    @property
    def content(self) -> bytes:
        """The bytes that crossed the wire."""
        if self.encoding != "BASE64":
            return self.data.encode()
        try:
            return base64.b64decode(self.data, validate=True)
        except binascii.Error as problem:
            raise RecordError(f"a BASE64 payload that is not base64: {problem}") from None


@dataclass(frozen=True, slots=True)
class CaptureRecord:
    """One stored request and answer, in SageMaker's own line format."""

    event_id: str
    time: str
    input: Payload | None
    output: Payload | None
    inference_id: str | None = None
    custom_attributes: tuple[str, ...] = ()

    @property
    def join_key(self) -> str:
        """What an outcome names: the caller's inference id when it gave one, else the event's own id."""
        return self.inference_id or self.event_id

    def to_line(self) -> str:
        captured: dict[str, Any] = {}
        for name, mode, payload in (("endpointInput", "INPUT", self.input), ("endpointOutput", "OUTPUT", self.output)):
            if payload is not None:
                captured[name] = {
                    "observedContentType": payload.content_type,
                    "mode": mode,
                    "data": payload.data,
                    "encoding": payload.encoding,
                }
        metadata: dict[str, Any] = {"eventId": self.event_id, "inferenceTime": self.time}
        if self.inference_id is not None:
            metadata["inferenceId"] = self.inference_id
        if self.custom_attributes:
            metadata["customAttributes"] = list(self.custom_attributes)
        return json.dumps({"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"})

    @classmethod
    def from_line(cls, line: str | bytes) -> Self:
        document = read_object(line, "capture record")
        try:
            metadata, captured = document["eventMetadata"], document["captureData"]
            return cls(
                event_id=metadata["eventId"],
                time=metadata["inferenceTime"],
                input=payload_of(captured.get("endpointInput")),
                output=payload_of(captured.get("endpointOutput")),
                inference_id=metadata.get("inferenceId"),
                custom_attributes=tuple(metadata.get("customAttributes", ())),
            )
        except (KeyError, TypeError, AttributeError) as problem:
            raise RecordError(
                f"a capture record without its parts ({problem!r}); expected captureData and eventMetadata"
            ) from None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The truth about one prediction, learned later; `value` is a class or a number as text."""

    join_key: str
    value: str
    time: str | None = None

    def to_line(self) -> str:
        """The line SageMaker calls ground truth."""
        metadata = {"eventId": self.join_key} | ({"inferenceTime": self.time} if self.time else {})
        truth = {"data": self.value, "encoding": "CSV"}
        return json.dumps({"groundTruthData": truth, "eventMetadata": metadata, "eventVersion": "0"})

    @classmethod
    def from_line(cls, line: str | bytes) -> Self:
        document = read_object(line, "outcome")
        try:
            metadata = document["eventMetadata"]
            return cls(
                metadata["eventId"], str(document["groundTruthData"]["data"]).strip(), metadata.get("inferenceTime")
            )
        except (KeyError, TypeError, AttributeError) as problem:
            raise RecordError(
                f"an outcome without its parts ({problem!r}); expected groundTruthData and eventMetadata"
            ) from None


def read_object(line: str | bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise RecordError(f"a {what} that is not JSON: {problem}") from None
    if not isinstance(document, dict):
        raise RecordError(f"a {what} must be a JSON object, got {type(document).__name__}")
    return document


def payload_of(given: Mapping[str, Any] | None) -> Payload | None:
    if given is None:
        return None
    if given["encoding"] not in get_args(Encoding):
        raise RecordError(
            f"a payload in encoding '{given['encoding']}', expected one of {', '.join(get_args(Encoding))}"
        )
    return Payload(given["data"], given["encoding"], given.get("observedContentType", ""))


def nearest(name: str, known: Sequence[str]) -> str:
    """How an error offers the nearest real name: empty when nothing is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
