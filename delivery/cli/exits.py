"""What exit codes mean; a script can rely on them."""

from __future__ import annotations

import errno
from collections.abc import Mapping

EXIT = {
    "done": 0,
    "failed": 1,
    "usage": 2,
    "settings": 3,
    "refused": 4,
    "locked": 5,
    "no_engine": 6,
    "rolled_back": 7,
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
    "rolled_back": "alarms rolled the new version back: what served before serves, and the release file says so",
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
    "OutcomesError": "settings",
    "TermsError": "settings",
    "RefusedError": "refused",
    "LockedError": "locked",
    "BusyError": "locked",
    "NoEngineError": "no_engine",
}
CLOUDS = ("botocore", "boto3", "s3transfer", "httpx")  # what AWS answers, or that it does not
PACKAGES = ("contract", "infra", "stacks", "delivery", "monitoring", "slipway")


def exit_code(problem: BaseException) -> int | None:
    """The code of an error of ours; nothing for one that is not, which is then a bug."""
    kind = type(problem)
    package = kind.__module__.partition(".")[0]
    if package in CLOUDS or isinstance(problem, OSError):
        return EXIT["failed"]
    if package not in PACKAGES:
        return None
    names = [each.__name__ for each in kind.__mro__]
    found = next((KINDS[name] for name in names if name in KINDS), "failed")
    return EXIT[found]


# What this machine refuses, and what to do about it: no library's mistake and none of ours.
REMEDIES: Mapping[int, str] = {
    errno.ENOENT: "Expected a place that is there: correct the name, or make its folder first.",
    errno.ENOTDIR: "Expected a folder on the way to it: correct the name.",
    errno.EISDIR: "Expected a file: name one inside that folder.",
    errno.EEXIST: "Expected a place that is free: name another.",
    errno.EACCES: "Expected a place that you may use: ask for the right to it, or name another.",
    errno.EPERM: "Expected a place that you may use: ask for the right to it, or name another.",
    errno.EROFS: "Expected a place that can be written: name another.",
    errno.ENOSPC: "Expected space for what is written: free some.",
    errno.EDQUOT: "Expected space for what is written: free some, or ask for a larger quota.",
    errno.EMFILE: "Expected more files that may be open at once: raise `ulimit -n`.",
}


def machine_text(problem: OSError) -> str:
    """What this machine refused, in words: where, why, what to do."""
    where = problem.filename2 or problem.filename
    what = problem.strerror or str(problem) or type(problem).__name__
    remedy = REMEDIES.get(problem.errno or 0, "This machine refused it.")
    return f"{f'{where}: ' if where else ''}{what}. {remedy} Then run the same command again."
