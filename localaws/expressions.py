"""The expressions of a pipeline definition: references, joins, reads of property files, conditions.

A value can be `{"Get": "Parameters.X"}`, `{"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}`,
`{"Get": "Execution.PipelineName"}`, `{"Std:Join": {"On": "/", "Values": [...]}}` or
`{"Std:JsonGet": {"PropertyFile": {"Get": "Steps.S.PropertyFiles.F"}, "Path": "metrics.accuracy"}}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r"\[\s*(?:'([^']*)'|\"([^\"]*)\"|(-?\d+))\s*\]|([^.\[\]]+)")
ENTRY_NAMES = ("OutputName", "InputName", "Name", "ChannelName", "VariantName", "FeatureName")


class ExpressionError(Exception):
    """An expression cannot be resolved; the text says which and why."""


@dataclass(frozen=True)
class Values:
    """What expressions can refer to."""

    parameters: Mapping[str, Any]
    execution: Mapping[str, Any]
    steps: Mapping[str, Mapping[str, Any]]  # properties by step
    property_file: Callable[[str, str], Any]  # (step, property file) -> its JSON
    json_at: Callable[[str], Any]  # an S3 URI -> its JSON


def resolve(expression: Any, values: Values) -> Any:
    """The same structure with every expression replaced by what it stands for."""
    if isinstance(expression, Mapping):
        if len(expression) == 1:
            ((function, argument),) = expression.items()
            if function in FUNCTIONS:
                return FUNCTIONS[function](argument, values)
        return {key: resolve(inner, values) for key, inner in expression.items()}
    if isinstance(expression, list):
        return [resolve(inner, values) for inner in expression]
    return expression


def _get(reference: Any, values: Values) -> Any:
    where, _, rest = str(reference).partition(".")
    match where:
        case "Parameters":
            return at(values.parameters, rest, reference)
        case "Execution":
            return at(values.execution, rest, reference)
        case "Steps":
            step, _, path = rest.partition(".")
            if step not in values.steps:
                raise ExpressionError(f"{reference}: step {step} has not run")
            return at(values.steps[step], path, reference)
        case _:
            raise ExpressionError(f"{reference} must begin with Parameters, Execution or Steps")


def _join(argument: Mapping[str, Any], values: Values) -> str:
    return str(argument.get("On", "")).join(_text(resolve(item, values)) for item in argument["Values"])


def _json_get(argument: Mapping[str, Any], values: Values) -> Any:
    if "S3Uri" in argument:
        document = values.json_at(resolve(argument["S3Uri"], values))
    else:
        reference = str(argument["PropertyFile"]["Get"] if isinstance(argument["PropertyFile"], Mapping) else "")
        found = re.fullmatch(r"Steps\.(.+)\.PropertyFiles\.(.+)", reference)
        if found is None:
            raise ExpressionError(f"{reference!r} is no property file: Steps.STEP.PropertyFiles.FILE was expected")
        document = values.property_file(found[1], found[2])
    path = str(resolve(argument["Path"], values))
    return at(document, path.removeprefix("$").removeprefix("."), path)


FUNCTIONS: Mapping[str, Callable[[Any, Values], Any]] = {"Get": _get, "Std:Join": _join, "Std:JsonGet": _json_get}


def at(document: Any, path: str, reference: Any) -> Any:
    """The value at `a.b[0]['c']`; a name in brackets also finds the entry of a list that has this name."""
    value = document
    for match in TOKEN.finditer(path):
        quoted, doubled, index, plain = match.groups()
        try:
            value = value[int(index)] if index is not None else _member(value, quoted or doubled or plain)
        except (KeyError, IndexError, TypeError):
            raise ExpressionError(f"{reference}: there is no {match[0]}") from None
    return value


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, list):
        return value[name]
    for entry in value:
        if isinstance(entry, Mapping) and any(entry.get(key) == name for key in ENTRY_NAMES):
            return entry
    raise KeyError(name)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def steps_in(expression: Any) -> set[str]:
    """The steps that an expression needs."""
    if isinstance(expression, Mapping):
        reference = expression.get("Get")
        own = {reference.split(".")[1].split("[")[0]} if str(reference).startswith("Steps.") and reference else set()
        return own.union(*(steps_in(inner) for inner in expression.values()))
    if isinstance(expression, list):
        return set().union(*(steps_in(inner) for inner in expression))
    return set()


# --- conditions -----------------------------------------------------------------------------------------------------


def holds(condition: Mapping[str, Any], values: Values) -> bool:
    """Whether one condition of a condition step holds."""
    kind = condition["Type"]
    match kind:
        case "Not":
            return not holds(condition["Expression"] if "Expression" in condition else condition["Condition"], values)
        case "Or":
            return any(holds(inner, values) for inner in condition["Conditions"])
        case "In":
            query = resolve(condition["QueryValue"], values)
            return any(_same(query, resolve(item, values)) for item in condition["Values"])
    if kind not in COMPARISONS:
        raise ExpressionError(f"{kind} is no condition: {', '.join([*COMPARISONS, 'In', 'Not', 'Or'])} are")
    left, right = (resolve(condition[side], values) for side in ("LeftValue", "RightValue"))
    return COMPARISONS[kind](*_comparable(left, right))


def _same(left: Any, right: Any) -> bool:
    one, other = _comparable(left, right)
    return one == other


def _comparable(left: Any, right: Any) -> tuple[Any, Any]:
    """Numbers with numbers, even when one of them came as text."""
    if isinstance(left, str) == isinstance(right, str):
        return left, right
    try:
        return float(left), float(right)
    except (TypeError, ValueError):
        return str(left), str(right)


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}
