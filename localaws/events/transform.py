"""What a target gets of an event: all of it, a part, a constant, or a template filled from it."""

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

from jsonpath_ng import JSONPath
from jsonpath_ng import parse as parse_path
from jsonpath_ng.exceptions import JSONPathError

from localaws.events.courier import Event

_PLACE = re.compile(r"<([^<>\s]+)>")
_MISSING = object()


class TransformError(Exception):
    """The input path or template cannot be used."""


def target_input(target: Mapping[str, Any], event: Event, rule: Mapping[str, Any]) -> str:
    """The text a target is given."""
    if "Input" in target:
        return target["Input"]
    if "InputPath" in target:
        return _compact(_found(target["InputPath"], event))
    if "InputTransformer" in target:
        return fill(target["InputTransformer"], event, rule)
    return _compact(event)


def fill(transformer: Mapping[str, Any], event: Event, rule: Mapping[str, Any]) -> str:
    """A template with its places filled: as JSON where they stand alone, as text inside quotes."""
    values: dict[str, Any] = {
        "aws.events.rule-arn": rule.get("Arn", ""),
        "aws.events.rule-name": rule.get("Name", ""),
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
    }
    values |= {name: _found(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    return _filled(transformer["InputTemplate"], values)


def _filled(template: str, values: Mapping[str, Any]) -> str:
    def written(place: re.Match[str]) -> str:
        name = place[1]
        if name not in values:
            return place[0]
        value = values[name]
        if not _inside_quotes(template, place.start()):
            return "null" if value is _MISSING else _compact(value)
        if value is _MISSING:
            return ""
        return json.dumps(value if isinstance(value, str) else _compact(value))[1:-1]

    return _PLACE.sub(written, template)


def _inside_quotes(template: str, place: int) -> bool:
    return len(re.findall(r'(?<!\\)"', template[:place])) % 2 == 1


def value_at(text: str, event: Event) -> str:
    """A parameter of a target: `$.detail.name` is looked up in the event, anything else is itself."""
    if not text.startswith("$."):
        return text
    found = _found(text, event)
    return "" if found is _MISSING else found if isinstance(found, str) else _compact(found)


def _found(path: str, event: Event) -> Any:
    matches = [match.value for match in _path(path).find(event)]
    return matches[0] if matches else _MISSING


@functools.lru_cache(maxsize=512)
def _path(text: str) -> JSONPath:
    """A JSON path; members with a dash need no quotes here, as in EventBridge."""
    quoted = re.sub(r"\.([\w-]*-[\w-]*)", r".'\1'", text)
    try:
        return parse_path(quoted)
    except (JSONPathError, AttributeError) as error:
        raise TransformError(f"Invalid JSON path {text}: {error}") from error


def check(target: Mapping[str, Any]) -> None:
    """Refuse paths that cannot be read, before anything is stored."""
    paths = [target["InputPath"]] if "InputPath" in target else []
    paths += target.get("InputTransformer", {}).get("InputPathsMap", {}).values()
    for path in paths:
        _path(path)
    ways = [way for way in ("Input", "InputPath", "InputTransformer") if way in target]
    if len(ways) > 1:
        raise TransformError(f"Only one of {', '.join(ways)} may be given for a target.")


def _compact(value: Any) -> str:
    return json.dumps(None if value is _MISSING else value, separators=(",", ":"))
