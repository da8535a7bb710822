"""Folders of files, on disk or in S3, read and written the same way."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit


class StorageError(OSError):
    """A place cannot be read or written; the text names it."""


class Folder(Protocol):
    """Files below one place; names are relative, with forward slashes."""

    def names(self, under: str = "") -> list[str]: ...
    def read(self, name: str) -> bytes: ...
    def content(self, name: str) -> bytes | Path: ...
    def modified(self, name: str) -> datetime: ...
    def write(self, name: str, content: bytes, content_type: str = "application/json") -> None: ...
    def on_disk(self, name: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder of the file system."""

    root: Path

    def names(self, under: str = "") -> list[str]:
        start = self.root / under
        found = [start] if start.is_file() else [path for path in start.rglob("*") if path.is_file()]
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as problem:
            raise StorageError(f"cannot read {self.root / name}: {problem.strerror}") from problem

    def content(self, name: str) -> Path:
        """What can be read where it is."""
        return self.root / name

    def modified(self, name: str) -> datetime:
        return datetime.fromtimestamp((self.root / name).stat().st_mtime, UTC)

    def write(self, name: str, content: bytes, content_type: str = "application/json") -> None:
        del content_type
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(content)
        partial.replace(path)  # a reader sees the old file or the new one, never half of it

    @contextmanager
    def on_disk(self, name: str) -> Iterator[Path]:
        yield self.root / name


@dataclass(frozen=True)
class Bucket:
    """The objects below a prefix of an S3 bucket."""

    bucket: str
    prefix: str
    connect: Callable[[], Any]

    @cached_property
    def client(self) -> Any:
        return self.connect()

    def __reduce__(self) -> tuple[type[Bucket], tuple[str, str, Callable[[], Any]]]:
        """Another process connects by itself."""
        return Bucket, (self.bucket, self.prefix, self.connect)

    def names(self, under: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + under)
        keys = (each["Key"] for page in pages for each in page.get("Contents", ()))
        return sorted(key.removeprefix(self.prefix) for key in keys if not key.endswith("/"))

    def read(self, name: str) -> bytes:
        from botocore.exceptions import ClientError

        try:
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
        except ClientError as problem:
            raise StorageError(f"cannot read s3://{self.bucket}/{self.prefix}{name}: {problem}") from problem
        return body

    def content(self, name: str) -> bytes:
        return self.read(name)

    def modified(self, name: str) -> datetime:
        found: datetime = self.client.head_object(Bucket=self.bucket, Key=self.prefix + name)["LastModified"]
        return found

    def write(self, name: str, content: bytes, content_type: str = "application/json") -> None:
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=content, ContentType=content_type)

    @contextmanager
    def on_disk(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            self.client.download_file(self.bucket, self.prefix + name, str(path))
            yield path


def s3_client() -> Any:
    """S3 at AWS_ENDPOINT_URL when that is set, with paths instead of host names there."""
    import boto3
    from botocore.config import Config

    style: Literal["path", "auto"] = "path" if os.environ.get("AWS_ENDPOINT_URL") else "auto"
    return boto3.client(
        "s3", config=Config(s3={"addressing_style": style}, retries={"mode": "standard", "max_attempts": 5})
    )


def folder(place: str | Path, connect: Callable[[], Any] = s3_client) -> Folder:
    """`s3://bucket/prefix` or a path."""
    parts = urlsplit(str(place))
    if parts.scheme == "s3":
        prefix = parts.path.lstrip("/")
        return Bucket(parts.netloc, prefix if not prefix or prefix.endswith("/") else prefix + "/", connect)
    if parts.scheme and len(parts.scheme) > 1:
        raise StorageError(f"'{place}': expected a path or s3://bucket/prefix, not {parts.scheme}://")
    return Disk(Path(place))


def file(place: str | Path, connect: Callable[[], Any] = s3_client) -> tuple[Folder, str]:
    """The folder and the name of one file."""
    parent, _, name = str(place).rpartition("/")
    return folder(parent or ".", connect), name


def read_json(place: str | Path, connect: Callable[[], Any] = s3_client) -> dict[str, Any]:
    """The JSON object in a file."""
    where, name = file(place, connect)
    try:
        document = json.loads(where.read(name))
    except (ValueError, RecursionError) as problem:
        raise StorageError(f"{place} is not JSON: {problem}") from None
    if not isinstance(document, dict):
        raise StorageError(f"{place} holds a JSON {type(document).__name__}, expected an object")
    return document


def listing(place: str | Path, connect: Callable[[], Any] = s3_client) -> tuple[Folder, list[str]]:
    """A folder and the files in it, or a folder and the one file that was named; hidden ones are left out."""
    parent, name = file(place, connect)
    if "." in name and name in parent.names(name):
        return parent, [name]
    where = folder(place, connect)
    return where, [each for each in where.names() if not each.rsplit("/", 1)[-1].startswith((".", "_"))]
