"""Multi-model containers: target models are fetched, loaded and unloaded on the instance that is asked for them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from localaws.endpoints.call import Call, ModelNotReadyException, ValidationError
from localaws.endpoints.connections import Answer
from localaws.endpoints.instance import Instance
from localaws.endpoints.model import ModelDataError, ServedContainer
from localaws.objects import join

if TYPE_CHECKING:
    from localaws.endpoints.variant import Variant

ALREADY_LOADED, NO_MEMORY = 409, 507
LOAD_TIMEOUT = 60.0


def check(variant: Variant, call: Call) -> None:
    """A target model is needed where a container holds several, and refused where it does not."""
    multi = variant.model.containers[0].multi_model
    if call.target_model and not multi:
        raise ValidationError("The TargetModel header is not supported on this endpoint: it serves a single model.")
    if multi and not call.target_model:
        raise ValidationError("The TargetModel header is required: this endpoint serves several models.")


def wish(call: Call) -> Callable[[Instance], bool]:
    """An instance that has the model loaded already."""
    name = hash_of(call.target_model or "")
    return lambda instance: name in instance.loaded


def hash_of(target: str) -> str:
    """The opaque name under which a container knows a target model."""
    return hashlib.sha256(target.encode()).hexdigest()[:32]


def ask(variant: Variant, instance: Instance, call: Call, timeout: float) -> Answer:
    """Load the model where it is not, then invoke it."""
    name = hash_of(call.target_model or "")
    began = time.perf_counter()
    with instance.loading:
        hit = name in instance.loaded
        if not hit:
            _load(variant, instance, name, call.target_model or "")
        instance.loaded[name] = time.monotonic()
    variant.meter.count("ModelCacheHit", 1.0 if hit else 0.0)
    if not hit:
        variant.meter.took("ModelLoadingWaitTime", time.perf_counter() - began)
    variant.meter.instance("LoadedModelCount", len(instance.loaded), "None")
    answer = instance.ask(call.body, call.headers(), path=f"/models/{name}/invoke", timeout=timeout)
    if not variant.model.containers[0].caches:
        with instance.loading:
            _unload(variant, instance, name)
    return answer


def _load(variant: Variant, instance: Instance, name: str, target: str) -> None:
    server, container = instance.servers[0], variant.model.containers[0]
    began = time.perf_counter()
    _fetch(variant, container, target, name, instance)
    variant.meter.took("ModelDownloadingTime", time.perf_counter() - began)
    began = time.perf_counter()
    wanted = json.dumps({"model_name": name, "url": f"{server.base}/models/{name}/model"}).encode()
    while True:
        answer = server.connections.ask("POST", "/models", wanted, {"Content-Type": "application/json"}, LOAD_TIMEOUT)
        if answer.ok or answer.status == ALREADY_LOADED:
            break
        oldest = min(instance.loaded, key=lambda known: instance.loaded[known], default=None)
        if answer.status != NO_MEMORY or oldest is None:
            said = answer.body.decode("utf-8", "replace")
            raise ModelNotReadyException(
                f"Model {target} could not be loaded: the container said {answer.status} {said}"
            )
        _unload(variant, instance, oldest)
    variant.meter.took("ModelLoadingTime", time.perf_counter() - began)


def _fetch(variant: Variant, container: ServedContainer, target: str, name: str, instance: Instance) -> None:
    folder = instance.servers[0].folder / "models" / name / "model"
    if folder.exists():
        return
    uri = join(container.data_url or "", target)
    try:
        variant.files.unpack(uri, folder)
    except ModelDataError as error:
        shutil.rmtree(folder.parent, ignore_errors=True)
        raise ValidationError(f"Failed to download model data({uri}): {error}") from error


def _unload(variant: Variant, instance: Instance, name: str) -> None:
    began = time.perf_counter()
    server = instance.servers[0]
    server.connections.ask("DELETE", f"/models/{name}", b"", {}, LOAD_TIMEOUT)
    instance.loaded.pop(name, None)
    shutil.rmtree(server.folder / "models" / name, ignore_errors=True)
    variant.meter.took("ModelUnloadingTime", time.perf_counter() - began)
