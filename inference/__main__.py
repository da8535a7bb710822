"""The serving container's program: `python -m inference serve`."""

from __future__ import annotations

import sys

from inference.settings import SettingsError, from_environment
from inference.supervisor import say, serve

USAGE = "usage: python -m inference serve"


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["serve"]):
        sys.stderr.write(f"{USAGE}\nThe serving container takes the one argument 'serve', got {arguments}.\n")
        return 2
    try:
        return serve(from_environment())
    except SettingsError as problem:
        say("cannot_start", reason=str(problem))
    except OSError as problem:
        say("cannot_start", reason=f"the port cannot be opened: {problem}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
