"""Run the platform program against a recording monitor: what it declares, without an engine and without a cloud.

Every output of a declared resource is a *reference*, a plain string that names the resource and the property. A
program that only passes outputs on, joins them or writes them into JSON documents leaves the references intact, so
what was declared can be written down for another engine with its real edges. A program that computes with an output
would compute with the reference: `unresolved` finds that.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from google.protobuf import json_format
from pulumi.runtime import config, mocks, resource, settings, stack
from pulumi.runtime.proto import resource_pb2, source_pb2
from typing_extensions import override

PROJECT = "slipway"
SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"  # noqa: S105 the wire format's own constant
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 the same
REFERENCE = re.compile(r"__ref\((?P<resource>[^()]+)\)\.(?P<property>[A-Za-z0-9]+)__")
STACK = "pulumi:pulumi:Stack"
PROVIDER = "pulumi:providers:"


class RecordingError(Exception):
    """The program could not be recorded; the text says which resource and why."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be written down in clear."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


@dataclass(frozen=True, slots=True)
class Registration:
    """One resource as the program declared it, its inputs in the provider's own camel case."""

    urn: str
    type: str
    name: str
    parent: str
    inputs: Mapping[str, Any]
    custom: bool
    provider: str = ""
    depends_on: tuple[str, ...] = ()
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    create_first: bool | None = None
    aliases: tuple[str, ...] = ()
    timeouts: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_provider(self) -> bool:
        return self.type.startswith(PROVIDER)


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything one run of the program declared, in order, and what it exports."""

    stack: str
    resources: tuple[Registration, ...]
    outputs: Mapping[str, Any]

    def named(self, name: str) -> Registration:
        for each in self.resources:
            if each.name == name and each.custom:
                return each
        raise KeyError(f"no resource named '{name}' was declared; there are {len(self.resources)}")

    def of_type(self, type_: str) -> list[Registration]:
        return [each for each in self.resources if each.type == type_]


def reference(urn: str, property_: str, mark: str = "") -> str:
    return f"__ref({mark}{urn}).{property_}__"


def references_in(value: Any) -> Iterator[tuple[str, str]]:
    """Every (resource, property) a value mentions, however deep."""
    match value:
        case str():
            for found in REFERENCE.finditer(value):
                yield found["resource"], found["property"]
        case Secret():
            yield from references_in(value.value)
        case Mapping():
            for each in value.values():
                yield from references_in(each)
        case list() | tuple():
            for each in value:
                yield from references_in(each)


P = ParamSpec("P")
T = TypeVar("T")
OutputsOf = Callable[[str], tuple[str, ...]]


class Recorder(mocks.MockMonitor):
    """A monitor that answers every registration with references; it decides nothing and calls nobody."""

    def __init__(self, outputs_of: OutputsOf, preview: bool = False, mark: str = "") -> None:
        super().__init__(_NoMocks())
        self.outputs_of = outputs_of
        self.preview = preview
        self.mark = mark
        self.recorded: list[Registration] = []
        self.exports: Mapping[str, Any] = {}
        self.names: set[tuple[str, str]] = set()

    @override
    def RegisterResource(self, request: Any) -> Any:
        if request.type == STACK:
            urn = f"stack:{request.name}"
            return resource_pb2.RegisterResourceResponse(urn=urn)
        kind, name = request.type, request.name
        urn = f"{kind}::{name}"
        if (kind, name) in self.names:
            raise RecordingError(
                f"two resources of type {kind} are named '{name}'; a name stands once per type, because state is "
                "kept by it. Put the component's name in front of it."
            )
        self.names.add((kind, name))
        self.recorded.append(registration(urn, request))
        answer = resource_pb2.RegisterResourceResponse(urn=urn)
        if request.custom and not self.preview:
            answer.id = reference(urn, "id", self.mark)
            for each in self.outputs_of(kind):
                answer.object[each] = reference(urn, each, self.mark)
        return answer

    @override
    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.startswith("stack:"):
            self.exports = plain(request.outputs)
        return super().RegisterResourceOutputs(request)

    @override
    def Invoke(self, request: Any) -> Any:
        raise RecordingError(
            f"the program asks the cloud ({request.tok}) while it declares; take the value from settings instead, "
            "so that a program can be read without an account"
        )


class _NoMocks(mocks.Mocks):
    """The base class wants these; the recorder answers for itself."""

    @override
    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(args.token)

    @override
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise NotImplementedError(args.typ)


def registration(urn: str, request: Any) -> Registration:
    inputs = plain(request.object)
    implied = {each for edges in request.propertyDependencies.values() for each in edges.urns}
    timeouts = {
        verb: getattr(request.customTimeouts, verb)
        for verb in ("create", "update", "delete")
        if getattr(request.customTimeouts, verb)
    }
    return Registration(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=request.parent,
        inputs={key: value for key, value in inputs.items() if value is not None and not key.startswith("__")},
        custom=request.custom,
        provider=request.provider.partition("::__ref(")[0],
        depends_on=tuple(sorted(set(request.dependencies) - implied)),
        protect=request.protect,
        ignore_changes=tuple(request.ignoreChanges),
        create_first=(not request.deleteBeforeReplace) if request.deleteBeforeReplaceDefined else None,
        aliases=tuple(each.spec.name for each in request.aliases if each.spec.name),
        timeouts=timeouts,
    )


def plain(value: Any) -> Any:
    """The wire's own values as Python's; secrets stay wrapped, wherever they stand."""
    return unwrapped(json_format.MessageToDict(value))


def unwrapped(value: Any) -> Any:
    match value:
        case dict() if value.get(SECRET_SIGNATURE) == SECRET:
            return Secret(unwrapped(value.get("value")))
        case dict():
            return {key: unwrapped(each) for key, each in value.items()}
        case list():
            return [unwrapped(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def record(
    program: Callable[[], None],
    name: str,
    outputs_of: OutputsOf,
    configuration: Mapping[str, str] | None = None,
    *,
    preview: bool = False,
    mark: str = "",
) -> Recording:
    """Run the program once, alone in a context and a thread of its own, and give back what it declared.

    The thread is for callers in whose own an event loop runs already, such as notebooks. A mark makes every output
    another value: two runs that differ in nothing else show where a program computes with one.
    """
    recorder = Recorder(outputs_of, preview, mark)
    with ThreadPoolExecutor(1) as alone:
        context = contextvars.Context()
        return alone.submit(context.run, _record, program, name, recorder, configuration or {}).result()


class Inline(ThreadPoolExecutor):
    """Does what it is given at once: the recorder waits for nobody, so no thread has to."""

    @override
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as problem:  # noqa: BLE001 - who asked sees it, as from a thread
            done.set_exception(problem)
        return done


@contextmanager
def unhurried_by_the_runtime() -> Iterator[None]:
    """Leave out what costs a third of a recording and nobody reads: stack traces, and garbage looked for too often."""
    traces, thresholds = resource._get_stack_trace, gc.get_threshold()  # noqa: SLF001 - the SDK has no switch for it
    resource._get_stack_trace = source_pb2.StackTrace  # type: ignore[assignment]  # noqa: SLF001
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        resource._get_stack_trace = traces  # noqa: SLF001
        gc.set_threshold(*thresholds)


async def drained(program: Callable[[], None]) -> None:
    """Run the program and wait for all it set going at once.

    The runtime would wait for one output after another among all of them, which grows with the square of their number.
    """
    asyncio.get_running_loop().set_default_executor(Inline(1))
    program()
    outputs: Any = settings.SETTINGS.outputs  # a set of tasks, behind a property of the runtime's own making
    while outputs:
        going = list(outputs)
        outputs.clear()
        await asyncio.gather(*going)


def _record(program: Callable[[], None], name: str, recorder: Recorder, configuration: Mapping[str, str]) -> Recording:
    features = set(recorder.GetDeploymentInfo(None).supportedFeatures)
    settings.configure(
        mocks.MockSettings(
            monitor=recorder,
            monitor_features=features,
            engine=mocks.MockEngine(logging.getLogger(__name__)),
            project=PROJECT,
            stack=name,
            dry_run=recorder.preview,
            organization="organization",
            root_directory=".",
            callbacks=None,
            package_refs={},
            base_providers_by_ref={},
            outputs=set(),
            parallel=None,
            legacy_apply_enabled=False,
        )
    )
    config.set_all_config(dict(configuration))
    with unhurried_by_the_runtime():
        asyncio.run(stack.run_in_stack(lambda: drained(program)))
    return Recording(name, tuple(sorted(recorder.recorded, key=lambda each: each.urn)), recorder.exports)
