"""Write the pages that are made from code, so that they cannot fall behind it; `--check` only says which did."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contract.signals import TABLE, Signal  # noqa: E402
from delivery.release import diagram  # noqa: E402


def alarm(signal: Signal) -> str:
    watch = signal.watch
    if watch is None:
        return ""
    minutes = watch.period_seconds / 60
    often = f", {watch.breaching_periods} of {watch.periods}" if watch.periods > 1 else ""
    words = {"GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": "≥", "LessThanThreshold": "<"}
    page = signal.runbook.removeprefix("docs/")
    rule = f"{signal.statistic} {words.get(watch.comparison, '≤')} {watch.threshold:g} in {minutes:g} min{often}"
    return f"[{signal.alarm_means}]({page}) {rule}"


SIGNALS = """# Signals

Every metric that is published or watched, from `contract/signals.py`. Thresholds are defaults; settings change them.

| key | metric | dimensions | unit | what it says | alarm |
| --- | --- | --- | --- | --- | --- |
{rows}
"""
RELEASES = """# The states of a release

Drawn from `delivery/release.py`. A command that has no arrow from the present state is refused with the reason.

```mermaid
{drawing}
```
"""


def signals() -> str:
    rows = (
        f"| `{each.key}` | `{each.namespace}` `{each.name}` | {', '.join(each.dimensions)} | {each.unit} | {each.says} | {alarm(each)} |"
        for each in TABLE
    )
    return SIGNALS.format(rows="\n".join(rows))


def releases() -> str:
    return RELEASES.format(drawing=diagram())


PAGES = {"docs/signals.md": signals, "docs/release-states.md": releases}


def main() -> int:
    stale = [name for name, make in PAGES.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != make()]
    if "--check" in sys.argv:
        if stale:
            print(f"behind the code: {', '.join(stale)}. Run `make tables` and commit what it writes.")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(PAGES[name]())
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
