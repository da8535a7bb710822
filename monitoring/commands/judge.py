"""Do what the platform's monitor pipeline asks for, as its environment says; what the image does without arguments.

The window is judged, for every variant; then, when outcomes have arrived, the quality of what is served. Variables:
SLIPWAY_MODEL, SLIPWAY_CAPTURE_URI, SLIPWAY_WINDOWS_URI, SLIPWAY_OUTCOMES_URI, SLIPWAY_ARTIFACTS_BUCKET,
SLIPWAY_WINDOW_END (an ISO time or `now`), SLIPWAY_WINDOW_HOURS, sagemaker_endpoint_name, output_path; and, if the
baseline is not the newest of the model, SLIPWAY_BASELINE_URI. Without SLIPWAY_CAPTURE_URI it is Model Monitor's
environment that is read, by `monitor window`.

    monitor judge
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from contract import places
from contract.stages import PREDICTIONS_FILE
from monitoring.profile import ProfileError
from monitoring.storage import folder, listing

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "judge what the monitor pipeline's environment describes"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be run, and run nothing")


def run(args: argparse.Namespace, outside: Outside) -> int:
    from monitoring.cli import main

    given = outside.environment
    if "SLIPWAY_CAPTURE_URI" not in given:
        return main(["window"], outside)
    baseline = baseline_of(given, outside)
    commands = [window(given, baseline, str(outside.container.processing / "output"))]
    outcomes_at = given.get("SLIPWAY_OUTCOMES_URI")
    if outcomes_at and listing(outcomes_at, outside.s3)[1]:
        commands.append(outcomes(given, baseline, commands[0][commands[0].index("--output") + 1]))
    if args.dry_run:
        for command in commands:
            outside.say("monitor " + " ".join(command))
        return 0
    return max(main(command, outside) for command in commands)


def baseline_of(given: Mapping[str, str], outside: Outside) -> str:
    """The baseline that is named, else the newest one of the model, else one made of its newest run."""
    named = given.get("SLIPWAY_BASELINE_URI")
    if named:
        return named
    bucket, model = given.get("SLIPWAY_ARTIFACTS_BUCKET", ""), given.get("SLIPWAY_MODEL", "")
    place = f"s3://{bucket}/{places.baselines_prefix(model)}"
    newest = folder(place, outside.s3).newest(places.BASELINE) or made(place, f"s3://{bucket}/runs/{model}/", outside)
    return place + newest


def made(place: str, runs: str, outside: Outside) -> str:
    """A first baseline: what the newest run's model answered on rows it never saw."""
    from monitoring.cli import OK, main

    written = folder(runs, outside.s3)
    artifact, answers = written.newest(places.ARTIFACT), written.newest(f"evaluation/{PREDICTIONS_FILE}")
    if artifact is None or answers is None:
        raise ProfileError(
            f"no baseline at {place}, and no run at {runs} to make one of: expected {places.ARTIFACT} and "
            f"evaluation/{PREDICTIONS_FILE}. Train the model, or name a baseline with SLIPWAY_BASELINE_URI."
        )
    command = ["baseline", "--data", runs + answers, "--artifact", runs + artifact]
    if main([*command, "--output", f"{place}{{artifact}}/{places.BASELINE}"], outside) != OK:
        raise ProfileError(f"no baseline could be made of {runs}{answers} and {runs}{artifact}; see above")
    newest = folder(place, outside.s3).newest(places.BASELINE)
    if newest is None:
        raise ProfileError(f"the baseline that was just written is not listed at {place}")
    return newest


def window(given: Mapping[str, str], baseline: str, output: str) -> list[str]:
    """The arguments of `monitor window`."""
    command = [
        "window", "--baseline", baseline, "--capture", given["SLIPWAY_CAPTURE_URI"],
        "--output", given.get("output_path", output), "--until", given.get("SLIPWAY_WINDOW_END", "now"),
        "--hours", given.get("SLIPWAY_WINDOW_HOURS", "1"),
        "--endpoint", given.get("sagemaker_endpoint_name", "endpoint"), "--publish",
    ]  # fmt: skip
    windows = given.get("SLIPWAY_WINDOWS_URI")
    return [*command, "--history", f"{windows.rstrip('/')}/counts/"] if windows else command


def outcomes(given: Mapping[str, str], baseline: str, output: str) -> list[str]:
    """The arguments of `monitor outcomes`; the baseline holds the model's schema."""
    until = given.get("SLIPWAY_WINDOW_END", "now")
    return [
        "outcomes", "--capture", given["SLIPWAY_CAPTURE_URI"], "--outcomes", given["SLIPWAY_OUTCOMES_URI"],
        "--schema", baseline, "--output", f"{output.rstrip('/')}/outcomes",
        "--endpoint", given.get("sagemaker_endpoint_name", "endpoint"), "--publish",
        *([] if until == "now" else ["--until", until]),
    ]  # fmt: skip
