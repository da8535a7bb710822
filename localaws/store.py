"""Where resources live: in memory, and when a folder is given also in SQLite, written before the answer leaves.

Every resource belongs to one account and region. A body holds what Describe shows, in API names, with times as epoch
seconds; members that no output shape has are private to us and never leave. Bodies are replaced, not changed in place.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

Body = dict[str, Any]


class DuplicateError(Exception):
    """A resource of this kind and name is already there."""


class MissingError(Exception):
    """No resource of this kind and name."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing somebody created."""

    account: str
    region: str
    kind: str
    name: str
    arn: str
    body: Body
    created: float


Key = tuple[str, str, str, str]  # account, region, kind, name


class Store:
    """All resources of all accounts and regions."""

    def __init__(self, folder: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._rows: dict[Key, Resource] = {}
        self._kinds: dict[tuple[str, str, str], dict[str, Resource]] = {}
        self._arns: dict[str, Resource] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._file = _open(folder / "resources.sqlite") if folder else None
        if self._file:
            self._load(self._file)

    def scope(self, account: str, region: str) -> Scope:
        return Scope(self, account, region)

    def scopes(self) -> list[Scope]:
        """Every account and region that holds something."""
        with self.lock:
            return [Scope(self, *pair) for pair in sorted({(a, r) for a, r, _ in self._kinds})]

    def by_arn(self, arn: str) -> Resource | None:
        return self._arns.get(arn)

    def close(self) -> None:
        with self.lock:
            if self._file:
                self._file.close()
                self._file = None

    def _put(self, row: Resource) -> None:
        self._remember(row)
        self._write(
            "INSERT OR REPLACE INTO resources VALUES (?,?,?,?,?,?,?)",
            (row.account, row.region, row.kind, row.name, row.arn, json.dumps(row.body), row.created),
        )

    def _remember(self, row: Resource) -> None:
        self._rows[row.account, row.region, row.kind, row.name] = row
        self._kinds.setdefault((row.account, row.region, row.kind), {})[row.name] = row
        self._arns[row.arn] = row

    def _drop(self, row: Resource) -> None:
        del self._rows[row.account, row.region, row.kind, row.name]
        del self._kinds[row.account, row.region, row.kind][row.name]
        self._arns.pop(row.arn, None)
        self._tags.pop(row.arn, None)
        self._write(
            "DELETE FROM resources WHERE account=? AND region=? AND kind=? AND name=?",
            (row.account, row.region, row.kind, row.name),
        )
        self._write("DELETE FROM tags WHERE arn=?", (row.arn,))

    def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        if self._file:
            self._file.execute(sql, values)

    def _load(self, file: sqlite3.Connection) -> None:
        for account, region, kind, name, arn, body, created in file.execute(
            "SELECT account, region, kind, name, arn, body, created FROM resources ORDER BY rowid"
        ):
            self._remember(Resource(account, region, kind, name, arn, json.loads(body), created))
        for arn, tags in file.execute("SELECT arn, tags FROM tags"):
            self._tags[arn] = json.loads(tags)


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    file.execute("PRAGMA journal_mode=WAL")  # a write is whole or absent whenever the process dies
    file.execute("PRAGMA synchronous=NORMAL")
    file.execute(
        "CREATE TABLE IF NOT EXISTS resources (account TEXT, region TEXT, kind TEXT, name TEXT, arn TEXT, body TEXT,"
        " created REAL, PRIMARY KEY (account, region, kind, name))"
    )
    file.execute("CREATE TABLE IF NOT EXISTS tags (arn TEXT PRIMARY KEY, tags TEXT)")
    return file


@dataclass(frozen=True, slots=True)
class Scope:
    """The resources of one account in one region."""

    store: Store
    account: str
    region: str

    def arn(self, path: str, service: str = "sagemaker") -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{path}"

    def add(
        self, kind: str, name: str, arn: str, body: Body, *, created: float, tags: Mapping[str, str] | None = None
    ) -> Resource:
        """Keep a new resource; the name must be free."""
        with self.store.lock:
            if self.get(kind, name):
                raise DuplicateError(f"{kind} {name}")
            row = Resource(self.account, self.region, kind, name, arn, body, created)
            self.store._put(row)  # noqa: SLF001  one concept in two classes
            if tags:
                self.tag(arn, tags)
            return row

    def get(self, kind: str, name: str) -> Resource | None:
        return self.store._rows.get((self.account, self.region, kind, name))  # noqa: SLF001

    def all(self, kind: str) -> list[Resource]:
        """All of a kind, oldest first."""
        with self.store.lock:
            return list(self.store._kinds.get((self.account, self.region, kind), {}).values())  # noqa: SLF001

    def update(self, kind: str, name: str, change: Mapping[str, Any] | Callable[[Body], Body]) -> Resource:
        """Replace members of the body (a mapping; None removes one), or the whole body (a function of the old one)."""
        with self.store.lock:
            row = self.get(kind, name)
            if row is None:
                raise MissingError(f"{kind} {name}")
            body = change(row.body) if callable(change) else _merged(row.body, change)
            row = replace(row, body=body)
            self.store._put(row)  # noqa: SLF001
            return row

    def remove(self, kind: str, name: str) -> Resource:
        with self.store.lock:
            row = self.get(kind, name)
            if row is None:
                raise MissingError(f"{kind} {name}")
            self.store._drop(row)  # noqa: SLF001
            return row

    def tags(self, arn: str) -> dict[str, str]:
        return dict(self.store._tags.get(arn, {}))  # noqa: SLF001

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        self._set_tags(arn, {**self.tags(arn), **tags})

    def untag(self, arn: str, keys: Iterator[str] | list[str]) -> None:
        gone = set(keys)
        self._set_tags(arn, {key: value for key, value in self.tags(arn).items() if key not in gone})

    def _set_tags(self, arn: str, tags: dict[str, str]) -> None:
        with self.store.lock:
            self.store._tags[arn] = tags  # noqa: SLF001
            self.store._write("INSERT OR REPLACE INTO tags VALUES (?,?)", (arn, json.dumps(tags)))  # noqa: SLF001


def _merged(body: Body, change: Mapping[str, Any]) -> Body:
    return {key: value for key, value in {**body, **change}.items() if value is not None}
