"""Plots as PNG, drawn without a screen and without anything global."""

from __future__ import annotations

import io
from typing import Any


def figure(panels: int = 1, height: float = 4) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    made = Figure(figsize=(5 * panels, height), layout="constrained")
    return made, [made.add_subplot(1, panels, at + 1) for at in range(panels)]


def png(drawn: Any) -> bytes:
    written = io.BytesIO()
    drawn.savefig(written, format="png", dpi=90, metadata={"Software": None})
    return written.getvalue()
