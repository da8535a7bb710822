"""The rows of a sharded channel come together on the host that leads."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from training.channels import ChannelError, Hosts
from training.gather import address_of, gather

HOSTS = ("algo-1", "algo-2", "algo-3")


def part(value: int) -> dict[str, pl.DataFrame]:
    return {"train": pl.DataFrame({"x": [value, value + 1], "name": ["a", None]})}


def test_one_host_has_all_rows_already() -> None:
    whole = gather(part(1), Hosts(), "run")
    assert whole is not None
    assert whole["train"].equals(part(1)["train"])


def test_the_leader_gets_the_rows_of_all_hosts_in_their_order() -> None:
    parts = {host: part(at * 10) for at, host in enumerate(HOSTS)}
    with ThreadPoolExecutor(3) as pool:
        results = [
            pool.submit(gather, parts[host], Hosts(host, HOSTS), "job-a", patience=20.0) for host in reversed(HOSTS)
        ]
        given = {host: each.result(timeout=30) for host, each in zip(reversed(HOSTS), results, strict=True)}
    assert given["algo-2"] is given["algo-3"] is None
    whole = given["algo-1"]
    assert whole is not None
    assert whole["train"].equals(pl.concat([parts[host]["train"] for host in HOSTS]))


def test_a_host_without_any_object_sends_nothing_and_is_not_waited_for_longer() -> None:
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(gather, {}, Hosts("algo-2", HOSTS[:2]), "job-b", patience=20.0)
        whole = gather(part(1), Hosts("algo-1", HOSTS[:2]), "job-b", patience=20.0)
        assert other.result(timeout=30) is None
    assert whole is not None
    assert len(whole["train"]) == 2


def test_a_host_that_never_comes_is_named() -> None:
    with pytest.raises(ChannelError, match="no rows came from algo-2"):
        gather(part(1), Hosts("algo-1", HOSTS[:2]), "job-c", patience=0.05)


def test_a_leader_that_is_not_there_is_named_with_what_to_check() -> None:
    with pytest.raises(ChannelError, match="allowed to talk to each other"):
        gather(part(1), Hosts("algo-2", HOSTS[:2]), "job-d", patience=0.05)


def test_a_stranger_that_speaks_something_else_does_not_disturb() -> None:
    address = address_of("algo-1", "job-e")
    knocked = threading.Event()

    def knock() -> None:
        while not knocked.is_set():
            try:
                with socket.create_connection(address, timeout=5) as link:
                    link.sendall(b"\xff" * 64)
                    knocked.set()
            except OSError:
                continue

    with ThreadPoolExecutor(3) as pool:
        leader = pool.submit(gather, part(1), Hosts("algo-1", HOSTS[:2]), "job-e", patience=20.0)
        pool.submit(knock).result(timeout=30)
        gather(part(5), Hosts("algo-2", HOSTS[:2]), "job-e", patience=20.0)
        whole = leader.result(timeout=30)
    assert whole is not None
    assert whole["train"]["x"].to_list() == [1, 2, 5, 6]
