"""Do what the platform's monitor pipeline asks for, as its environment says; what the image does without arguments.

Every variant that serves is judged against the baseline of the artifact it serves; then, when outcomes have arrived,
its quality against the reference of that artifact. On several instances each leaves counts of its share, and a last
run, which is told where those are, adds them up and judges. Variables:

SLIPWAY_SERVING        champion=HASH challenger=HASH: the artifact behind each variant; else the endpoint is asked
SLIPWAY_BASELINES_URI  where the baselines of artifacts are kept, below their hashes
SLIPWAY_BASELINE_URI   instead of both: one baseline for every variant
SLIPWAY_CAPTURE_URI, SLIPWAY_OUTCOMES_URI   what is read
SLIPWAY_WINDOWS_URI    what is remembered: counts of windows, the watch over decay, since when an artifact serves
SLIPWAY_EXPERIMENT_URI the experiment that runs: it is judged, and its traffic moved, when its terms are there
SLIPWAY_QUALITY        auc=0.7 accuracy=0.8: what quality must keep, by measure
SLIPWAY_SLICES         ["region"]: a JSON list of columns for each of whose values it must be kept too
SLIPWAY_PARTS_URI      the counts that several instances left, instead of the capture lines
SLIPWAY_WINDOW_END     an ISO time, or `now`: SLIPWAY_STARTED where that is given; SLIPWAY_WINDOW_HOURS before it
sagemaker_endpoint_name, output_path

Without SLIPWAY_CAPTURE_URI it is Model Monitor's environment that is read, by `monitor window`.

    monitor judge
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from contract import places
from contract.records import RecordError
from monitoring.capture import instant
from monitoring.commands import canary, experiment
from monitoring.commands.window import hosts_of, time_of
from monitoring.outcomes.reference import FILE as REFERENCE
from monitoring.storage import file, folder, listing

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "judge what the monitor pipeline's environment describes"
ALL = ""  # stands for every variant, when one baseline is named for all


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be run, and run nothing")


def run(args: argparse.Namespace, outside: Outside) -> int:
    from monitoring.cli import main

    if "SLIPWAY_CAPTURE_URI" not in outside.environment:
        return main(["window"], outside)
    outside = at_the_start(outside)
    commands = list(Described.of(outside).commands(dry=args.dry_run))
    if args.dry_run:
        for command in commands:
            outside.say("monitor " + " ".join(command))
        return 0
    return max(main(command, outside) for command in commands)


def at_the_start(outside: Outside) -> Outside:
    """Now is when the platform started this run: its clock counts, not this machine's, nor how long a job waited."""
    started = instant(outside.environment.get("SLIPWAY_STARTED", ""))
    return replace(outside, now=lambda: started) if started else outside


@dataclass(frozen=True)
class Described:
    """What the environment asks for."""

    outside: Outside
    given: Mapping[str, str]
    serving: Mapping[str, str]  # the artifact's hash behind each variant
    end: datetime
    counting: bool  # whether this is one of several instances, which only count

    @classmethod
    def of(cls, outside: Outside) -> Described:
        given = outside.environment
        until = given.get("SLIPWAY_WINDOW_END", "now")
        end = outside.now().replace(microsecond=0) if until == "now" else time_of(until, "until")
        return cls(outside, given, serving(given, outside), end, len(hosts_of(outside)[1]) > 1)

    @property
    def endpoint(self) -> str:
        return self.given.get("sagemaker_endpoint_name", "endpoint")

    @property
    def hours(self) -> float:
        return float(self.given.get("SLIPWAY_WINDOW_HOURS", "1"))

    def commands(self, *, dry: bool) -> Iterator[list[str]]:
        """The window of every variant; then, when outcomes have arrived, the quality of each."""
        for variant in self.serving:
            yield self.window(variant)
        outcomes = self.given.get("SLIPWAY_OUTCOMES_URI")
        if outcomes and not self.counting and listing(outcomes, self.outside.s3)[1]:
            for variant, artifact in self.serving.items():
                since = None if dry else self.since(variant, artifact)
                yield self.outcomes(outcomes, variant, artifact, since)
        if not self.counting:
            yield from canary.under_way(self.given, self.place, self.outside)
            schema = self.baseline(next(iter(self.serving)))
            yield from experiment.under_way(self.given, self.outside, schema, self.end)

    def baseline(self, variant: str) -> str:
        artifact = self.serving[variant]
        return f"{self.beside(artifact)}{places.BASELINE}" if artifact else self.given["SLIPWAY_BASELINE_URI"]

    def beside(self, artifact: str) -> str:
        """The folder of an artifact's baseline."""
        return f"{self.given['SLIPWAY_BASELINES_URI'].rstrip('/')}/{artifact}/"

    @property
    def place(self) -> str:
        return self.given.get("output_path", str(self.outside.container.processing / "output")).rstrip("/")

    def output(self, variant: str) -> str:
        """One variant's report stands in the output itself, those of several below their names."""
        return self.place if len(self.serving) == 1 or self.counting else f"{self.place}/{variant}"

    def window(self, variant: str) -> list[str]:
        """The arguments of `monitor window`."""
        parts, windows = self.given.get("SLIPWAY_PARTS_URI"), self.given.get("SLIPWAY_WINDOWS_URI")
        return [
            "window", "--baseline", self.baseline(variant),
            *(["--parts", parts] if parts else ["--capture", self.given["SLIPWAY_CAPTURE_URI"]]),
            *(["--variant", variant] if variant != ALL else []),
            "--until", self.end.isoformat(), "--hours", f"{self.hours:g}",
            "--endpoint", self.endpoint, "--output", self.output(variant), "--publish", "--served",
            *(["--history", f"{windows.rstrip('/')}/counts/"] if windows else []),
        ]  # fmt: skip

    def outcomes(self, outcomes: str, variant: str, artifact: str, since: datetime | None) -> list[str]:
        """The arguments of `monitor outcomes`; the baseline holds the model's schema."""
        windows = self.given.get("SLIPWAY_WINDOWS_URI")
        reference = f"{self.beside(artifact)}{REFERENCE}" if artifact else ""
        return [
            "outcomes", "--capture", self.given["SLIPWAY_CAPTURE_URI"], "--outcomes", outcomes,
            *(["--variant", variant] if variant != ALL else []),
            "--schema", self.baseline(variant), "--until", self.end.isoformat(),
            *(["--since", since.isoformat()] if since else []),
            *(["--reference", reference] if reference and self.is_there(reference) else []),
            *self.kept(),
            *(["--state", f"{windows.rstrip('/')}/watch/{artifact or 'all'}.json"] if windows else []),
            "--endpoint", self.endpoint, "--output", f"{self.output(variant)}/outcomes", "--publish",
        ]  # fmt: skip

    def kept(self) -> list[str]:
        """What quality must keep, as a whole and in slices, as arguments of `monitor outcomes`."""
        slices = self.given.get("SLIPWAY_SLICES", "[]")
        try:
            columns = json.loads(slices)
        except ValueError:
            columns = None
        if not isinstance(columns, list) or not all(isinstance(each, str) for each in columns):
            raise RecordError(f"SLIPWAY_SLICES is '{slices}', expected a JSON list of columns, such as [\"region\"]")
        measures = self.given.get("SLIPWAY_QUALITY", "").split()
        return [*(f"--threshold={each}" for each in measures), *(f"--slice-by={each}" for each in columns)]

    def is_there(self, place: str) -> bool:
        where, name = file(place, self.outside.s3)
        return name in where.names(name)

    def since(self, variant: str, artifact: str) -> datetime | None:
        """From when a variant's answers are its artifact's own: the first window in which it was seen to serve.

        Outcomes of the model that served before it under the same name are not its own. The first model an endpoint
        is watched with owns all there is.
        """
        windows = self.given.get("SLIPWAY_WINDOWS_URI")
        if not windows or not artifact:
            return None
        where, name = folder(windows, self.outside.s3), f"serving/{variant}.json"
        kept = json.loads(where.read(name)) if name in where.names(name) else None
        if kept is None or kept["artifact"] != artifact:
            first = None if kept is None else (self.end - timedelta(hours=self.hours)).isoformat()
            kept = {"artifact": artifact, "since": first}
            where.write(name, json.dumps(kept).encode())
        return instant(kept["since"]) if kept["since"] else None


def serving(given: Mapping[str, str], outside: Outside) -> dict[str, str]:
    """The artifact behind each variant, as the endpoint serves it now: it may have gone back by itself.

    Nothing is named when one baseline is for all of them.
    """
    if "SLIPWAY_BASELINE_URI" in given:
        return {ALL: ""}
    if "SLIPWAY_SERVING" in given:
        parts = [part.partition("=") for part in given["SLIPWAY_SERVING"].split()]
        found = {variant: artifact for variant, _, artifact in parts}
    else:
        seen = canary.described(given.get("sagemaker_endpoint_name", "endpoint"), outside)
        found = canary.artifacts_of(seen["EndpointConfigName"], outside) if seen else {}
    if not found or not all(found.values()) or "SLIPWAY_BASELINES_URI" not in given:
        raise RecordError(
            f"the artifacts that serve are {found}, SLIPWAY_BASELINES_URI is {given.get('SLIPWAY_BASELINES_URI')!r}: "
            "expected VARIANT=ARTIFACT-HASH for each variant in SLIPWAY_SERVING, or an endpoint whose containers say "
            f"{places.ARTIFACT_HASH}; and the folder of their baselines, which say what traffic is compared with. Or "
            "name one with SLIPWAY_BASELINE_URI."
        )
    return found
