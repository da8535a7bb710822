"""Every decision, newest first, and whether the chain is whole."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from delivery.dashboard.looking import Look
from delivery.ledger import Break, Event, Ledger
from monitoring.report.page import table, text

TITLE, PLACE, WIDE = "Ledger", 90, True
SHOWN = 30


@dataclass(frozen=True, slots=True)
class Found:
    """The newest events, how many there are, and what is wrong with the chain; nothing when it could not be checked."""

    events: tuple[Event, ...]
    count: int
    breaks: tuple[Break, ...] | None


def read(look: Look) -> Found:
    here = look.environment
    ledger = Ledger(look.client("s3"), look.bucket("evidence"), here.name)
    events = ledger.events()
    try:
        breaks = tuple(ledger.verify(here.signer.public_key()))
    except ClientError:  # the key may be another's to read; the events are shown all the same
        breaks = None
    mine = [each for each in reversed(events) if each.decision.model == look.model]
    return Found(tuple(mine[:SHOWN]), len(mine), breaks)


def show(found: Found) -> str:
    if not found.events:
        return '<p class="empty">Nothing was decided yet.</p>'
    rows = [
        [
            text(each.decision.at[:16].replace("T", " ")),
            text(each.decision.who),
            text(each.decision.what),
            f'<span class="text">{text(each.decision.why)}</span>',
        ]
        for each in found.events
    ]
    return f"<p>{whole(found)}</p>" + table(["at", "who", "what", "why"], rows, "Decisions")


def whole(found: Found) -> str:
    shown = f"{len(found.events)} of {found.count} decisions about this model. "
    if found.breaks is None:
        return shown + "The signing key may not be read, so the chain was not checked."
    if not found.breaks:
        return shown + '<b class="good-text">The chain is whole.</b>'
    said = "; ".join(text(each.says) for each in found.breaks[:3])
    return shown + f'<b class="bad-text">The chain is broken: {said}</b>'
