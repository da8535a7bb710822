"""One file per content type a request may have; each says its names in CONTENT_TYPES and has `decode`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules

from inference.layout import Layout, Matrix
from inference.refusals import RequestError, shown

Parameters = Mapping[str, str]
Decode = Callable[[bytes, Parameters, Layout], Matrix]


@cache
def decoders() -> Mapping[str, Decode]:
    """Every content type with what decodes it, found by looking at the files beside this one."""
    found: dict[str, Decode] = {}
    for each in iter_modules(__path__):
        module = import_module(f"{__name__}.{each.name}")
        found |= dict.fromkeys(module.CONTENT_TYPES, module.decode)
    return found


@lru_cache(maxsize=256)
def media_type(header: str) -> tuple[str, Parameters]:
    """A Content-Type or one range of an Accept: its lower-case name and its parameters."""
    name, *parts = header.split(";")
    pairs = (part.partition("=") for part in parts)
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


@lru_cache(maxsize=256)
def decoder_for(content_type: str) -> tuple[Decode, Parameters]:
    """What reads a body of this Content-Type, and the parameters the caller gave."""
    name, parameters = media_type(content_type)
    decoder = decoders().get(name)
    if decoder is None:
        raise RequestError(
            f"Content-Type {shown(content_type)} is not read here; send one of {', '.join(decoders())}",
            status=415,
            code="unsupported_content_type",
        )
    return decoder, parameters


def decode(body: bytes, content_type: str, layout: Layout, most_rows: int) -> Matrix:
    """The rows of a request as the model's input matrix."""
    decoder, parameters = decoder_for(content_type)
    if not body:
        raise RequestError("the body is empty: send at least one row", code="empty_body")
    rows = decoder(body, parameters, layout)
    count = len(rows)
    if not count:
        raise RequestError("the body holds no rows: send at least one", code="no_rows")
    if count > most_rows:
        raise RequestError(
            f"the body holds {count} rows, the limit is {most_rows}: send fewer rows per request",
            status=413,
            code="too_many_rows",
        )
    return rows
