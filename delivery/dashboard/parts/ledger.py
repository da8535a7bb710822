"""Every decision, newest first, and whether the chain is whole as far as it was read."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from delivery.dashboard.chain import Chain, Chains, looked_at
from delivery.dashboard.looking import Look
from delivery.ledger import Break, Event, Ledger
from monitoring.report.page import table, text

TITLE, PLACE, WIDE = "Ledger", 90, True
SHOWN = 30
SEEN = Chains()


@dataclass(frozen=True, slots=True)
class Found:
    """The newest events, how many there are, and what is wrong with the chain; nothing when it could not be checked."""

    events: tuple[Event, ...]
    count: int
    checked: int
    breaks: tuple[Break, ...] | None


def read(look: Look) -> Found:
    here = look.environment
    ledger = Ledger(look.client("s3"), look.bucket("evidence"), here.name)
    key = public_key(look)

    def further(known: Chain) -> Chain:
        return looked_at(ledger, known, key)

    chain = SEEN.look((here.cloud.url, ledger.bucket, key), further)
    mine = [each for each in reversed(chain.events) if each.decision.model == look.model]
    return Found(tuple(mine[:SHOWN]), len(mine), chain.count, None if key is None else chain.breaks)


def public_key(look: Look) -> bytes | None:
    """The key that verifies; it may be another's to read, and the events are shown all the same."""
    try:
        return look.environment.signer.public_key()
    except ClientError:
        return None


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
        return (
            f'{shown}<b class="good-text">The chain is whole</b> over the {found.checked} decisions of all models, '
            "each checked once when this page first read it. "
            "<code>slipway ledger verify</code> checks all that is stored."
        )
    said = "; ".join(text(each.says) for each in found.breaks[:3])
    return shown + f'<b class="bad-text">The chain is broken: {said}</b>'
