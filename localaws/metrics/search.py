"""SEARCH: which metrics a text such as `{AWS/SageMaker,EndpointName} MetricName="Invocations" shop` means."""

import functools
import re
from collections.abc import Callable

from localaws.metrics.expression import ExpressionError
from localaws.metrics.series import MetricKey

Test = Callable[[MetricKey], bool]

_SCHEMA = re.compile(r"\s*\{([^}]*)\}")
_TERM = re.compile(r"""\(|\)|(?:"[^"]*"|[^\s"()=]+)\s*=\s*(?:"[^"]*"|\([^)]*\)|[^\s()]+)|"[^"]*"|[^\s()]+""")


@functools.cache
def search_test(text: str) -> Test:
    """A test for metrics out of a SEARCH text."""
    schema = _SCHEMA.match(text)
    tests = [_in_schema(schema[1])] if schema else []
    terms = _TERM.findall(text[schema.end() :] if schema else text)
    if terms:
        test, rest = _any(terms)
        if rest:
            raise ExpressionError(f"SEARCH cannot be read after '{' '.join(terms[: len(terms) - len(rest)])}'")
        tests.append(test)
    return lambda key: all(test(key) for test in tests)


def _in_schema(text: str) -> Test:
    namespace, *names = [part.strip().strip('"') for part in text.split(",")]
    return lambda key: key.namespace == namespace and (not names or sorted(names) == [n for n, _ in key.dimensions])


def _any(terms: list[str]) -> tuple[Test, list[str]]:
    test, rest = _all(terms)
    tests = [test]
    while rest and rest[0].upper() == "OR":
        test, rest = _all(rest[1:])
        tests.append(test)
    return (lambda key: any(test(key) for test in tests)), rest


def _all(terms: list[str]) -> tuple[Test, list[str]]:
    test, rest = _one(terms)
    tests = [test]
    while rest and rest[0] != ")" and rest[0].upper() != "OR":
        test, rest = _one(rest[1:] if rest[0].upper() == "AND" else rest)
        tests.append(test)
    return (lambda key: all(test(key) for test in tests)), rest


def _one(terms: list[str]) -> tuple[Test, list[str]]:
    if not terms:
        raise ExpressionError("SEARCH ends where a word was expected")
    first, rest = terms[0], terms[1:]
    if first.upper() == "NOT":
        test, rest = _one(rest)
        return (lambda key: not test(key)), rest
    if first == "(":
        test, rest = _any(rest)
        if not rest or rest[0] != ")":
            raise ExpressionError("SEARCH has an open bracket")
        return test, rest[1:]
    if "=" in first and not first.startswith('"'):
        name, _, wanted = first.partition("=")
        return _property(name.strip().strip('"'), wanted.strip()), rest
    return _word(first), rest


def _property(name: str, wanted: str) -> Test:
    options = [wanted]
    if wanted.startswith("("):
        options = [part.strip() for part in re.split(r"\s+OR\s+|,", wanted[1:-1])]

    def value(key: MetricKey) -> str | None:
        return {"MetricName": key.name, "Namespace": key.namespace, **dict(key.dimensions)}.get(name)

    def test(key: MetricKey) -> bool:
        found = value(key)
        return found is not None and any(_fits(option, found) for option in options)

    return test


def _fits(option: str, found: str) -> bool:
    if option.startswith('"'):
        return found == option.strip('"')
    return option.lower() in found.lower()


def _word(term: str) -> Test:
    def parts(key: MetricKey) -> list[str]:
        return [key.namespace, key.name, *(part for pair in key.dimensions for part in pair)]

    return lambda key: any(_fits(term, part) for part in parts(key))
