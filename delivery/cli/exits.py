"""What exit codes mean; a script can rely on them."""

from __future__ import annotations

EXIT = {
    "done": 0,
    "failed": 1,
    "usage": 2,
    "settings": 3,
    "refused": 4,
    "locked": 5,
    "no_engine": 6,
    "changes": 10,
    "bug": 70,
    "interrupted": 130,
}
MEANING = {
    "done": "it is done",
    "failed": "it could not be done, or what was looked at is not well; the text says why",
    "usage": "the command line is wrong; nothing was tried",
    "settings": "a file of yours is wrong; nothing was changed",
    "refused": "state or rules forbid it, or somebody said no; nothing was changed",
    "locked": "another command is at it; try again",
    "no_engine": "neither Pulumi nor Terraform is on this machine",
    "changes": "only with --detailed-exit: there is something to do",
    "bug": "our mistake; please report the traceback",
    "interrupted": "stopped by Ctrl-C; the same command goes on where it stopped",
}

# An error's class name says what kind it is; classes live beside their feature, wherever that is.
KINDS = {
    "SettingsError": "settings",
    "RecordError": "settings",
    "ReleasesError": "settings",
    "NamingError": "settings",
    "TagError": "settings",
    "PriceError": "settings",
    "RunFileError": "settings",
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
