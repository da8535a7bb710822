"""Moving objects between S3 and folders, as jobs do: prefixes, manifests, shards, archives."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from localaws.aws import Clients


class NoObjectsError(Exception):
    """Nothing is at an S3 address, or the bucket is not there."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object and where it belongs below the folder it is fetched into."""

    bucket: str
    key: str
    relative: str
    size: int = 0


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def join(uri: str, *parts: str) -> str:
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def relative(prefix: str, key: str) -> str:
    """A key's path below its prefix; a prefix that is the whole key, or stops within a name, keeps the last name."""
    folder = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    return key[len(folder) :] if key.startswith(folder) else key[prefix.rfind("/") + 1 :]


def shard(found: list[Stored], index: int, count: int) -> list[Stored]:
    """About 1/n of the objects, by key order."""
    return sorted(found, key=lambda item: item.key)[index::count]


class Objects:
    """S3 as one account and region sees it, or as one role does where permissions are enforced."""

    def __init__(self, clients: Clients, account: str, region: str, role: str | None = None) -> None:
        self._s3 = clients.get("s3", account, region, role)
        self.role = role

    def find(self, uri: str, kind: str = "S3Prefix") -> list[Stored]:
        """The objects below a prefix, or those a manifest lists; folders' own placeholders are left out."""
        try:
            return list(self._manifest(uri) if kind == "ManifestFile" else self._below(uri))
        except ClientError as error:
            raise NoObjectsError(f"{uri}: {error.response['Error'].get('Message', error)}") from error

    def _below(self, uri: str) -> Iterator[Stored]:
        bucket, prefix = split(uri)
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):
                    yield Stored(bucket, item["Key"], relative(prefix, item["Key"]), item["Size"])

    def _manifest(self, uri: str) -> Iterator[Stored]:
        head, *names = json.loads(self.read(uri))
        bucket, prefix = split(head["prefix"])
        for name in names:
            yield Stored(bucket, prefix + name, name)

    def fetch(self, found: Iterable[Stored], folder: Path) -> int:
        """Put objects into a folder, relative paths kept; tells how many."""
        folder.mkdir(parents=True, exist_ok=True)

        def one(item: Stored) -> None:
            path = folder / PurePosixPath(item.relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(self._s3.get_object(Bucket=item.bucket, Key=item.key)["Body"], file, 1 << 20)

        items = list(found)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, items))
        return len(items)

    def read(self, uri: str) -> bytes:
        bucket, key = split(uri)
        return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def write(self, uri: str, body: bytes, *, key_id: str | None = None, content_type: str = "") -> None:
        bucket, key = split(uri)
        more: dict[str, Any] = _encryption(key_id) | ({"ContentType": content_type} if content_type else {})
        self._s3.put_object(Bucket=bucket, Key=key, Body=body, **more)

    def send(self, file: Path, uri: str, *, key_id: str | None = None) -> None:
        bucket, key = split(uri)
        with file.open("rb") as body:
            self._s3.put_object(Bucket=bucket, Key=key, Body=body, **_encryption(key_id))

    def send_folder(self, folder: Path, uri: str, *, key_id: str | None = None) -> int:
        """Every file below a folder, as it is; symbolic links stay behind, as on SageMaker."""
        files = list(files_in(folder))
        for file in files:
            self.send(file, join(uri, file.relative_to(folder).as_posix()), key_id=key_id)
        return len(files)


def _encryption(key_id: str | None) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id} if key_id else {}


def files_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def archive(folders: Iterable[Path], path: Path) -> bool:
    """Pack the contents of folders into one tar.gz, members relative; False when there is nothing to pack."""
    named: Mapping[str, Path] = {
        file.relative_to(folder).as_posix(): file for folder in folders for file in files_in(folder)
    }
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name in sorted(named):
            tar.add(named[name], arcname=name)
    return bool(named)


def unpack(path: Path, folder: Path) -> None:
    """A tar.gz into a folder, refusing members that point out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "r:*") as tar:
        tar.extractall(folder, filter="data")
