"""The demo's experiment: its terms, and what the monitor's own program says of it so far."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from contract import places
from delivery.dossier import Stored, read_artifact
from delivery.engine.cloud import process_environment
from delivery.platform import Platform

TERMS: dict[str, Any] = {
    "metric": {"name": "accuracy", "kind": "rate", "base": 0.75, "minimum_effect": 0.02, "counts": "right"},
    "guardrails": [{"name": "errors", "kind": "errors", "tolerated": 1.5, "never": 3.0, "negligible": 0.05}],
    "look_hours": 24,
    "maturity_hours": 24,
    "minimum_looks": 3,
}


class TrialError(Exception):
    """The experiment could not be judged; the text carries what the monitor said."""


def judged(platform: Platform, model: str, name: str, began: datetime, folder: Path) -> dict[str, Any]:
    """Count the days that are over, judge, publish; the verdict."""
    here = platform.environment
    endpoint = here.settings.names.endpoint(model)
    prefix = places.experiment_prefix(endpoint, name)
    now = here.now().isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    terms, schema = folder / "experiment.json", folder / "schema.json"
    terms.write_text(json.dumps({"name": name, **TERMS}))
    artifact = read_artifact(Stored(here.s3), platform.release(model).champion.package.artifact)
    schema.write_text(json.dumps(artifact.manifest.schema.to_json()))
    output = f"s3://{here.bucket('artifacts')}/{prefix}"
    command = [
        sys.executable, "-m", "monitoring", "experiment", "--experiment", str(terms), "--schema", str(schema),
        "--capture", f"s3://{here.bucket('capture')}/{places.capture_prefix(endpoint)}",
        "--outcomes", f"s3://{here.bucket('outcomes')}/{places.outcomes_prefix(endpoint)}",
        "--since", began.isoformat(), "--until", now,
        "--endpoint", endpoint, "--output", output, "--publish",
    ]  # fmt: skip
    variables = process_environment(here.cloud) | {"SLIPWAY_STARTED": now}
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise TrialError(f"the experiment could not be judged:\n{ran.stderr.strip()}")
    return Stored(here.s3).document(f"{output}verdict.json")
