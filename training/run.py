"""One run of training, from the channels to the artifact."""

from __future__ import annotations

import sys

from contract.places import Container
from training.channels import Hosts, read_channel
from training.features import infer_schema, table
from training.fit import build_artifact
from training.settings import Settings, settings_of


def train(container: Container) -> int:
    """Train as SageMaker asks: exit 0 with an artifact in the model folder, or 1 with a reason in the failure file."""
    try:
        settings = settings_of(container)
        if Hosts.of(container).leads:
            _train(container, settings)
    except Exception as problem:  # noqa: BLE001 - whatever it is, SageMaker shows only what the failure file says
        container.output.mkdir(parents=True, exist_ok=True)
        container.failure.write_text(f"{type(problem).__name__}: {problem}"[:1024])
        print(f"training failed: {problem}", file=sys.stderr)
        return 1
    return 0


def _train(container: Container, settings: Settings) -> None:
    frame = read_channel(container, "train", header=settings.header, target=settings.target)
    schema = infer_schema(
        frame, settings.target, task=settings.task, drop=settings.drop, categories=settings.categories
    )
    manifest = build_artifact(container.model, table(frame, schema), settings)
    print(f"artifact: {manifest.family}, {len(manifest.files)} files in {container.model}")
