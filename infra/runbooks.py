"""Where whoever is paged reads on: the address of the runbooks, and how an alarm's description names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contract.signals import Signal

FOLDER = "docs/runbooks"
MOST = 1024  # characters that CloudWatch takes of a description
LONGEST = 160  # of an address: four pages below it still fit into a description
NAMED = re.compile(r"Runbooks?: (\S+\.md(?: \S+\.md)*)$")


@dataclass(frozen=True, slots=True)
class Runbooks:
    """The runbooks as published below one address: a folder of the repository, or where a browser finds it."""

    base: str = FOLDER

    def page(self, about: Signal) -> str:
        return f"{self.base}/{about.runbook.rpartition('/')[2]}"

    def behind(self, meaning: str, signals: Sequence[Signal]) -> str:
        """A description: what an alarm means, and the runbook of each signal it watches."""
        pages = list(dict.fromkeys(map(self.page, signals)))
        return f"{meaning} {'Runbook' if len(pages) == 1 else 'Runbooks'}: {' '.join(pages)}"


def named_in(description: str) -> list[str]:
    """The runbooks that a description names."""
    found = NAMED.search(description)
    return found[1].split(" ") if found else []
