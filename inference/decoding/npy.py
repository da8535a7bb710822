"""application/x-npy: a two-dimensional array in schema order, or a structured array by column name.

In an array of numbers a category is the index of its level, -1 for an unseen one; arrays of texts hold the levels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from inference.layout import Layout, Matrix
from inference.refusals import RequestError

CONTENT_TYPES = ("application/x-npy",)
PLAIN = "biuf"
TEXT = "US"


def decode(body: bytes, parameters: Mapping[str, str], layout: Layout) -> Matrix:
    del parameters
    array = read(body)
    if array.dtype.names is not None:
        return _by_name(array, layout)
    if array.ndim == 1 and len(array) == layout.width:
        array = array.reshape(1, -1)
    if array.ndim != 2 or array.shape[1] != layout.width:
        raise RequestError(
            f"the array has shape {array.shape}, expected (rows, {layout.width}): one column per input of the model",
            code="wrong_columns",
        )
    if array.dtype.kind in PLAIN:
        return layout.check(np.ascontiguousarray(array, np.float64))
    return _columns([array[:, at] for at in range(layout.width)], layout)


def read(body: bytes) -> npt.NDArray[Any]:
    """The array as it lies in the body; nothing is unpickled, and no more memory is asked for than the body has."""
    source = io.BytesIO(body)
    try:
        version = npy.read_magic(source)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(source)
    except Exception as problem:  # noqa: BLE001 - numpy evaluates the header as a literal: what a bad one raises is not documented
        raise RequestError(f"the body is not a .npy file: {str(problem)[:200]}", code="bad_npy") from None
    if dtype.hasobject:
        raise RequestError(
            "the array holds Python objects, which are never loaded: save numbers or texts", code="bad_npy"
        )
    given, expected = len(body) - source.tell(), math.prod(shape) * dtype.itemsize
    if given != expected:
        raise RequestError(
            f"the .npy file holds {given} bytes of values, its header says {expected}: it is cut off or damaged",
            code="bad_npy",
        )
    flat = np.frombuffer(body, dtype, math.prod(shape), source.tell()) if expected else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _by_name(array: npt.NDArray[Any], layout: Layout) -> Matrix:
    layout.order_of(array.dtype.names or (), "the array's fields")
    array = array.reshape(-1)
    return _columns([array[name] for name in layout.names], layout)


def _columns(columns: list[npt.NDArray[Any]], layout: Layout) -> Matrix:
    matrix = layout.matrix(len(columns[0]))
    for at, values in enumerate(columns):
        layout.fill(matrix[:, at], at, _plain(values, layout.names[at]))
    return matrix


def _plain(values: npt.NDArray[Any], name: str) -> list[Any]:
    if values.ndim != 1 or values.dtype.kind not in PLAIN + TEXT:
        raise RequestError(
            f"column '{name}' is an array of {values.dtype}, expected numbers or texts", code="wrong_type", column=name
        )
    if values.dtype.kind == "S":
        try:
            return [text.decode() for text in values.tolist()]
        except UnicodeDecodeError:
            raise RequestError(f"column '{name}' holds bytes that are not UTF-8 text", code="bad_text") from None
    return values.tolist()
