"""A channel is read in whatever form it came, and what cannot be read is named."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from contract.places import Container
from training import sample
from training.channels import ChannelError, Hosts, channel_names, read_channel, sharded_channels

Fill = Callable[..., Container]


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_every_form_gives_the_same_rows(fill: Fill, table: pl.DataFrame, form: str) -> None:
    container = fill({"train": table}, form=form)
    read = read_channel(container, "train", header=True, target=sample.TARGET)
    assert read.columns == table.columns
    assert read.select(pl.all().cast(pl.String)).equals(
        pl.read_csv(table.write_csv().encode(), infer_schema_length=None).select(pl.all().cast(pl.String))
    )


def test_files_of_a_channel_follow_each_other_by_name_and_marks_are_passed_over(container: Container) -> None:
    folder = container.channel("train")
    for name, value in (("b/2.csv", 2), ("a.csv", 1), ("c.csv", 3)):
        sample.write(pl.DataFrame({"x": [value]}), folder / name)
    for mark in ("_SUCCESS", ".hidden.csv", "x.csv.manifest"):
        (folder / mark).write_text("not data")
    (folder / "empty.csv").touch()
    assert read_channel(container, "train", header=True, target="y")["x"].to_list() == [1, 2, 3]


def test_compressed_files_are_read(container: Container) -> None:
    folder = container.channel("train")
    folder.mkdir(parents=True)
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"x,y\n1,a\n"))
    assert read_channel(container, "train", header=True, target="y").rows() == [(1, "a")]


def test_a_csv_without_a_header_has_the_target_first(container: Container) -> None:
    folder = container.channel("train")
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("yes,1,2.5\nno,3,\n")
    read = read_channel(container, "train", header=False, target="left")
    assert read.columns == ["left", "column_1", "column_2"]
    assert read.rows() == [("yes", 1, 2.5), ("no", 3, None)]


def test_a_file_without_an_ending_takes_the_content_type_of_its_channel(container: Container) -> None:
    folder = container.channel("train")
    folder.mkdir(parents=True)
    container.input_config.mkdir(parents=True)
    (folder / "part-00001").write_text('{"x": 1}\n{"x": 2}\n')
    container.input_data_config.write_text(json.dumps({"train": {"ContentType": "application/jsonlines; v=1"}}))
    assert read_channel(container, "train", header=True, target="y")["x"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.csv": "x,y\n1,2\n", "b.csv": "x,z\n1,2\n"}, "other columns than 'a.csv': it adds z; it lacks y"),
        ({"a.csv": "x,y\n1,2\n", "b.csv": "y,x\n1,2\n"}, "the same names in another order"),
        ({"a.csv": "x,y\n1,2\n1,2,3\n"}, "'a.csv' cannot be read as csv: line 3 has 3 cells, the first line has 2"),
        ({"a.csv": "x,y\n1,2\n1\n"}, "line 3 has 1 cells, the first line has 2: 1; mend or remove it"),
        ({"a.csv": 'x,y\n1,"2\n3"\n1\n'}, "line 4 has 1 cells"),
        ({"a.csv": b"x,y\n1,caf\xe9\n"}, "line 2 holds the byte 0xe9, which is not UTF-8"),
        ({"a.csv.gz": gzip.compress(b"x,y\n1\n")}, "line 2 has 1 cells"),
        ({"a.jsonl": '{"x": 1}\n{not json\n'}, "'a.jsonl' cannot be read as jsonlines: line 2 is not JSON"),
        ({"a.jsonl": '{"x": 1}\n\n[1]\n'}, "line 3 is no JSON object"),
        ({"a.parquet": "PAR1 no"}, "'a.parquet' cannot be read as parquet"),
        ({"a.xlsx": "?"}, "an ending that is not known"),
        ({}, "holds no data file"),
    ],
)
def test_what_cannot_be_read_is_named(container: Container, files: dict[str, str | bytes], said: str) -> None:
    folder = container.channel("train")
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ChannelError, match=said):
        read_channel(container, "train", header=True, target="y")


def test_values_missing_in_the_last_column_and_blank_lines_are_no_fault(container: Container) -> None:
    folder = container.channel("train")
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("x,y\n1,\n\n2,b\n")
    read = read_channel(container, "train", header=True, target="y")
    assert read.drop_nulls("x").rows() == [(1, None), (2, "b")]


def test_a_pipe_is_refused_with_the_modes_that_work(container: Container) -> None:
    container.input_config.mkdir(parents=True)
    container.input_data_config.write_text(json.dumps({"train": {"TrainingInputMode": "Pipe"}}))
    with pytest.raises(ChannelError, match="File or FastFile"):
        read_channel(container, "train", header=True, target="y")


def test_hosts_and_sharded_channels_come_from_sagemakers_files(container: Container) -> None:
    assert Hosts.of(container).leads
    container.input_config.mkdir(parents=True)
    container.resource_config.write_text(json.dumps({"current_host": "algo-2", "hosts": ["algo-2", "algo-1"]}))
    kinds = {"train": "ShardedByS3Key", "validation": "FullyReplicated"}
    config = {name: {"S3DistributionType": kind} for name, kind in kinds.items()}
    container.input_data_config.write_text(json.dumps(config))
    hosts = Hosts.of(container)
    assert (hosts.all, hosts.leads) == (("algo-1", "algo-2"), False)
    assert sharded_channels(container) == {"train"}
    assert channel_names(container) == ["train", "validation"]


def test_a_broken_configuration_file_is_named(container: Container, tmp_path: Path) -> None:
    container.input_config.mkdir(parents=True)
    container.resource_config.write_text("[1]")
    with pytest.raises(ChannelError, match=r"'resourceconfig.json' holds a list"):
        Hosts.of(container)
