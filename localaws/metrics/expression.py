"""Metric math: CloudWatch's expressions over time series, by walking the tree Python's own parser makes of them.

The two languages differ in a few tokens only (`^`, `&&`, `||`, `AND`, `OR`), which are translated first.
A value is a number, a `Line` (one time series), or a tuple of lines. A point that is missing in one of two lines is
missing in their sum; a function over several lines takes the points there are.
"""

import ast
import functools
import itertools
import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

REFUSED = {
    "ANOMALY_DETECTION_BAND": "anomaly detection bands need a trained model of the metric, which is not built here",
    "INSIGHT_RULE_METRIC": "Contributor Insights is not built here",
    "SERVICE_QUOTA": "there are no quotas here",
    "DB_PERF_INSIGHTS": "there are no databases here",
    "LAMBDA": "there is no Lambda here",
}


class ExpressionError(Exception):
    """The expression cannot be read or cannot be computed."""


@dataclass(frozen=True)
class Line:
    """One time series: points by the start of their period."""

    label: str
    period: int
    points: Mapping[int, float] = field(default_factory=dict)

    def values(self) -> list[float]:
        return [self.points[at] for at in sorted(self.points)]

    def map(self, change: Callable[[float], float | None]) -> "Line":
        changed = {at: change(value) for at, value in self.points.items()}
        return replace(self, points={at: value for at, value in changed.items() if value is not None})


Lines = tuple[Line, ...]
Value = float | Line | Lines


@dataclass(frozen=True)
class Context:
    """What an expression may name: other queries by id, the metrics among them, the periods asked for, and SEARCH."""

    named: Mapping[str, Value]
    metrics: Sequence[str]
    begin: int
    end: int
    period: int
    search: Callable[[str, str, int], Lines]

    def grid(self) -> range:
        return range(self.begin - self.begin % self.period, self.end, self.period)


_TOKENS = re.compile(r"""('[^']*'|"[^"]*")|(&&|\bAND\b)|(\|\||\bOR\b)|(\^)""")


@functools.cache
def parse(expression: str) -> ast.expr:
    """The tree of an expression; a mistake in it is an `ExpressionError`."""

    def translate(found: re.Match[str]) -> str:
        quoted, both, either, _power = found.groups()
        return quoted or (" and " if both else " or " if either else "**")

    if expression.lstrip().upper().startswith("SELECT "):
        raise ExpressionError(
            "Metrics Insights queries (SELECT ...) are not built in the embedded AWS; use SEARCH(...)"
        )
    try:
        return ast.parse(_TOKENS.sub(translate, expression.strip()), mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(f"Error in expression '{expression}': {error.msg}") from error


def names(expression: str) -> set[str]:
    """The ids an expression refers to."""
    tree = parse(expression)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}
    return {name for name in found if name[0].islower()}


def uses_metrics(expression: str) -> bool:
    """Whether it calls METRICS(), which stands for every metric of the request."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "METRICS"
        for node in ast.walk(parse(expression))
    )


def evaluate(expression: str, context: Context) -> Value:
    """The value of an expression."""
    return _walk(parse(expression), context)


def _walk(node: ast.expr, context: Context) -> Value:  # noqa: PLR0911  one line per kind of node
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return _named(name, context)
        case ast.List(elts=parts):
            return tuple(line for part in parts for line in _lines(_walk(part, context), "[...]"))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _each(_walk(inner, context), operator.neg)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _walk(inner, context)
        case ast.BinOp(left=left, op=symbol, right=right) if type(symbol) in _ARITHMETIC:
            return _both(_ARITHMETIC[type(symbol)], _walk(left, context), _walk(right, context))
        case ast.Compare(left=left, ops=[symbol], comparators=[right]) if type(symbol) in _COMPARISONS:
            return _both(_COMPARISONS[type(symbol)], _walk(left, context), _walk(right, context))
        case ast.BoolOp(op=symbol, values=parts):
            joined = _and if isinstance(symbol, ast.And) else _or
            return functools.reduce(functools.partial(_both, joined), (_walk(part, context) for part in parts))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, arguments, context)
        case _:
            raise ExpressionError(f"'{ast.unparse(node)}' is not metric math")


def _named(name: str, context: Context) -> Value:
    if name not in context.named:
        raise ExpressionError(f"the expression names '{name}', but the request has no query with that id")
    return context.named[name]


def _divide(left: float, right: float) -> float | None:
    return left / right if right else None


def _power(left: float, right: float) -> float | None:
    try:
        raised = left**right
    except (ZeroDivisionError, OverflowError):
        return None
    return None if isinstance(raised, complex) else raised


def _and(left: float, right: float) -> float:
    return float(bool(left) and bool(right))


def _or(left: float, right: float) -> float:
    return float(bool(left) or bool(right))


Operation = Callable[[float, float], float | None]
_ARITHMETIC: dict[type[ast.operator], Operation] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
    ast.Pow: _power,
}
_COMPARISONS: dict[type[ast.cmpop], Operation] = {
    ast.Eq: lambda a, b: float(a == b),
    ast.NotEq: lambda a, b: float(a != b),
    ast.Lt: lambda a, b: float(a < b),
    ast.LtE: lambda a, b: float(a <= b),
    ast.Gt: lambda a, b: float(a > b),
    ast.GtE: lambda a, b: float(a >= b),
}


def _both(operation: Operation, left: Value, right: Value) -> Value:
    """Apply to two numbers, number and lines, or line and lines; lines against lines go pairwise."""
    if isinstance(left, tuple) and isinstance(right, tuple):
        if len(left) != len(right):
            raise ExpressionError(f"two arrays of different length ({len(left)} and {len(right)}) cannot be combined")
        return tuple(_line_with(operation, a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, tuple):
        return tuple(_line_with(operation, line, right) for line in left)
    if isinstance(right, tuple):
        return tuple(replace(_line_with(operation, left, line), label=line.label) for line in right)
    if isinstance(left, float) and isinstance(right, float):
        answer = operation(left, right)
        return math.nan if answer is None else answer
    return _line_with(operation, left, right)


def _line_with(operation: Operation, left: Line | float, right: Value) -> Line:
    match left, right:
        case Line(), float():
            return left.map(lambda value: operation(value, right))
        case float(), Line():
            return right.map(lambda value: operation(left, value))
        case Line(), Line():
            return _joined(operation, left, right)
        case _:
            raise ExpressionError("an array inside an array is not metric math")


def _joined(operation: Operation, left: Line, right: Line) -> Line:
    points = {at: operation(value, right.points[at]) for at, value in left.points.items() if at in right.points}
    return replace(left, points={at: value for at, value in points.items() if value is not None})


def _each(value: Value, change: Callable[[float], float | None]) -> Value:
    if isinstance(value, tuple):
        return tuple(line.map(change) for line in value)
    if isinstance(value, Line):
        return value.map(change)
    answer = change(value)
    return math.nan if answer is None else answer


def _lines(value: Value, where: str) -> Lines:
    if isinstance(value, float):
        raise ExpressionError(f"{where} takes time series, and {value:g} is a number")
    return value if isinstance(value, tuple) else (value,)


# --- functions ------------------------------------------------------------------------------------------------------


def _call(name: str, arguments: list[ast.expr], context: Context) -> Value:
    if name in REFUSED:
        raise ExpressionError(f"{name} is refused: {REFUSED[name]}")
    if name in _SPECIAL:
        return _SPECIAL[name](arguments, context)
    if name not in _PLAIN:
        known = ", ".join(sorted({*_SPECIAL, *_PLAIN}))
        raise ExpressionError(f"there is no metric math function {name}; there are {known}")
    function, least, most = _PLAIN[name]
    if not least <= len(arguments) <= most:
        raise ExpressionError(
            f"{name} takes {least}{f' to {most}' if most > least else ''} arguments, got {len(arguments)}"
        )
    return function(*(_walk(argument, context) for argument in arguments))


def _reducer(reduce: Callable[[list[float]], float]) -> Callable[[Value], Value]:
    """Of one line: a number. Of an array: a line, point by point over those that have the point."""

    def apply(value: Value) -> Value:
        if isinstance(value, Line):
            found = value.values()
            return reduce(found) if found else math.nan
        lines = _lines(value, "this function")
        moments = sorted({at for line in lines for at in line.points})
        points = {at: reduce([line.points[at] for line in lines if at in line.points]) for at in moments}
        return Line("expression", lines[0].period if lines else 60, points)

    return apply


def _steps(change: Callable[[tuple[int, float], tuple[int, float]], float]) -> Callable[[Value], Value]:
    """Of each point and the one before it."""

    def one(line: Line) -> Line:
        ordered = sorted(line.points.items())
        return replace(line, points={now[0]: change(before, now) for before, now in itertools.pairwise(ordered)})

    return _on_lines(one)


def _on_lines(change: Callable[[Line], Line]) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        if isinstance(value, Line):
            return change(value)
        return tuple(change(line) for line in _lines(value, "this function"))

    return apply


def _running(line: Line) -> Line:
    total = 0.0
    points: dict[int, float] = {}
    for at, value in sorted(line.points.items()):
        total += value
        points[at] = total
    return replace(line, points=points)


def _moment(part: Callable[[datetime], float]) -> Callable[[Value], Value]:
    return _on_lines(
        lambda line: replace(line, points={at: float(part(datetime.fromtimestamp(at, UTC))) for at in line.points})
    )


def _of_each(change: Callable[[float], float | None]) -> Callable[[Value], Value]:
    return lambda value: _each(value, change)


def _logarithm(log: Callable[[float], float]) -> Callable[[Value], Value]:
    return _of_each(lambda x: log(x) if x > 0 else None)


def _remove_empty(value: Value) -> Value:
    return tuple(line for line in _lines(value, "REMOVE_EMPTY") if line.points)


def _count_points(value: Value) -> Value:
    if isinstance(value, Line):
        return float(len(value.points))
    return _reducer(lambda found: float(len(found)))(value)


def _count_lines(value: Value) -> Value:
    return float(len(_lines(value, "METRIC_COUNT")))


def _period(value: Value) -> Value:
    if isinstance(value, Line):
        return float(value.period)
    raise ExpressionError("PERIOD takes one metric")


def _pick(index: int) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        lines = _lines(value, "FIRST and LAST")
        if not lines:
            raise ExpressionError("FIRST and LAST need at least one time series")
        return lines[index]

    return apply


def _slice(value: Value, start: Value, end: Value | None = None) -> Value:
    lines = _lines(value, "SLICE")
    if not isinstance(start, float) or not isinstance(end, float | None):
        raise ExpressionError("SLICE takes an array and one or two whole numbers")
    return lines[int(start)] if end is None else lines[int(start) : int(end)]


_PLAIN: dict[str, tuple[Callable[..., Value], int, int]] = {
    "ABS": (_of_each(abs), 1, 1),
    "CEIL": (_of_each(math.ceil), 1, 1),
    "FLOOR": (_of_each(math.floor), 1, 1),
    "LOG": (_logarithm(math.log), 1, 1),
    "LOG10": (_logarithm(math.log10), 1, 1),
    "AVG": (_reducer(statistics.fmean), 1, 1),
    "MAX": (_reducer(max), 1, 1),
    "MIN": (_reducer(min), 1, 1),
    "SUM": (_reducer(math.fsum), 1, 1),
    "STDDEV": (_reducer(statistics.pstdev), 1, 1),
    "DATAPOINT_COUNT": (_count_points, 1, 1),
    "METRIC_COUNT": (_count_lines, 1, 1),
    "DIFF": (_steps(lambda before, now: now[1] - before[1]), 1, 1),
    "DIFF_TIME": (_steps(lambda before, now: float(now[0] - before[0])), 1, 1),
    "RATE": (_steps(lambda before, now: (now[1] - before[1]) / (now[0] - before[0])), 1, 1),
    "RUNNING_SUM": (_on_lines(_running), 1, 1),
    "FIRST": (_pick(0), 1, 1),
    "LAST": (_pick(-1), 1, 1),
    "SLICE": (_slice, 2, 3),
    "REMOVE_EMPTY": (_remove_empty, 1, 1),
    "PERIOD": (_period, 1, 1),
    "EPOCH": (_moment(datetime.timestamp), 1, 1),
    "MINUTE": (_moment(lambda m: m.minute), 1, 1),
    "HOUR": (_moment(lambda m: m.hour), 1, 1),
    "DAY": (_moment(lambda m: m.isoweekday()), 1, 1),
    "DATE": (_moment(lambda m: m.day), 1, 1),
    "MONTH": (_moment(lambda m: m.month), 1, 1),
    "YEAR": (_moment(lambda m: m.year), 1, 1),
}


def _if(arguments: list[ast.expr], context: Context) -> Value:
    if len(arguments) not in {2, 3}:
        raise ExpressionError(f"IF takes 2 or 3 arguments, got {len(arguments)}")
    condition, *branches = [_walk(argument, context) for argument in arguments]
    if isinstance(condition, float):
        return branches[0] if condition else (branches[1] if len(branches) > 1 else Line("IF", context.period))
    if isinstance(condition, tuple):
        raise ExpressionError("the condition of IF is one time series or a number, not an array")
    points: dict[int, float] = {}
    for at, holds in condition.points.items():
        branch = branches[0] if holds else branches[1] if len(branches) > 1 else None
        value = branch if isinstance(branch, float) else branch.points.get(at) if isinstance(branch, Line) else None
        if value is not None:
            points[at] = value
    return replace(condition, points=points)


def _fill(arguments: list[ast.expr], context: Context) -> Value:
    if len(arguments) != 2:
        raise ExpressionError(f"FILL takes 2 arguments, got {len(arguments)}")
    value = _walk(arguments[0], context)
    how: str | Value = ""
    match arguments[1]:
        case ast.Name(id="REPEAT" | "LINEAR" as word):
            how = word
        case other:
            how = _walk(other, context)
    if isinstance(how, tuple):
        raise ExpressionError("FILL fills with a number, one time series, REPEAT or LINEAR")
    return _on_lines(lambda line: _filled(line, how, context.grid()))(value)


def _filled(line: Line, how: str | float | Line, grid: range) -> Line:
    points = dict(line.points)
    gaps = [at for at in grid if at not in points]
    known = sorted(line.points)
    for at in gaps:
        before = max((k for k in known if k < at), default=None)
        after = min((k for k in known if k > at), default=None)
        if isinstance(how, float):
            points[at] = how
        elif isinstance(how, Line):
            if at in how.points:
                points[at] = how.points[at]
        elif before is not None and how == "REPEAT":
            points[at] = line.points[before]
        elif before is not None and after is not None:
            share = (at - before) / (after - before)
            points[at] = line.points[before] + share * (line.points[after] - line.points[before])
    return replace(line, points=points)


def _sort(arguments: list[ast.expr], context: Context) -> Value:
    words = [argument.id if isinstance(argument, ast.Name) else "" for argument in arguments[1:3]]
    if len(words) != 2 or words[0] not in {"AVG", "MIN", "MAX", "SUM"} or words[1] not in {"ASC", "DESC"}:
        raise ExpressionError("SORT is written SORT(array, AVG|MIN|MAX|SUM, ASC|DESC[, count])")
    lines = _lines(_walk(arguments[0], context), "SORT")

    def rank(line: Line) -> float:
        found = _PLAIN[words[0]][0](line)
        return found if isinstance(found, float) and not math.isnan(found) else -math.inf

    ordered = tuple(sorted(lines, key=rank, reverse=words[1] == "DESC"))
    limit = _walk(arguments[3], context) if len(arguments) > 3 else float(len(ordered))
    return ordered[: int(limit)] if isinstance(limit, float) else ordered


def _metrics(arguments: list[ast.expr], context: Context) -> Value:
    wanted = ""
    match arguments:
        case []:
            pass
        case [ast.Constant(value=str() as wanted)]:
            pass
        case _:
            raise ExpressionError("METRICS takes nothing, or a text that ids must contain")
    chosen = [context.named[name] for name in context.metrics if wanted in name]
    return tuple(line for value in chosen for line in _lines(value, "METRICS"))


def _search(arguments: list[ast.expr], context: Context) -> Value:
    match arguments:
        case [ast.Constant(value=str() as term), ast.Constant(value=str() as stat), *rest]:
            period = _walk(rest[0], context) if rest else float(context.period)
            if isinstance(period, float):
                return context.search(term, stat, int(period))
    raise ExpressionError("SEARCH is written SEARCH(' {Namespace,Dimension} words ', 'Statistic', period)")


def _time_series(arguments: list[ast.expr], context: Context) -> Value:
    number = _walk(arguments[0], context) if len(arguments) == 1 else None
    if not isinstance(number, float):
        raise ExpressionError("TIME_SERIES takes one number")
    return Line("expression", context.period, dict.fromkeys(context.grid(), number))


_SPECIAL: dict[str, Callable[[list[ast.expr], Context], Value]] = {
    "IF": _if,
    "FILL": _fill,
    "SORT": _sort,
    "METRICS": _metrics,
    "SEARCH": _search,
    "TIME_SERIES": _time_series,
}
