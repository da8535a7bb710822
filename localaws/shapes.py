"""AWS's own service models, used in earnest: requests are checked against every rule, answers cut to their shape."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from localaws.errors import ValidationException

SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float, str),  # a string for NaN and Infinity
    "double": (int, float, str),
    "boolean": (bool,),
    "timestamp": (int, float, str),
    "blob": (str, bytes),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "character": (str,),
}


@functools.cache
def service_model(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(name)


@functools.cache
def operation_model(service: str, operation: str) -> OperationModel:
    return service_model(service).operation_model(operation)


def check(operation: OperationModel, params: Mapping[str, Any]) -> None:
    """Refuse a request that breaks its shape, in the words AWS uses."""
    if operation.input_shape is None:
        return
    faults = list(_faults(operation.input_shape, params, ""))
    if faults:
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
        raise ValidationException(count + "; ".join(faults))


def known(shape: Shape | None, value: Any) -> Any:
    """The part of `value` that the shape knows; what is absent or None stays absent."""
    match shape:
        case StructureShape() if not shape.is_document_type:
            members = shape.members
            return {
                name: known(members[name], inner)
                for name, inner in value.items()
                if inner is not None and name in members
            }
        case ListShape():
            return [known(shape.member, inner) for inner in value]
        case MapShape():
            return {key: known(shape.value, inner) for key, inner in value.items()}
        case _:
            return value


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    wanted = SCALARS.get(shape.type_name)
    if wanted and (not isinstance(value, wanted) or (isinstance(value, bool) and shape.type_name != "boolean")):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be of type {shape.type_name}"
        return
    match shape:
        case StructureShape():
            yield from _structure_faults(shape, value, path)
        case ListShape():
            yield from _size_faults(shape, len(value), value, path)
            for index, inner in enumerate(value):
                yield from _faults(shape.member, inner, f"{path}.{index + 1}.member")
        case MapShape():
            yield from _size_faults(shape, len(value), value, path)
            for key, inner in value.items():
                yield from _faults(shape.key, key, f"{path}.key")
                yield from _faults(shape.value, inner, f"{path}.{key}.member")
        case Shape(type_name="string"):
            yield from _string_faults(shape, value, path)
        case Shape(type_name="blob"):
            yield from _size_faults(shape, len(value), "", path)
        case Shape(type_name="integer" | "long" | "float" | "double") if not isinstance(value, str):
            yield from _range_faults(shape, value, path)
        case _:
            return


def _structure_faults(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            where = _join(path, name)
            yield f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _faults(member, value[name], _join(path, name))


def _string_faults(shape: Shape, value: str, path: str) -> Iterator[str]:
    said = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must "
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield said + f"satisfy enum value set: [{', '.join(allowed)}]"
        return
    yield from _size_faults(shape, len(value), value, path)
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield said + f"satisfy regular expression pattern: {pattern}"


def _size_faults(shape: Shape, size: int, value: Any, path: str) -> Iterator[str]:
    said = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have length "
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield said + f"greater than or equal to {least}"
    if most is not None and size > most:
        yield said + f"less than or equal to {most}"


def _range_faults(shape: Shape, value: float, path: str) -> Iterator[str]:
    said = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value "
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        yield said + f"greater than or equal to {least}"
    if most is not None and value > most:
        yield said + f"less than or equal to {most}"


def _join(path: str, name: str) -> str:
    """AWS names members in lower camel case in its complaints."""
    low = name[:1].lower() + name[1:]
    return f"{path}.{low}" if path else low


def _matches(pattern: str, value: str) -> bool:
    rule = _compiled(pattern)
    return rule is None or rule.fullmatch(value) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The model's pattern in Python's dialect; None when it cannot be read (few use Java-only classes)."""
    text = re.sub(r"\\p\{L\}", r"[^\\W\\d_]", pattern)
    text = re.sub(r"\\p\{Alnum\}", "[A-Za-z0-9]", text)
    text = re.sub(r"\\p\{(IsAlphabetic|Alpha)\}", "[A-Za-z]", text)
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # "[[" is a plain set in AWS's dialect
            return re.compile(text)
    except re.error:
        return None
