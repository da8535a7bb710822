"""A pipeline's steps as a drawing: columns by what waits for what; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.report.page import text

REFERENCE = re.compile(r'"Steps\.(\w+)[."]')
WIDTH, HEIGHT, ACROSS, DOWN = 118, 40, 44, 16


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps, and for each what it waits for."""

    needs: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, definition: str) -> Graph:
        """The graph in a pipeline's definition: what is named as needed, and what is referred to."""
        steps: list[Mapping[str, Any]] = json.loads(definition)["Steps"]
        names = {step["Name"] for step in steps}
        needs = {
            step["Name"]: frozenset(
                ({*step.get("DependsOn", ()), *REFERENCE.findall(json.dumps(step.get("Arguments", {})))} & names)
                - {step["Name"]}
            )
            for step in steps
        }
        return cls(needs)

    def columns(self) -> list[list[str]]:
        """Steps by how many others come before them at least."""
        depth: dict[str, int] = {}
        while len(depth) < len(self.needs):
            ready = [name for name, needs in self.needs.items() if name not in depth and needs <= depth.keys()]
            if not ready:  # what waits for itself cannot be drawn better
                ready = [name for name in self.needs if name not in depth]
            level = {name: 1 + max((depth.get(each, -1) for each in self.needs[name]), default=-1) for name in ready}
            depth.update(level)
        return [[name for name in self.needs if depth[name] == at] for at in range(max(depth.values(), default=-1) + 1)]

    def arrows(self) -> list[tuple[str, str]]:
        """What is drawn: needs that no longer way implies."""
        before: dict[str, set[str]] = {}
        for column in self.columns():
            for name in column:
                before[name] = set().union(*({each, *before.get(each, ())} for each in self.needs[name]))
        return [
            (need, name)
            for name, needs in self.needs.items()
            for need in sorted(needs)
            if not any(need in before.get(other, ()) for other in needs - {need})
        ]


def drawing(graph: Graph, states: Mapping[str, tuple[str, str]], label: str) -> str:
    """The graph as SVG; a state is a mood and a few words below the step's name."""
    columns = graph.columns()
    tallest = max((len(each) for each in columns), default=0)
    places: dict[str, tuple[float, float]] = {}
    for across, column in enumerate(columns):
        top = (tallest - len(column)) * (HEIGHT + DOWN) / 2
        for down, name in enumerate(column):
            places[name] = (across * (WIDTH + ACROSS), top + down * (HEIGHT + DOWN))
    lines = "".join(arrow(places[left], places[right]) for left, right in graph.arrows())
    boxes = "".join(box(name, *places[name], *states.get(name, ("", ""))) for name in places)
    width = len(columns) * (WIDTH + ACROSS) - ACROSS + 2
    height = tallest * (HEIGHT + DOWN) - DOWN + 2
    return (
        f'<div class="wide"><svg class="graph" role="img" aria-label="{text(label)}" viewBox="-1 -1 {width} {height}" '
        f'width="{width}" height="{height}">{lines}{boxes}</svg></div>'
    )


def arrow(left: tuple[float, float], right: tuple[float, float]) -> str:
    begin, end = (left[0] + WIDTH, left[1] + HEIGHT / 2), (right[0], right[1] + HEIGHT / 2)
    middle = (begin[0] + end[0]) / 2
    return f'<path d="M{begin[0]} {begin[1]}C{middle} {begin[1]} {middle} {end[1]} {end[0]} {end[1]}"/>'


def box(name: str, x: float, y: float, mood: str, words: str) -> str:
    return (
        f'<g class="step {mood}" transform="translate({x} {y})"><rect width="{WIDTH}" height="{HEIGHT}" rx="7"/>'
        f'<text x="10" y="17">{text(name)}</text><text class="small" x="10" y="32">{text(words)}</text></g>'
    )
