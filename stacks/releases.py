"""What the release file of an environment says, for the program that declares its endpoints."""

from __future__ import annotations

from pathlib import Path

import yaml

from contract.records import RecordError
from contract.release import Release, Releases
from stacks.settings import ServingSettings, SettingsError


def read_releases(environment: str, root: Path) -> Releases:
    """The releases; no file means that nothing serves yet."""
    path = root / "releases" / f"{environment}.yaml"
    if not path.exists():
        return Releases()
    try:
        return Releases.from_json(yaml.safe_load(path.read_text()))
    except (RecordError, yaml.YAMLError, TypeError, AttributeError, KeyError) as problem:
        raise SettingsError(
            f"releases/{path.name}: {problem}. It is written by slipway and kept in git: bring the last good one back "
            f"with `git checkout -- releases/{path.name}`. Nothing was changed."
        ) from None


def refuse_misfit(model: str, serving: ServingSettings, release: Release) -> None:
    """What SageMaker does not serve in this form."""
    if serving.form != "serverless":
        return
    several = [each.name for each in release.variants] + (["shadow"] if release.shadow else [])
    if len(several) > 1:
        raise SettingsError(
            f"models.{model}: given form: serverless and a release with {', '.join(several)}, expected one variant. "
            "Serverless endpoints take neither several variants nor a shadow: end the experiment first, or set form: "
            "realtime. Nothing was changed."
        )
