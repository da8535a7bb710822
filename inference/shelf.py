"""The models one worker holds: the one it was started with, or, for a multi-model endpoint, those it was told to load.

All workers share a register, a small file. Whoever is asked to load or unload writes it; the others see the generation
on the board change, drop what is gone and load what they are asked for.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from families.artifact import ArtifactError
from inference.board import Board
from inference.model import ModelError, ServedModel, load
from inference.refusals import RequestError, shown

Load = Callable[[Path, str, str], ServedModel]


class Register:
    """Which models are loaded and where they stand, shared by all workers through a file."""

    def __init__(self, path: Path, board: Board) -> None:
        self._path = path
        self._board = board

    @property
    def generation(self) -> int:
        return self._board.generation

    def read(self) -> dict[str, str]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    @contextmanager
    def change(self) -> Iterator[dict[str, str]]:
        """The register, held against the other workers; what it is afterwards is what all of them see."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            models = self.read()
            yield models
            beside = self._path.with_suffix(".new")
            beside.write_text(json.dumps(models))
            beside.replace(self._path)
            self._board.next_generation()


class Shelf:
    """The models of a multi-model endpoint as this worker has them."""

    def __init__(self, register: Register, most: int, load_from: Load = load) -> None:
        self._register = register
        self._most = most
        self._load = load_from
        self._models: dict[str, ServedModel] = {}
        self._seen = -1
        self._lock = Lock()

    def add(self, name: str, url: str) -> ServedModel:
        """Load a model for everybody: 409 when it is there, 507 when there is no room, 400 when it cannot be served."""
        self._refuse_if_no_place(name, self._register.read())
        model = self._loaded(name, url)
        with self._register.change() as models:
            self._refuse_if_no_place(name, models)  # others may have loaded it meanwhile
            models[name] = url
        self._models[name] = model
        return model

    def _refuse_if_no_place(self, name: str, known: Mapping[str, str]) -> None:
        if name in known:
            raise RequestError(f"the model {shown(name)} is already loaded", status=409, code="already_loaded")
        if len(known) >= self._most:
            raise RequestError(
                f"{len(known)} models are loaded, which is the limit: unload one first", status=507, code="no_memory"
            )

    def get(self, name: str) -> ServedModel:
        """The model of that name, loaded now if another worker was told about it; 404 when nobody was."""
        if self._register.generation != self._seen:
            self._catch_up()
        model = self._models.get(name)
        return model if model is not None else self._fetch(name)

    def holds(self, name: str) -> bool:
        """Whether this worker can answer with that model without loading it first."""
        return name in self._models

    def remove(self, name: str) -> None:
        with self._register.change() as models:
            if models.pop(name, None) is None:
                raise unknown(name)
        self._models.pop(name, None)

    def all(self) -> Mapping[str, str]:
        return self._register.read()

    def _catch_up(self) -> None:
        self._seen = self._register.generation
        known = self._register.read()
        for name, model in list(self._models.items()):
            if known.get(name) != model.url:
                self._models.pop(name, None)

    def _fetch(self, name: str) -> ServedModel:
        url = self._register.read().get(name)
        if url is None:
            raise unknown(name)
        with self._lock:
            if name not in self._models:
                self._models[name] = self._loaded(name, url)
            return self._models[name]

    def _loaded(self, name: str, url: str) -> ServedModel:
        try:
            return self._load(Path(url), name, url)
        except MemoryError:
            raise RequestError(
                f"there is no memory for the model {shown(name)}: unload another", status=507, code="no_memory"
            ) from None
        except (ArtifactError, ModelError, OSError) as problem:
            raise RequestError(
                f"the model {shown(name)} cannot be loaded: {problem}", status=400, code="bad_model"
            ) from problem


def unknown(name: str) -> RequestError:
    return RequestError(f"no model named {shown(name)} is loaded", status=404, code="unknown_model")
