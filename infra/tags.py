"""The tags every resource carries, as a type: a platform whose bill cannot be read is not finished."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_TAGS = 50
KEY = re.compile(r"[\w .:/=+@-]{1,128}")
VALUE = re.compile(r"[\w .:/=+@-]{0,256}")


class TagError(ValueError):
    """A tag AWS would refuse; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Tags:
    """Who owns it, who pays, how delicate its data is; `extra` is the team's own."""

    environment: str
    owner: str
    cost_center: str
    data_class: str
    extra: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        tags = self.as_dict()
        if len(tags) > MOST_TAGS:
            raise TagError(f"{len(tags)} tags, AWS allows {MOST_TAGS} per resource: drop some of `extra`")
        for key, value in tags.items():
            check(key, value)

    def as_dict(self) -> dict[str, str]:
        return dict(self.extra) | {
            "slipway:environment": self.environment,
            "slipway:owner": self.owner,
            "slipway:cost-center": self.cost_center,
            "slipway:data-class": self.data_class,
        }


def check(key: str, value: str) -> None:
    if key.lower().startswith("aws:"):
        raise TagError(f"tag '{key}' starts with 'aws:', which AWS keeps for itself: choose another prefix")
    if not KEY.fullmatch(key):
        raise TagError(f"tag key '{key}' is not 1 to 128 letters, digits, spaces or _.:/=+-@")
    if not VALUE.fullmatch(value):
        raise TagError(f"tag '{key}' has value '{value}', which is not up to 256 letters, digits, spaces or _.:/=+-@")
