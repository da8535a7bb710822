"""The model card of a version: where it comes from, how it was judged, who said yes; as SageMaker keeps it.

The schema (v0.1.0, as a package carries it) takes no property of its own making: lineage stands in the observations
and custom details, which take any text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from delivery.bundle import Bundle
from delivery.evidence import Evidence
from delivery.registry import Version


def card(version: Version, bundle: Bundle) -> dict[str, str]:
    """The card as `UpdateModelPackage` takes it."""
    return {"ModelCardStatus": "Approved", "ModelCardContent": json.dumps(content(version, bundle), sort_keys=True)}


def content(version: Version, bundle: Bundle) -> dict[str, Any]:
    evidence = bundle.evidence
    return {
        "model_overview": {
            "model_name": evidence.model,
            "model_owner": evidence.author,
            "algorithm_type": version.metadata.get("family", "unknown"),
            "inference_environment": {"container_image": [version.image]},
        },
        "training_details": {"training_observations": sentences(lineage(version, evidence))},
        "evaluation_details": [evaluation(version, bundle)],
        "additional_information": {"custom_details": {**lineage(version, evidence), "evidence": bundle.hash}},
    }


def lineage(version: Version, evidence: Evidence) -> dict[str, str]:
    """From the rows to this version: what each step left its name or its hash of."""
    known = {
        "data": version.metadata.get("data"),
        "data_hash": evidence.data_hash,
        "code_hash": evidence.code_hash,
        "artifact": version.artifact,
        "artifact_hash": evidence.artifact_hash,
        "run": version.metadata.get("run_uri"),
        "execution": version.metadata.get("execution"),
        "training_job": version.metadata.get("training_job"),
        "promoted_from": version.metadata.get("promoted_from"),
        "promoted_package": version.metadata.get("promoted_package"),
    }
    return {name: value for name, value in known.items() if value}


def sentences(facts: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in facts.items())[:1024]


def evaluation(version: Version, bundle: Bundle) -> dict[str, Any]:
    """The metrics on rows the model never saw, and what the gates found."""
    metrics = [
        {"name": name, "type": "number", "value": each.value} for name, each in sorted(bundle.evidence.metrics.items())
    ]
    said = ", ".join(f"{each.who}: {each.note}" for each in bundle.evidence.approvals)
    return {
        "name": f"gates of version {version.version}",
        "evaluation_observation": f"{bundle.verdict.word}; approved by {said or 'nobody'}"[:1024],
        "datasets": [version.metadata.get("data", "")],
        "metric_groups": [{"name": "unseen rows", "metric_data": metrics}],
    }
