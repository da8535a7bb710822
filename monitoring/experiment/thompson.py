"""Thompson sampling as advice: the weights it would set, never a verdict.

A variant's weight is the chance that it is the best one, given what was seen, and at least a floor: below about a
tenth the experiment starves. Beliefs come from the stratified evidence against the champion, so that moving weights
while the base rate drifts does not mislead the next move. Weights are proposed between looks only, for the traffic
controller to apply or not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monitoring.experiment.evidence import Array, Evidence

FLOOR = 0.10


def propose(
    challengers: Mapping[str, Evidence], *, champion: str = "champion", better: str = "higher", floor: float = FLOOR
) -> dict[str, float]:
    """The proposed weights, summing to one, from each challenger's evidence after the latest look."""
    count = 1 + len(challengers)
    if not 0 <= floor * count <= 1:
        raise ValueError(f"a floor of {floor} for {count} variants is not possible: their sum would exceed one")
    chances = chance_of_best([_belief(each, better) for each in challengers.values()])
    free = 1 - floor * count
    return {name: floor + free * float(chance) for name, chance in zip((champion, *challengers), chances, strict=True)}


def _belief(evidence: Evidence, better: str) -> tuple[Array, Array]:
    """Effects in the direction that is better, ascending, and the share of belief at each."""
    effects, log_likelihood = evidence.grid.effects, evidence.log_likelihood
    density = np.exp(log_likelihood - log_likelihood.max()) * np.gradient(effects)
    share = density / density.sum()
    return (effects, share) if better == "higher" else (-effects[::-1], share[::-1])


def chance_of_best(beliefs: list[tuple[Array, Array]]) -> Array:
    """For the champion, whose effect is zero, and each challenger: the chance that none of the others is better."""
    champion = np.prod([_chance_below(effects, share, np.zeros(1)) for effects, share in beliefs], axis=0)
    chances = [float(champion[0]) if beliefs else 1.0]
    for which, (effects, share) in enumerate(beliefs):
        others = [_chance_below(*belief, effects) for index, belief in enumerate(beliefs) if index != which]
        above_champion = np.where(effects > 0, 1.0, np.where(effects == 0, 0.5, 0.0))
        chances.append(float((share * above_champion * np.prod(others, axis=0)).sum()))
    found = np.asarray(chances)
    return np.asarray(found / found.sum())


def _chance_below(effects: Array, share: Array, at: Array) -> Array:
    """The chance that this belief's effect is below each value; an equal one counts half."""
    below = np.concatenate([[0.0], np.cumsum(share)])
    left, right = np.searchsorted(effects, at, side="left"), np.searchsorted(effects, at, side="right")
    return np.asarray((below[left] + below[right]) / 2)
