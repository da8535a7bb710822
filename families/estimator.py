"""A fitted scikit-learn pipeline as a model, kept as skops: data only, so loading it runs no code of the file's."""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from contract.records import Schema
from families.artifact import ArtifactError
from families.encoding import settle
from families.family import Journal, Matrix, check_rows

FILE = "model.skops"
EPOCH = (1980, 1, 1, 0, 0, 0)
LEGS = 4
BRIDGE = "sklearn.externals.array_api_compat.torch"
# The types of scikit-learn our families use beyond those skops trusts itself; none of them runs code when loaded.
TRUSTED = (
    "numpy.clip",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.tree._tree.Tree",
)


class Estimator:
    """A scikit-learn pipeline that takes the settled input matrix."""

    def __init__(self, pipeline: Any, schema: Schema) -> None:
        self.pipeline = pipeline
        self.schema = schema

    def predict(self, rows: Matrix) -> Matrix:
        check_rows(rows, self.schema)
        settled = settle(rows, self.schema)
        if self.schema.task == "regression":
            return np.asarray(self.pipeline.predict(settled), dtype=np.float64).reshape(-1, 1)
        chances = np.asarray(self.pipeline.predict_proba(settled), dtype=np.float64)
        # Of two classes the first has what the second leaves: summed apart they can differ in the last bit, and a tie
        # would fall to either.
        return np.stack([1 - chances[:, 1], chances[:, 1]], axis=1) if chances.shape[1] == 2 else chances

    def save(self, folder: Path) -> None:
        (folder / FILE).write_bytes(dump(self.pipeline))

    @classmethod
    def load(cls, folder: Path, schema: Schema) -> Self:
        return cls(load((folder / FILE).read_bytes()), schema)


@cache
def format_of_skops() -> Any:
    """Skops, which looks through all of scikit-learn when imported; a bridge in there would import PyTorch: seconds."""
    met = sys.modules.setdefault(BRIDGE, None)  # type: ignore[arg-type]  # how Python is told that there is no such one
    try:
        import skops.io
    finally:
        if met is None:
            sys.modules.pop(BRIDGE, None)
    return skops.io


def dump(pipeline: Any) -> bytes:
    """The pipeline as skops, made independent of when and in which process it was written."""
    given = zipfile.ZipFile(io.BytesIO(format_of_skops().dumps(pipeline)))
    schema = given.read("schema.json").decode()
    # skops names parts by their address in memory: number them by first appearance instead.
    names = {old: str(new) for new, old in enumerate(dict.fromkeys(re.findall(r'"__id__": (\d+)', schema)), start=1)}
    schema = re.sub(r'"__id__": (\d+)', lambda found: f'"__id__": {names[found[1]]}', schema)
    schema = re.sub(r'"(\d+)\.(\w+)"', lambda found: f'"{names.get(found[1], found[1])}.{found[2]}"', schema)
    parts = {"schema.json": json.dumps(json.loads(schema), sort_keys=True).encode()}
    for name in given.namelist():
        stem, _, ending = name.rpartition(".")
        if name != "schema.json":
            parts[f"{names.get(stem, stem)}.{ending}"] = _without_padding(given.read(name))
    return _zipped(parts)


def _without_padding(part: bytes) -> bytes:
    """An array of records has unset bytes between its fields, different each time: clear them."""
    if not part.startswith(np.lib.format.MAGIC_PREFIX):
        return part
    array = np.load(io.BytesIO(part), allow_pickle=False)
    if array.dtype.names is None:
        return part
    plain = np.zeros(array.nbytes, dtype=np.uint8)
    cleared, written = plain.view(array.dtype).reshape(array.shape), io.BytesIO()
    for name in array.dtype.names:
        cleared[name] = array[name]
    # Not np.save: it copies field by field, and leaves between them whatever was in memory.
    np.lib.format.write_array_header_1_0(written, np.lib.format.header_data_from_array_1_0(cleared))
    return written.getvalue() + plain.tobytes()


def _zipped(parts: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(parts):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, parts[name])
    return packed.getvalue()


def load(content: bytes) -> Any:
    """The pipeline, refusing any type that is neither scikit-learn's nor named as trusted."""
    skops = format_of_skops()
    try:
        return skops.loads(content, trusted=list(TRUSTED))
    except Exception as problem:
        raise ArtifactError(
            f"{FILE} cannot be loaded ({type(problem).__name__}: {problem}): it is damaged, holds a type this family "
            "does not use, or was made with another version of scikit-learn than the one installed; see the manifest"
        ) from problem


def fit_in_legs(model: Any, size: str, legs: Sequence[int], fit: Callable[[Any], object], journal: Journal) -> Any:
    """Grow a warm-startable model leg by leg: set `size` (a parameter of it) to each leg's end, fit, keep the state.

    Each leg begins from the kept bytes of the one before, whether interrupted or not: so a resumed fit cannot differ.
    """
    kept = journal.resume()
    if kept is not None:
        model = load(kept)
    ahead = [leg for leg in legs if kept is None or leg > model.get_params()[size]]
    for leg in ahead:
        fit(model.set_params(**{size: leg}))
        if leg != legs[-1]:
            state = dump(model)
            journal.checkpoint(leg, legs[-1], partial(bytes, state), {})
            model = load(state)
    return model


def legs_of(total: int) -> list[int]:
    """Where a fit of that many rounds makes its checkpoints, the end included."""
    return sorted({round(total * part / LEGS) for part in range(1, LEGS + 1)} - {0})
