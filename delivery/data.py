"""Training data as it is handed over: content-hashed, uploaded once, never changed.

A version of the data is named by the hash of its manifest: every file's path, size and SHA-256. Uploading the same
content twice costs a look, and the same hash means the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from contract.records import nearest

KINDS = (".csv", ".parquet", ".jsonl", ".json")
MANIFEST = "manifest.json"
LATEST = "latest"
TAG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
CHUNK = 1 << 20


class DataError(Exception):
    """Data cannot be handed over; the text says what was found and what is expected."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a version."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Version:
    """Data named by its content."""

    files: tuple[File, ...]

    @property
    def manifest(self) -> bytes:
        rows = [{"name": each.name, "size": each.size, "sha256": each.sha256} for each in self.files]
        return json.dumps({"files": rows}, sort_keys=True, separators=(",", ":")).encode()

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def size(self) -> int:
        return sum(each.size for each in self.files)


Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """A version in the store: when it came, what tags stand at it, and what it holds."""

    hash: str
    came: datetime
    tags: tuple[str, ...]
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Changes:
    """How one version differs from another, file by file."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def changes(old: Version, new: Version) -> Changes:
    """The files that only one has, and those whose content differs."""
    before, after = ({each.name: each.sha256 for each in side.files} for side in (old, new))
    return Changes(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(name for name in before.keys() & after.keys() if before[name] != after[name])),
    )


def version_of(place: Path) -> Version:
    """The version a file or folder holds."""
    return Version(tuple(File(name, path.stat().st_size, sha256(path)) for name, path in data_files(place)))


def data_files(place: Path) -> list[tuple[str, Path]]:
    """The data files below a place, in order, with the names they keep."""
    if not place.exists():
        raise DataError(f"there is no {place}: give a file or a folder with {', '.join(KINDS)} files.")
    found = [(place.name, place)] if place.is_file() else sorted(below(place))
    data = [(name, path) for name, path in found if path.suffix in KINDS]
    if not data:
        seen = ", ".join(name for name, _ in found[:5]) or "nothing"
        raise DataError(f"{place} holds no data: found {seen}; expected {', '.join(KINDS)} files.")
    return data


def below(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix(), path


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class DataStore:
    """The versions of one model's data in a bucket; `s3` is a boto3 client."""

    s3: Any
    bucket: str
    model: str

    def prefix(self, version_hash: str) -> str:
        return f"raw/{self.model}/{version_hash}/"

    def uri(self, version_hash: str) -> str:
        return f"s3://{self.bucket}/{self.prefix(version_hash)}files/"

    def has(self, version_hash: str) -> bool:
        """Whether all of a version is there: its manifest is written last."""
        try:
            self.s3.head_object(Bucket=self.bucket, Key=self.prefix(version_hash) + MANIFEST)
        except ClientError as problem:
            if problem.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    def put(self, place: Path, version: Version, progress: Progress) -> str:
        """Upload what is not there yet; the place it can be trained from."""
        if not self.has(version.hash):
            for name, path in data_files(place):
                key = f"{self.prefix(version.hash)}files/{name}"
                self.s3.upload_file(str(path), self.bucket, key, Callback=progress)
            self.s3.put_object(Bucket=self.bucket, Key=self.prefix(version.hash) + MANIFEST, Body=version.manifest)
        return self.uri(version.hash)

    def versions(self) -> list[tuple[str, Any]]:
        """The hashes there are, newest first, with when they came."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"raw/{self.model}/")
        manifests = [
            (each["Key"].split("/")[2], each["LastModified"])
            for page in pages
            for each in page.get("Contents", ())
            if each["Key"].endswith(f"/{MANIFEST}") and each["Key"].count("/") == 3
        ]
        return sorted(manifests, key=lambda each: each[1], reverse=True)

    def read(self, version_hash: str) -> Version:
        """A version by its hash, or by enough of its beginning to be the only one."""
        full = self.named(version_hash)
        key = self.prefix(full) + MANIFEST
        stored = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        version = Version(tuple(File(**each) for each in json.loads(stored)["files"]))
        if version.hash != full:
            raise DataError(
                f"s3://{self.bucket}/{key} was changed: its content hashes to {version.hash}. Do not use it."
            )
        return version

    def named(self, wanted: str) -> str:
        """The hash that a tag, `latest` or enough of a hash's beginning means."""
        known = [name for name, _ in self.versions()]
        if wanted == LATEST and known:
            return known[0]
        tagged = self.tags()
        return tagged[wanted] if wanted in tagged else unique(known, wanted, self.model, sorted(tagged))

    def tag(self, name: str, version_hash: str) -> str:
        """Move a tag to a version; it stands at no other."""
        if not TAG_NAME.fullmatch(name) or name == LATEST:
            raise DataError(
                f"'{name}' cannot be a tag: expected letters, digits, dots and hyphens, and not '{LATEST}'."
            )
        full = self.named(version_hash)
        self.s3.put_object(Bucket=self.bucket, Key=self.tags_prefix + name, Body=full.encode())
        return full

    def tags(self) -> dict[str, str]:
        """Every tag and the hash it stands at."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.tags_prefix)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return {
            key.removeprefix(self.tags_prefix): self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()
            for key in keys
        }

    @property
    def tags_prefix(self) -> str:
        return f"raw-tags/{self.model}/"

    def history(self) -> list[tuple[Kept, Version]]:
        """Every version with its content, newest first."""
        tagged = self.tags()
        found = []
        for name, came in self.versions():
            version = self.read(name)
            tags = tuple(sorted(tag for tag, stands_at in tagged.items() if stands_at == name))
            found.append((Kept(name, came, tags, len(version.files), version.size), version))
        return found

    def checkout(self, version_hash: str, folder: Path, progress: Progress) -> Version:
        """Bring a version back, byte for byte; what does not hash to its name is refused."""
        version = self.read(version_hash)
        for each in version.files:
            target = folder / each.name
            target.parent.mkdir(parents=True, exist_ok=True)
            key = f"{self.prefix(version.hash)}files/{each.name}"
            self.s3.download_file(self.bucket, key, str(target), Callback=progress)
            if sha256(target) != each.sha256:
                target.unlink()
                raise DataError(f"s3://{self.bucket}/{key} was changed: its content is not what the version says.")
        return version


def unique(known: Sequence[str], beginning: str, what: str, tags: Sequence[str] = ()) -> str:
    """The one version that begins so, or an error that names those there are and the nearest name."""
    matches = [name for name in known if name.startswith(beginning)]
    if len(matches) == 1 and beginning:
        return matches[0]
    some = ", ".join(name[:12] for name in known[:8]) or "none"
    problem = "fits more than one version" if len(matches) > 1 else "is no version"
    names: list[str] = [] if matches else [*tags, LATEST, *(name[: len(beginning)] for name in known)]
    raise DataError(
        f"'{beginning}' {problem} of the data of {what}.{nearest(beginning, names)} Versions: {some}. "
        f"Tags: {', '.join(tags) or 'none'}. Also: {LATEST}."
    )
