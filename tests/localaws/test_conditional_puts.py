"""A put that depends on what is there is one step: of many writers at once, one gets the place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

WRITERS, PLACES = 4, 10


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns so often that whatever can come in between does."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty")
def test_of_writers_at_once_one_takes_a_free_place(client: Callable[..., Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="places", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def taken(place: int, writer: int) -> bool:
        try:
            s3.put_object(Bucket="places", Key=str(place), Body=str(writer).encode(), IfNoneMatch="*")
        except ClientError as problem:
            if problem.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as writers:
        for place in range(PLACES):
            tries = list(writers.map(lambda writer, place=place: taken(place, writer), range(WRITERS)))
            assert tries.count(True) == 1
            there = s3.get_object(Bucket="places", Key=str(place))["Body"].read()
            assert there == str(tries.index(True)).encode()
