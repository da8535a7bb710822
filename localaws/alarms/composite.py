"""Rules over other alarms: `ALARM("a") AND NOT (OK(b) OR INSUFFICIENT_DATA(c))`."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

import pyparsing as pp

from localaws.alarms.judge import State

StateOf = Callable[[str], str]


class RuleError(Exception):
    """The alarm rule cannot be read."""


@dataclass(frozen=True)
class Rule:
    """A readable rule: the alarms it names, and whether it holds given their states."""

    names: frozenset[str]
    holds: Callable[[StateOf], bool]


pp.ParserElement.enable_packrat()


@functools.cache
def parse_rule(text: str) -> Rule:
    """Read a rule; a mistake in it is a `RuleError`."""
    try:
        return _rule(_grammar().parse_string(text, parse_all=True)[0])
    except pp.ParseException as error:
        raise RuleError(
            f"AlarmRule must not contain '{text[error.loc : error.loc + 20]}' at position {error.loc}: write it from "
            "ALARM(name), OK(name), INSUFFICIENT_DATA(name), TRUE, FALSE, AND, OR, NOT and brackets"
        ) from error


@functools.cache
def _grammar() -> pp.ParserElement:
    name = pp.QuotedString('"') | pp.Regex(r'[^\s()",]+')
    state = pp.one_of([str(state) for state in State])
    one = (state + pp.Suppress("(") + name + pp.Suppress(")")).set_parse_action(_one)
    number = pp.Regex(r"\d+%?")
    several = pp.Suppress("(") + pp.DelimitedList(name) + pp.Suppress(")")
    some = pp.Suppress("AT_LEAST") + pp.Suppress("(") + number + pp.Suppress(",")
    some = (some + pp.Opt("NOT") + state + pp.Suppress(",") + pp.Group(several) + pp.Suppress(")")).set_parse_action(
        _some
    )
    fixed = pp.one_of("TRUE FALSE").set_parse_action(lambda found: Rule(frozenset(), lambda _: found[0] == "TRUE"))
    return pp.infix_notation(
        one | some | fixed,
        [
            (pp.Keyword("NOT"), 1, pp.OpAssoc.RIGHT, _not),
            (pp.Keyword("AND"), 2, pp.OpAssoc.LEFT, functools.partial(_joined, all)),
            (pp.Keyword("OR"), 2, pp.OpAssoc.LEFT, functools.partial(_joined, any)),
        ],
    )


def _rule(found: object) -> Rule:
    if not isinstance(found, Rule):
        raise TypeError(f"the rule's grammar made {found!r} out of a rule")
    return found


_ARN = re.compile(r"arn:[^:]*:cloudwatch:[^:]*:[^:]*:alarm:(.+)")


def _name(text: str) -> str:
    """A rule may name an alarm by its ARN."""
    found = _ARN.fullmatch(text)
    return found[1] if found else text


def _one(found: pp.ParseResults) -> Rule:
    state, name = str(found[0]), _name(str(found[1]))
    return Rule(frozenset({name}), lambda state_of: state_of(name) == state)


def _some(found: pp.ParseResults) -> Rule:
    number, *negated, state, group = found
    names = [_name(str(name)) for name in group]
    least = -(-len(names) * int(number[:-1]) // 100) if number.endswith("%") else int(number)
    wanted = not negated
    return Rule(
        frozenset(names),
        lambda state_of: sum((state_of(name) == state) is wanted for name in names) >= least,
    )


def _not(found: pp.ParseResults) -> Rule:
    inner = _rule(found[0][1])
    return Rule(inner.names, lambda state_of: not inner.holds(state_of))


def _joined(join: Callable[[list[bool]], bool], found: pp.ParseResults) -> Rule:
    parts = [_rule(part) for part in found[0][::2]]
    names = frozenset(name for part in parts for name in part.names)
    return Rule(names, lambda state_of: join([part.holds(state_of) for part in parts]))
