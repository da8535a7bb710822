"""What exit codes mean; a script can rely on them."""

from __future__ import annotations

EXIT = {
    "done": 0,
    "failed": 1,  # what was asked could not be done; the text says why
    "usage": 2,  # the command line was wrong; nothing was tried
    "settings": 3,  # a file of ours is wrong; nothing was changed
    "refused": 4,  # it fits, but state or rules forbid it; nothing was changed
    "locked": 5,  # another command is at it; try again
    "no_engine": 6,  # neither Pulumi nor Terraform is here
    "changes": 10,  # only with --detailed-exit: there is something to do
    "bug": 70,  # our mistake; please report the traceback
    "interrupted": 130,
}

# An error's class name says what kind it is; classes live beside their feature, wherever that is.
KINDS = {
    "SettingsError": "settings",
    "RecordError": "settings",
    "ReleasesError": "settings",
    "NamingError": "settings",
    "TagError": "settings",
    "PriceError": "settings",
    "RefusedError": "refused",
    "LockedError": "locked",
    "NoEngineError": "no_engine",
}
CLOUDS = ("botocore.exceptions", "botocore.errorfactory", "httpx")  # what AWS answers, or that it does not
PACKAGES = ("contract", "infra", "stacks", "delivery", "monitoring", "slipway")


def exit_code(problem: BaseException) -> int | None:
    """The code of an error of ours; nothing for one that is not, which is then a bug."""
    kind = type(problem)
    if kind.__module__ in CLOUDS:
        return EXIT["failed"]
    if kind.__module__.partition(".")[0] not in PACKAGES:
        return None
    names = [each.__name__ for each in kind.__mro__]
    found = next((KINDS[name] for name in names if name in KINDS), "failed")
    return EXIT[found]
