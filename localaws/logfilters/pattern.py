"""Filter patterns of CloudWatch Logs: `ERROR -debug "disk full" ?a ?b` and `{ $.level = "error" && $.ms > 100 }`."""

import functools
import json
import operator
import re
from collections.abc import Callable
from typing import Any

import pyparsing as pp

Test = Callable[[str], bool]
JsonTest = Callable[[Any], bool]
_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_MISSING = object()
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class FilterPatternError(Exception):
    """The filter pattern cannot be read."""


@functools.lru_cache(maxsize=256)
def line_test(text: str) -> Test:
    """Whether a log line matches; an empty pattern matches every line."""
    pattern = text.strip()
    if pattern.startswith("["):
        raise FilterPatternError(
            f"Invalid filter pattern {text}: patterns of space-delimited fields ([a, b, ...]) are not built in the "
            'embedded AWS; use words, or { $.field = "value" } on JSON lines'
        )
    if pattern.startswith("{"):
        matches = _json_test(pattern)
        return lambda line: (found := as_json(line)) is not None and matches(found)
    return _words(pattern)


def _words(pattern: str) -> Test:
    """All plain words, none of those with a minus, and one of those with a question mark if there are any."""
    terms = [(sign, quoted or plain) for sign, quoted, plain in _TERM.findall(pattern)]
    needed = [word for sign, word in terms if not sign]
    barred = [word for sign, word in terms if sign == "-"]
    either = [word for sign, word in terms if sign == "?"]

    def matches(line: str) -> bool:
        if not all(word in line for word in needed) or any(word in line for word in barred):
            return False
        return not either or any(word in line for word in either)

    return matches


def as_json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _json_test(pattern: str) -> JsonTest:
    try:
        found = _grammar().parse_string(pattern, parse_all=True)[0]
    except pp.ParseException as error:
        raise FilterPatternError(f"Invalid filter pattern {pattern}: it cannot be read at {error.loc}") from error
    if not callable(found):
        raise FilterPatternError(f"Invalid filter pattern {pattern}")
    return found


@functools.cache
def _grammar() -> pp.ParserElement:
    path = pp.Regex(r"\$[\w.\[\]@-]*")
    value = pp.QuotedString('"', esc_char="\\").set_parse_action(lambda found: ("text", found[0])) | pp.Regex(
        r"[^\s{}()&|\"]+"
    ).set_parse_action(lambda found: ("bare", found[0]))
    compare = (path + pp.one_of(list(COMPARE)) + value).set_parse_action(_comparison)
    kind = (path + pp.Keyword("IS") + pp.one_of("NULL TRUE FALSE")).set_parse_action(_kind)
    absent = (path + pp.Keyword("NOT") + pp.Keyword("EXISTS")).set_parse_action(_absence)
    whole = pp.infix_notation(
        compare | kind | absent,
        [
            ("&&", 2, pp.OpAssoc.LEFT, functools.partial(_joined, all)),
            ("||", 2, pp.OpAssoc.LEFT, functools.partial(_joined, any)),
        ],
    )
    return pp.Suppress("{") + whole + pp.Suppress("}")


def _comparison(found: pp.ParseResults) -> JsonTest:
    path, symbol, (kind, wanted) = found
    number = _number(wanted) if kind == "bare" else None

    def matches(event: Any) -> bool:
        value = at(path, event)
        if value is _MISSING:
            return False
        if number is not None and isinstance(value, int | float) and not isinstance(value, bool):
            return COMPARE[symbol](value, number)
        same = re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), str(value), re.DOTALL) is not None
        return same if symbol == "=" else not same if symbol == "!=" else False

    return matches


def _absence(found: pp.ParseResults) -> JsonTest:
    path = str(found[0])
    return lambda event: at(path, event) is _MISSING


def _kind(found: pp.ParseResults) -> JsonTest:
    path, wanted = str(found[0]), {"NULL": None, "TRUE": True, "FALSE": False}[str(found[2])]
    return lambda event: at(path, event) is wanted


def _joined(join: Callable[[list[bool]], bool], found: pp.ParseResults) -> JsonTest:
    parts: list[JsonTest] = list(found[0][::2])
    return lambda event: join([part(event) for part in parts])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def at(path: str, event: Any) -> Any:
    """What `$.a.b[0]` is in an event; a marker when it is not there."""
    for name, index in re.findall(r"\.([\w@-]+)|\[(\d+)\]", path):
        if name and isinstance(event, dict) and name in event:
            event = event[name]
        elif index and isinstance(event, list) and int(index) < len(event):
            event = event[int(index)]
        else:
            return _MISSING
    return event


def number_at(text: str, line: str) -> float | None:
    """A metric's value: a number as it is written, or what a path finds in the line."""
    if not text.startswith("$"):
        return _number(text)
    found = at(text, as_json(line))
    return _number(str(found)) if found is not _MISSING else None


def text_at(path: str, line: str) -> str | None:
    """A dimension's value."""
    found = at(path, as_json(line))
    return None if found is _MISSING else str(found)
