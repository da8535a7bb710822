"""An artifact: a folder that its manifest vouches for, packed as model.tar.gz; equal content gives equal bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from contract.places import MANIFEST
from contract.records import Manifest, RecordError

LARGEST_UNPACKED = 10 * 1024**3
PIECE = 1024 * 1024


class ArtifactError(Exception):
    """An artifact cannot be trusted or read; the text says which file and why."""


def hash_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def files_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below the folder but the manifest; links and other oddities are refused."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArtifactError(f"'{name}' is neither a file nor a folder: an artifact holds plain files only")
        if path.is_file() and name != MANIFEST:
            found[name] = hash_of(path)
    return found


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest beside the files that are there now, vouching for each."""
    sealed = replace(manifest, files=files_of(folder))
    text = json.dumps(sealed.to_json(), indent=1, sort_keys=True, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n")
    return sealed


def read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        found = ", ".join(sorted(each.name for each in folder.iterdir())) if folder.is_dir() else "no such folder"
        raise ArtifactError(
            f"no {MANIFEST} in '{folder}' (found: {found or 'nothing'}): this is no artifact of Slipway, "
            "or model.tar.gz was packed with a folder around its files"
        )
    try:
        return Manifest.from_json(json.loads(path.read_bytes()))
    except (ValueError, TypeError, KeyError, RecordError) as problem:
        raise ArtifactError(f"the {MANIFEST} in '{folder}' cannot be read: {problem}") from problem


def verify(folder: Path) -> Manifest:
    """The manifest, once every file is found to be what it vouches for and nothing else is there."""
    manifest = read_manifest(folder)
    found = files_of(folder)
    problems = [f"'{name}' is missing" for name in sorted(set(manifest.files) - set(found))]
    problems += [f"'{name}' is not in the manifest" for name in sorted(set(found) - set(manifest.files))]
    problems += [
        f"'{name}' is not what the manifest vouches for"
        for name in sorted(set(found) & set(manifest.files))
        if found[name] != manifest.files[name]
    ]
    if problems:
        raise ArtifactError(
            f"the artifact in '{folder}' is refused: {'; '.join(problems)}. "
            "Nothing of it was loaded; fetch it again, or train again if it was changed by hand."
        )
    return manifest


def pack(folder: Path, archive: Path) -> str:
    """Pack the folder without times, owners or order of creation; answer the archive's SHA-256."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as content:
                    tar.addfile(entry, content)
    return hash_of(archive)


def unpack(archive: Path | bytes, folder: Path) -> Manifest:
    """Unpack into a folder, refusing paths that leave it, links and absurd sizes; then verify."""
    folder.mkdir(parents=True, exist_ok=True)
    source = io.BytesIO(archive) if isinstance(archive, bytes) else archive.open("rb")
    try:
        with source, tarfile.open(fileobj=source, mode="r:gz") as tar:
            members = tar.getmembers()
            _check_members(members)
            tar.extractall(folder, members, filter="data")
    except (tarfile.TarError, OSError, EOFError) as problem:
        raise ArtifactError(f"the archive cannot be unpacked: {problem}") from problem
    return verify(folder)


def _check_members(members: list[tarfile.TarInfo]) -> None:
    for member in members:
        if not (member.isfile() or member.isdir()):
            raise ArtifactError(f"'{member.name}' in the archive is neither a file nor a folder")
    size = sum(member.size for member in members)
    if size > LARGEST_UNPACKED:
        raise ArtifactError(f"the archive unpacks to {size} bytes, the limit is {LARGEST_UNPACKED}")


def hash_of_sources(packages: Mapping[str, Path]) -> str:
    """One hash over the Python sources of the given packages, by name and content."""
    digest = hashlib.sha256()
    for name, folder in sorted(packages.items()):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
