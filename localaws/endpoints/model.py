"""What a variant serves: the containers of its model, and their files brought from S3 to a folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localaws import kinds, resources
from localaws.models import containers
from localaws.objects import NoObjectsError, Objects, unpack
from localaws.store import Body, Scope


class ModelDataError(Exception):
    """A model's files cannot be fetched or unpacked; the text becomes the endpoint's failure reason."""


@dataclass(frozen=True)
class ServedContainer:
    """One container of a model."""

    hostname: str
    image: str
    environment: Mapping[str, str]
    data_url: str | None = None  # a tar.gz, or the prefix of a multi-model container
    data_source: Mapping[str, Any] | None = None  # ModelDataSource.S3DataSource
    more_data: tuple[tuple[str, Mapping[str, Any]], ...] = ()  # channel name, S3DataSource
    multi_model: bool = False
    caches: bool = True


@dataclass(frozen=True)
class ServedModel:
    """A model as an instance runs it."""

    name: str
    containers: tuple[ServedContainer, ...]
    role: str
    direct: bool = False  # each request names its container; otherwise it passes through all of them in order
    isolated: bool = False

    def index_of(self, hostname: str | None) -> int | None:
        """Which container a request that names one is for."""
        names = [container.hostname for container in self.containers]
        return names.index(hostname) if hostname in names else None


def read_model(scope: Scope, name: str) -> ServedModel:
    body = resources.find(kinds.MODEL, scope, name).body
    found = [inner for given in containers(body) for inner in _resolved(scope, given)]
    mode = (body.get("InferenceExecutionConfig") or {}).get("Mode", "Serial")
    return ServedModel(
        name=name,
        containers=tuple(_container(given, index, len(found)) for index, given in enumerate(found)),
        role=body.get("ExecutionRoleArn", ""),
        direct=mode == "Direct",
        isolated=body.get("EnableNetworkIsolation", False),
    )


def _resolved(scope: Scope, given: Body) -> list[Body]:
    """A container that names a model package stands for the package's own containers."""
    package = given.get("ModelPackageName")
    if not package:
        return [given]
    specification = resources.find(kinds.MODEL_PACKAGE, scope, package).body.get("InferenceSpecification", {})
    asked = given.get("Environment", {})
    return [
        {**inner, "Environment": {**inner.get("Environment", {}), **asked}}
        for inner in specification.get("Containers", ())
    ]


def _container(given: Mapping[str, Any], index: int, count: int) -> ServedContainer:
    multi = given.get("MultiModelConfig") or {}
    return ServedContainer(
        hostname=given.get("ContainerHostname") or ("primary" if count == 1 else f"container-{index + 1}"),
        image=given["Image"],
        environment=given.get("Environment") or {},
        data_url=given.get("ModelDataUrl") or None,
        data_source=(given.get("ModelDataSource") or {}).get("S3DataSource"),
        more_data=tuple(
            (more["ChannelName"], more["S3DataSource"]) for more in given.get("AdditionalModelDataSources") or ()
        ),
        multi_model=given.get("Mode") == "MultiModel",
        caches=multi.get("ModelCacheSetting", "Enabled") == "Enabled",
    )


class ModelFiles:
    """Fetches a model's files once, and gives each instance a copy of its own."""

    def __init__(self, objects: Objects, folder: Path) -> None:
        self._objects = objects
        self._folder = folder

    def fetch(self, model: ServedModel) -> None:
        for index, container in enumerate(model.containers):
            folder = self._folder / str(index)
            if folder.exists():
                continue
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            (part / "model").mkdir(parents=True)
            self._fetch_one(container, part)
            part.rename(folder)

    def place(self, index: int, folder: Path) -> None:
        """Make `folder` the /opt/ml of one container."""
        shutil.copytree(self._folder / str(index), folder, dirs_exist_ok=True)

    def _fetch_one(self, container: ServedContainer, folder: Path) -> None:
        if container.data_url and not container.multi_model:
            self.unpack(container.data_url, folder / "model")
        if container.data_source:
            self._source(container.data_source, folder / "model")
        for channel, source in container.more_data:
            self._source(source, folder / "additional-model-data-sources" / channel)

    def _source(self, source: Mapping[str, Any], folder: Path) -> None:
        uri = source["S3Uri"]
        if source.get("CompressionType") == "Gzip":
            self.unpack(uri, folder)
            return
        try:
            found = self._objects.find(uri)
            if not found:
                raise ModelDataError(f"Could not find model data at {uri}.")
            self._objects.fetch(found, folder)
        except (ClientError, NoObjectsError) as error:
            raise self._unreachable(uri, error) from error

    def unpack(self, uri: str, folder: Path) -> None:
        """Fetch a tar.gz and unpack it."""
        folder.mkdir(parents=True, exist_ok=True)
        packed = folder.with_suffix(".tar.gz")
        try:
            packed.write_bytes(self._objects.read(uri))
            unpack(packed, folder)
        except ClientError as error:
            raise self._unreachable(uri, error) from error
        except Exception as error:
            raise ModelDataError(f"The model data at {uri} is not a tar.gz that can be unpacked: {error}.") from error
        finally:
            packed.unlink(missing_ok=True)

    def _unreachable(self, uri: str, error: Exception) -> ModelDataError:
        return ModelDataError(
            f'Could not access model data at {uri}. Please ensure that the role "{self._objects.role or ""}" exists'
            f' and that it has "s3:GetObject" permissions on the object. ({error})'
        )
