"""Event patterns: which events a rule wants, with every content filter of EventBridge."""

import functools
import ipaddress
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Test = Callable[[Any], bool]
Matcher = Callable[[Any], bool]

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABSENT = object()


class PatternError(Exception):
    """The event pattern is not one."""


@functools.lru_cache(maxsize=512)
def matcher(text: str) -> Matcher:
    """The test a pattern stands for; a mistake in it is a `PatternError`."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise PatternError(f"Event pattern is not valid. Reason: it is not JSON ({error})") from error
    if not isinstance(found, dict) or not found:
        raise PatternError("Event pattern is not valid. Reason: it must be a JSON object that is not empty")
    return _object(found, ())


def _wrong(path: tuple[str, ...], reason: str) -> PatternError:
    return PatternError(f"Event pattern is not valid. Reason: {'.'.join(path) or 'the pattern'} {reason}")


def _object(pattern: Mapping[str, Any], path: tuple[str, ...]) -> Matcher:
    """All fields of an object must match; of the alternatives below `$or` one must."""
    fields: list[tuple[str, Matcher]] = []
    either: list[Matcher] = []
    for name, wanted in pattern.items():
        here = (*path, name)
        if name == "$or" and isinstance(wanted, list) and len(wanted) > 1 and all(isinstance(w, dict) for w in wanted):
            either = [_object(option, here) for option in wanted]
        elif isinstance(wanted, dict):
            if not wanted:
                raise _wrong(here, "is an empty object: give it a field or an array of values")
            fields.append((name, _object(wanted, here)))
        elif isinstance(wanted, list):
            fields.append((name, _values(wanted, here)))
        else:
            raise _wrong(here, f"must be an object or an array, and it is {json.dumps(wanted)}")

    def matches(event: Any) -> bool:
        if isinstance(event, list):  # an object inside an array: any element may match
            return any(matches(element) for element in event)
        if not isinstance(event, dict):
            event = dict[str, Any]()
        if not all(test(event.get(name, _ABSENT)) for name, test in fields):
            return False
        return not either or any(option(event) for option in either)

    return matches


def _values(wanted: list[Any], path: tuple[str, ...]) -> Matcher:
    if not wanted:
        raise _wrong(path, "is an empty array, which nothing can match")
    tests = [_test(value, path) for value in wanted]

    def matches(value: Any) -> bool:
        found = value if isinstance(value, list) and value else [_ABSENT if value == [] else value]
        return any(test(one) for one in found for test in tests)

    return matches


def _test(wanted: Any, path: tuple[str, ...]) -> Test:
    """One element of an array of wanted values: a value, or an object with one content filter."""
    if not isinstance(wanted, dict):
        return _equal(wanted)
    if len(wanted) != 1:
        raise _wrong(path, f"has a filter with {len(wanted)} keys: each filter has exactly one")
    [(name, argument)] = wanted.items()
    if name not in _FILTERS:
        raise _wrong(path, f"uses an unknown filter {name}; there are {', '.join(sorted(_FILTERS))}")
    return _FILTERS[name](argument, path)


def _equal(wanted: Any) -> Test:
    """Numbers are equal whatever way they are written; true is not 1."""
    return lambda value: value == wanted and isinstance(value, bool) is isinstance(wanted, bool)


def _on_text(test: Callable[[str], bool]) -> Test:
    return lambda value: isinstance(value, str) and test(value)


def _text(argument: Any, path: tuple[str, ...], name: str) -> str:
    if not isinstance(argument, str):
        raise _wrong(path, f"needs a text for {name}, and it has {json.dumps(argument)}")
    return argument


def _affix(name: str, has: Callable[[str, str], bool]) -> Callable[[Any, tuple[str, ...]], Test]:
    def make(argument: Any, path: tuple[str, ...]) -> Test:
        if isinstance(argument, dict) and list(argument) == ["equals-ignore-case"]:
            plain = _text(argument["equals-ignore-case"], path, name).lower()
            return _on_text(lambda value: has(value.lower(), plain))
        fixed = _text(argument, path, name)
        return _on_text(lambda value: has(value, fixed))

    return make


def _ignoring_case(argument: Any, path: tuple[str, ...]) -> Test:
    wanted = _text(argument, path, "equals-ignore-case").lower()
    return _on_text(lambda value: value.lower() == wanted)


def _wildcard(argument: Any, path: tuple[str, ...]) -> Test:
    text = _text(argument, path, "wildcard")
    if "**" in text:
        raise _wrong(path, f"has two wildcards in a row: {text}")
    parts = re.split(r"(\\\*|\\\\|\*)", text)
    regex = "".join(".*" if part == "*" else re.escape(part[1:] if part[:1] == "\\" else part) for part in parts)
    return _on_text(lambda value: re.fullmatch(regex, value, re.DOTALL) is not None)


def _exists(argument: Any, path: tuple[str, ...]) -> Test:
    if not isinstance(argument, bool):
        raise _wrong(path, f"needs true or false for exists, and it has {json.dumps(argument)}")
    return lambda value: (value is not _ABSENT) is argument


def _numeric(argument: Any, path: tuple[str, ...]) -> Test:
    if not isinstance(argument, list) or len(argument) not in {2, 4}:
        raise _wrong(path, f'needs an array such as [">", 0, "<=", 5] for numeric, and it has {json.dumps(argument)}')
    pairs = list(zip(argument[::2], argument[1::2], strict=True))
    for symbol, bound in pairs:
        if symbol not in COMPARE or isinstance(bound, bool) or not isinstance(bound, int | float):
            raise _wrong(path, f"cannot compare with {json.dumps([symbol, bound])}")

    def test(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return all(COMPARE[symbol](value, bound) for symbol, bound in pairs)

    return test


def _cidr(argument: Any, path: tuple[str, ...]) -> Test:
    try:
        network = ipaddress.ip_network(_text(argument, path, "cidr"), strict=False)
    except ValueError as error:
        raise _wrong(path, f"has a network that is none: {error}") from error

    def inside(value: str) -> bool:
        try:
            return ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return _on_text(inside)


def _anything_but(argument: Any, path: tuple[str, ...]) -> Test:
    if isinstance(argument, dict):
        if len(argument) != 1:
            raise _wrong(path, "needs one filter below anything-but")
        [(name, inner)] = argument.items()
        if name not in {"prefix", "suffix", "equals-ignore-case", "wildcard"}:
            raise _wrong(path, f"cannot negate the filter {name}")
        options = inner if isinstance(inner, list) else [inner]
        tests = [_FILTERS[name](option, path) for option in options]
    else:
        tests = [_equal(option) for option in (argument if isinstance(argument, list) else [argument])]
    return lambda value: value is not _ABSENT and not any(test(value) for test in tests)


_FILTERS: dict[str, Callable[[Any, tuple[str, ...]], Test]] = {
    "prefix": _affix("prefix", str.startswith),
    "suffix": _affix("suffix", str.endswith),
    "equals-ignore-case": _ignoring_case,
    "wildcard": _wildcard,
    "exists": _exists,
    "numeric": _numeric,
    "cidr": _cidr,
    "anything-but": _anything_but,
}
