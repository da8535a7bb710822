"""Reads from a Dockerfile what its last stage would run.

Only what decides the program is read: FROM, ARG, ENV, WORKDIR, ENTRYPOINT, CMD, and the lock that a
`-r requirements/<name>.txt` in a RUN line installs.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

_LOCK = re.compile(r"(?:-r|--requirement)[ =]\s*(\S+\.txt)")
_VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")


@dataclass(frozen=True)
class Program:
    """What an image runs."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    workdir: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    lock: str | None = None


def parse(text: str) -> Program:
    """The program of a Dockerfile's last stage; a stage built FROM an earlier one starts with what that one had.

    The lock may be installed in any stage: what is installed there is copied into the last one.
    """
    stages: dict[str, Program] = {}
    arguments: dict[str, str] = {}
    program, name, lock = Program(), "", None
    for instruction, rest in _instructions(text):
        if instruction == "FROM":
            stages[name] = program
            words = [word for word in rest.split() if not word.startswith("--")]
            program = stages.get(words[0].lower(), Program())
            name = words[2].lower() if len(words) == 3 else str(len(stages))
        elif instruction == "ARG":
            arguments.update(_pairs(_expand(rest, arguments | dict(program.environment))))
        else:
            program = _apply(program, instruction, rest, arguments)
            lock = program.lock or lock
    return replace(program, lock=program.lock or lock)


def _apply(program: Program, instruction: str, rest: str, arguments: Mapping[str, str]) -> Program:
    known = {**arguments, **program.environment}
    match instruction:
        case "ENV":
            return replace(program, environment={**program.environment, **dict(_pairs(_expand(rest, known)))})
        case "WORKDIR":
            return replace(program, workdir=posixpath.join(program.workdir, _expand(rest.strip("\"'"), known)))
        case "ENTRYPOINT":
            return replace(program, entrypoint=_words(rest), command=())
        case "CMD":
            return replace(program, command=_words(rest))
        case "RUN":
            found = _LOCK.findall(rest)
            return replace(program, lock=found[-1]) if found else program
        case _:
            return program


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = iter(text.splitlines())
    for first in lines:
        line = first.strip()
        if not line or line.startswith("#"):
            continue
        while line.endswith("\\"):
            following = next(lines, "").strip()
            if not following.startswith("#"):
                line = f"{line[:-1].rstrip()} {following}" if following else line[:-1]
        instruction, _, rest = line.partition(" ")
        for end in _HEREDOC.findall(rest) if instruction.upper() in {"RUN", "COPY", "ADD"} else ():
            for body in lines:
                if body.strip() == end:
                    break
                rest += "\n" + body
        yield instruction.upper(), rest.strip()


def _words(rest: str) -> tuple[str, ...]:
    """The exec form as it is; the shell form as the shell docker puts in front of it."""
    if rest.startswith("["):
        return tuple(str(word) for word in json.loads(rest))
    return ("/bin/sh", "-c", rest)


def _pairs(rest: str) -> Iterator[tuple[str, str]]:
    words = shlex.split(rest)
    if words and "=" not in words[0] and len(words) > 1:  # the old form: ENV NAME the rest is the value
        yield words[0], rest.split(None, 1)[1]
        return
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            yield key, value


def _expand(text: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match.group(0) == "\\$":
            return "$"
        found = known.get(match.group(1) or match.group(2))
        rule, word = match.group(3) or "", match.group(4) or ""
        present = found is not None and not (rule.startswith(":") and found == "")
        if rule.endswith("+"):
            return word if present else ""
        return found or "" if present else word

    return _VARIABLE.sub(value, text)
