"""The reference of what people write and call, from the code itself: settings, gates, and the Python API."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from delivery import gates
from delivery.cli.reference import every_command
from delivery.platform import VERBS, Platform
from stacks import settings

SETTINGS = """# Settings

Written from `stacks/settings.py`. They stand in `Pulumi.ENVIRONMENT.yaml` under `config`, `slipway:platform`. A key
that is not here is refused with the nearest that is, and all mistakes are told together. `NAME` is a name of your own.

{groups}
"""
GATES = """# Gates

Written from `delivery/gates.py`. They stand in `gates/MODEL.yaml`, a list under `gates`, each with its `kind` and these
keys; [the how-to](../howto/gates.md) tells how they are judged. A key that is not here is refused.

{groups}
"""
PYTHON = """# Python

Written from `delivery/platform.py`. `slipway.Platform` is one environment and everything that can be done with it; each
method does what a command of [the command line](commands.md) does, where one is named.
[The how-to](../howto/use-it-from-python.md) shows it in use.

```python
from slipway import Platform

assert Platform.deploy
```

{methods}
"""
# What a setting has to look like, by what reads it.
READ: Mapping[str, str] = {
    "account_text": "an account id, in quotes",
    "true_or_false": "true or false",
    "region_text": "a region",
    "model_name": "a name of small letters, digits and hyphens",
    "image_digest": "a digest, or an ECR image by digest",
    "s3_uri": "`s3://bucket/prefix`",
    "cron": "`cron(…)` of six fields, or `rate(…)`",
    "principal": "the ARN of a role, user or account",
    "email": "an e-mail address",
    "runbooks_address": "an https address, or a folder of the repository",
    "serving_type": "an instance type priced for endpoints",
    "training_type": "an instance type priced for jobs",
    "metric_name": "a metric of the evaluation",
    "signal_key": "a watched [signal](../signals.md)",
}
PLAIN: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
BOUNDS = ((Ge, "at least", "ge"), (Gt, "above", "gt"), (Le, "at most", "le"), (Lt, "below", "lt"))


class Key(NamedTuple):
    """One key of a group, as a row."""

    name: str
    takes: str
    default: str
    says: str

    @property
    def cells(self) -> tuple[str, str, str, str]:
        return f"`{self.name}`", self.takes.replace("|", "\\|"), self.default, self.says


# Types in words ------------------------------------------------------------------------------------


def words(given: Any) -> str:  # noqa: PLR0911 - a line per kind of type
    """A type as people read it."""
    kind, parts = get_origin(given), get_args(given)
    if kind is Annotated:
        return annotated(given)
    if kind is Literal:
        return ", ".join(f"`{each}`" for each in parts)
    if kind in (Union, types.UnionType):
        return " or ".join(map(words, parts))
    if kind in (list, tuple):
        return f"a list, each {words(parts[0])}"
    if kind is dict:
        return f"by {words(parts[0])}: {words(parts[1])}"
    if isinstance(given, type) and issubclass(given, BaseModel):
        return "a group"
    return PLAIN[given]


def annotated(given: Any) -> str:
    """A type with what limits it: the validator that reads it, or bounds."""
    of, *limits = get_args(given)
    reads = [READ[each.func.__name__] for each in limits if isinstance(each, BeforeValidator)]
    if reads:
        return reads[0]
    found = [bound for each in limits if isinstance(each, FieldInfo) for bound in bounds(each.metadata)]
    return f"{words(of)}{', ' if found else ''}{', '.join(found)}"


def bounds(limits: list[Any]) -> Iterator[str]:
    for limit in limits:
        for kind, said, name in BOUNDS:
            if isinstance(limit, kind):
                yield f"{said} {getattr(limit, name):g}"
        if isinstance(limit, MinLen):
            yield f"{limit.min_length} or more"
        if pattern := getattr(limit, "pattern", None):
            yield f"like `{pattern}`"


# Models as tables ----------------------------------------------------------------------------------


def keys(model: type[BaseModel], said: Mapping[str, str]) -> Iterator[Key]:
    """The keys of a group, each with what it takes, its default and what it says."""
    hints = get_type_hints(model, include_extras=True)
    for name, each in model.model_fields.items():
        yield Key(name, words(hints[name]), default(each), said.get(name) or each.description or "")


def default(given: FieldInfo) -> str:
    if given.is_required():
        return "required"
    if isinstance(given.default, BaseModel):
        return "its own defaults"
    return "none" if given.default in ([], {}) else f"`{plain(given.default)}`"


def plain(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def said_by(module: types.ModuleType) -> dict[str, dict[str, str]]:
    """The sentence below each field of a module's classes, by class and field."""
    classes = [each for each in ast.parse(inspect.getsource(module)).body if isinstance(each, ast.ClassDef)]
    return {each.name: dict(sentences(each)) for each in classes}


def sentences(of: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(of.body, of.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, text


def section(title: str, about: str, rows: list[Key]) -> str:
    columns = 4 if any(each.says for each in rows) else 3
    lines = (("key", "takes", "default", "what it says"), ("---",) * 4, *(each.cells for each in rows))
    table = "\n".join(f"| {' | '.join(cells[:columns])} |" for cells in lines)
    return f"## {title}\n\n{about}\n\n{table}"


def groups(
    model: type[BaseModel], path: str, about: str, said: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str, list[Key]]]:
    """A group of settings, then those inside it, each by the path that leads to it."""
    rows = list(keys(model, said[model.__name__]))
    yield path, about, rows
    for row in rows:
        for inner, below in inside(get_type_hints(model)[row.name]):
            yield from groups(inner, ".".join(filter(None, (path, row.name, below))), row.says, said)


def inside(given: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """The groups in a type, and what stands between its key and theirs."""
    if isinstance(given, type) and issubclass(given, BaseModel):
        yield given, ""
    elif get_origin(given) is dict:
        yield from ((inner, "NAME") for inner, _ in inside(get_args(given)[1]))
    elif get_origin(given) in (Union, types.UnionType):
        for each in get_args(given):
            yield from inside(each)


# Pages ---------------------------------------------------------------------------------------------


def settings_page() -> str:
    found = groups(settings.Settings, "", "What stands at the top.", said_by(settings))
    return SETTINGS.format(
        groups="\n\n".join(
            section(f"`{path}`" if path else "The environment", about, rows) for path, about, rows in found
        )
    )


def gates_page() -> str:
    said = said_by(gates)
    kinds: tuple[type[BaseModel], ...] = get_args(get_args(gates.Gate)[0])
    return GATES.format(groups="\n\n".join(gate_section(each, said) for each in kinds))


def gate_section(kind: type[BaseModel], said: Mapping[str, Mapping[str, str]]) -> str:
    inherited = [each for each in kind.__mro__[1:] if each.__module__ == gates.__name__]
    about = " ".join(inspect.getdoc(each) or "" for each in (kind, *inherited))
    below = {name: text for each in (*reversed(inherited), kind) for name, text in said.get(each.__name__, {}).items()}
    rows = [each for each in keys(kind, below) if each.name != "kind"]
    return section(f"`{kind.model_fields['kind'].default}`", about, rows)


def python_page() -> str:
    methods = [
        each for each in vars(Platform).values() if inspect.isfunction(each) and not each.__name__.startswith("_")
    ]
    return PYTHON.format(methods="\n\n".join(map(method, methods)))


def method(of: types.FunctionType) -> str:
    """A method by its signature and its first line; without one, by what its command says."""
    verbs = [verb for verb, name in VERBS.items() if name == of.__name__]
    says = inspect.getdoc(of) or (every_command()[verbs[0]].help if verbs else "") or ""
    typed = f" As `slipway {verbs[0]}`." if verbs else ""
    told = says.strip().partition("\n")[0] + typed
    return f"### {of.__name__}\n\n```text\n{signature(of)}\n```\n\n{told.strip()}".rstrip()


def signature(of: types.FunctionType) -> str:
    """A method's parameters as its source spells them."""
    source = ast.parse(textwrap.dedent(inspect.getsource(of)))
    node = next(each for each in source.body if isinstance(each, ast.FunctionDef))
    node.args.args = node.args.args[1:]
    answers = ast.unparse(node.returns) if node.returns else "None"
    return f"{node.name}({ast.unparse(node.args)}) -> {answers}"
