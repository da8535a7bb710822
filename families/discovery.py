"""Find every family: each file of this package that defines FAMILY is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib import metadata

import families
from contract.records import nearest
from families.family import Family, FamilyError


class UnknownFamilyError(FamilyError):
    """There is no family of that name."""


class MissingLibraryError(FamilyError):
    """A family's library is not installed."""


@cache
def discover() -> dict[str, Family]:
    """Every family by name, in alphabetical order; no training library is loaded."""
    modules = (
        importlib.import_module(f"families.{found.name}")
        for found in pkgutil.iter_modules(families.__path__)
        if not found.ispkg
    )
    found = [module.FAMILY for module in modules if hasattr(module, "FAMILY")]
    return {family.name: family for family in sorted(found, key=lambda family: family.name)}


def known_family(name: str) -> Family:
    """The family of that name, whether or not its library is installed."""
    known = discover()
    if name not in known:
        raise UnknownFamilyError(
            f"There is no family named '{name}'.{nearest(name, list(known))} Known families: {', '.join(known)}."
        )
    return known[name]


def find(name: str) -> Family:
    """The family of that name with its library installed, or an error that says what to do."""
    family = known_family(name)
    missing = missing_libraries(family)
    if missing:
        raise MissingLibraryError(
            f"The family '{name}' needs {' and '.join(missing)}, which is not installed here. "
            f"Add requirements/{name}.txt where there is one, or install it in the image that trains."
        )
    return family


def missing_libraries(family: Family) -> list[str]:
    return [library for library in family.libraries if version_of(library) is None]


def version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
