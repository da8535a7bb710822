"""The stages as a pipeline sees them hang together."""

from __future__ import annotations

import re

from contract.stages import METRICS, STAGES, metric_definitions


def test_every_stage_reads_what_another_writes_or_what_comes_from_outside() -> None:
    written = {place.name for stage in STAGES.values() for place in stage.writes}
    read = {place.name for stage in STAGES.values() for place in stage.reads}
    assert read - written == {"raw", "train", "validation", "test"}


def test_property_files_stand_in_an_output_of_their_stage() -> None:
    for stage in STAGES.values():
        for output, _ in stage.property_files.values():
            assert output in {place.name for place in stage.writes}


def test_metric_definitions_keep_to_sagemakers_limits_and_read_a_metric_line() -> None:
    definitions = metric_definitions()
    assert len(definitions) <= 40
    by_name = {each["Name"]: each["Regex"] for each in definitions}
    assert all(f"validation_{metric}" in by_name for metric in METRICS)
    found = re.search(by_name["validation_auc"], "metrics: validation_accuracy=0.5 validation_auc=9.1e-01")
    assert found is not None
    assert float(found[1]) == 0.91
