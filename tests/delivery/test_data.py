"""Data are kept by their content, tagged, compared and brought back byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delivery.data import DataError, DataStore, changes, unique, version_of


@pytest.fixture
def store(s3: Any) -> DataStore:
    return DataStore(s3, "evidence", "churn")


def table(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content)
    return folder


def put(store: DataStore, place: Path) -> str:
    version = version_of(place)
    store.put(place, version, lambda _: None)
    return version.hash


def test_a_tag_stands_at_one_version_and_moves(store: DataStore, tmp_path: Path) -> None:
    old, new = put(store, table(tmp_path / "a", x="1")), put(store, table(tmp_path / "b", x="2"))
    assert store.tag("spring", old[:10]) == old
    assert store.read("spring").hash == old
    store.tag("spring", new)
    assert store.tags() == {"spring": new}
    assert {kept.hash: kept.tags for kept, _ in store.history()} == {old: (), new: ("spring",)}


@pytest.mark.parametrize("name", ["latest", "a/b", "", "ü"])
def test_a_name_that_could_mean_something_else_is_no_tag(store: DataStore, tmp_path: Path, name: str) -> None:
    version = put(store, table(tmp_path / "a", x="1"))
    with pytest.raises(DataError, match="cannot be a tag"):
        store.tag(name, version)


def test_versions_differ_file_by_file(tmp_path: Path) -> None:
    old = version_of(table(tmp_path / "a", same="1", gone="2", other="3"))
    new = version_of(table(tmp_path / "b", same="1", come="2", other="4"))
    found = changes(old, new)
    assert (found.added, found.removed, found.changed) == (("come.csv",), ("gone.csv",), ("other.csv",))


def test_what_is_brought_back_is_what_was_handed_over_or_refused(store: DataStore, s3: Any, tmp_path: Path) -> None:
    version = put(store, table(tmp_path / "a", x="1,2\n"))
    store.checkout(version[:8], tmp_path / "back", lambda _: None)
    assert (tmp_path / "back" / "x.csv").read_text() == "1,2\n"
    s3.put_object(Bucket="evidence", Key=f"{store.prefix(version)}files/x.csv", Body=b"1,3\n")
    with pytest.raises(DataError, match="was changed"):
        store.checkout(version, tmp_path / "again", lambda _: None)
    assert not (tmp_path / "again" / "x.csv").exists()


def test_a_version_nobody_handed_over_names_those_there_are(store: DataStore, tmp_path: Path) -> None:
    version = put(store, table(tmp_path / "a", x="1"))
    with pytest.raises(DataError, match=f"is no version of the data of churn. Versions: {version[:12]}"):
        store.read("0000")


@pytest.mark.parametrize(("wanted", "meant"), [("sprng", "spring"), ("lates", "latest")])
def test_a_tag_that_is_not_there_names_the_nearest_right_one(
    store: DataStore, tmp_path: Path, wanted: str, meant: str
) -> None:
    store.tag("spring", put(store, table(tmp_path / "a", x="1")))
    with pytest.raises(DataError, match=rf"Did you mean '{meant}'\? .*Tags: spring"):
        store.read(wanted)


def test_a_hash_with_a_slip_names_the_nearest_beginning(store: DataStore, tmp_path: Path) -> None:
    version = put(store, table(tmp_path / "a", x="1"))
    slip = version[:5] + ("0" if version[5] != "0" else "1") + version[6:12]
    with pytest.raises(DataError, match=f"Did you mean '{version[:12]}'"):
        store.read(slip)


def test_a_beginning_of_several_versions_is_not_offered_as_its_own_remedy() -> None:
    with pytest.raises(DataError, match=r"'ab' fits more than one version of the data of churn\. Versions: abc, abd"):
        unique(["abc", "abd"], "ab", "churn")
