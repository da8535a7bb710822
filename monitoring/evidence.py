"""How surely a window differs from the reference: bounds on p-values that hold at any size, far into the tail.

An alarm that may be false once a year over thousands of looks is decided at p-values near 1e-9, where approximations
by the normal curve are wrong by orders of magnitude. Both bounds here are exact statements about drawing the window
from the pool of reference and window: a share is hypergeometric, and its tail is at most a geometric series; a mean of
scores obeys Chernoff's bound, which drawing without replacement can only sharpen (Hoeffding 1963). All work on logs,
over any leading axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[Any]  # counts, or counts weighted

SCREEN = 3.5  # standard errors; anything nearer has p > 1e-6 and cannot matter to a yearly budget
STEPS = 6  # Newton steps of Chernoff's bound; any number of them gives a valid bound


def share_above(hits: Numbers, rows: Numbers, reference_hits: Numbers, reference_rows: Numbers) -> Floats:
    """The log of an upper bound on P(as many hits or more), when window and reference share one rate.

    >>> float(np.exp(share_above(np.array(9), np.array(10), np.array(10), np.array(100))).round(9))
    1.81e-07
    """
    k, n, b, m = (np.asarray(each, np.float64) for each in (hits, rows, reference_hits, reference_rows))
    hit, total = k + b, n + m
    log_mass = _log_choose(hit, k) + _log_choose(total - hit, n - k) - _log_choose(total, n)
    # The next term over this one; the ratios fall from there on, so the tail is below the geometric series.
    ratio = (hit - k) * (n - k) / ((k + 1) * np.maximum(total - hit - n + k + 1, 0.5))
    falls = ratio < 1
    bound = log_mass - np.log1p(-np.where(falls, ratio, 0.0))
    result: Floats = np.where(falls & (n > 0) & (m > 0), np.minimum(bound, 0.0), 0.0)
    return result


def share_below(hits: Numbers, rows: Numbers, reference_hits: Numbers, reference_rows: Numbers) -> Floats:
    """The log of an upper bound on P(as few hits or fewer)."""
    return share_above(np.subtract(rows, hits), rows, np.subtract(reference_rows, reference_hits), reference_rows)


def share_differs(hits: Numbers, rows: Numbers, reference_hits: Numbers, reference_rows: Numbers) -> Floats:
    """The log of an upper bound on the two-sided p-value."""
    above = share_above(hits, rows, reference_hits, reference_rows)
    below = share_below(hits, rows, reference_hits, reference_rows)
    return np.minimum(np.minimum(above, below) + np.log(2.0), 0.0)


def share_differs_screened(hits: Numbers, rows: Numbers, reference_hits: Numbers, reference_rows: Numbers) -> Floats:
    """`share_differs`, computed only where it can matter to an alarm; elsewhere the log is 0."""
    k, n, b, m = np.broadcast_arrays(
        *(np.asarray(each, np.float64) for each in (hits, rows, reference_hits, reference_rows))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (k + b) / (n + m)
        gap = k / n - b / m
        far = np.asarray(gap * gap > SCREEN * SCREEN * pooled * (1 - pooled) * (1 / n + 1 / m))
    result = np.zeros(k.shape)
    if far.any():
        result[far] = share_differs(k[far], n[far], b[far], m[far])
    return result


def _log_choose(total: Floats, chosen: Floats) -> Floats:
    result: Floats = (
        special.gammaln(total + 1) - special.gammaln(chosen + 1) - special.gammaln(np.maximum(total - chosen, 0.0) + 1)
    )
    return result


def mean_differs(cells: Numbers, reference: Numbers, scores: Numbers, *, screen: float = SCREEN) -> Floats:
    """The log of an upper bound on the two-sided p-value of the window's mean score; cells are the last axis."""
    window, base = np.asarray(cells, np.float64), np.asarray(reference, np.float64)
    scores = np.asarray(scores, np.float64)
    rows, base_rows = window.sum(-1), base.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The bound is for drawing n rows with replacement from the pool; from either side it is valid, so take the
        # smaller sample, whose bound loses less.
        small = np.where((rows <= base_rows)[..., None], window, base)
        size = np.minimum(rows, base_rows)
        pool = (window + base) / (rows + base_rows)[..., None]
        centre = (pool * scores).sum(-1)
        variance = (pool * (scores - centre[..., None]) ** 2).sum(-1)
        gap = (small * scores).sum(-1) / size - centre
        far = (gap * gap * size > screen * screen * variance) & (variance > 0) & (size > 0)
    result = np.zeros(far.shape)
    if not far.any():
        return result
    scores = np.broadcast_to(scores, pool.shape)
    bound = _chernoff(pool[far], scores[far] - centre[far][:, None], gap[far], variance[far], size[far])
    result[far] = np.minimum(bound + np.log(2.0), 0.0)
    return result


def _chernoff(pool: Floats, scores: Floats, gap: Floats, variance: Floats, size: Floats) -> Floats:
    """Size * min over t of (log E exp(t * score) - t * gap), by Newton's method kept inside what exp can hold."""
    scores, gap = scores * np.sign(gap)[:, None], np.abs(gap)
    limit = 500.0 / np.abs(scores).max(-1)
    at = np.minimum(gap / variance, limit)
    best = np.zeros(len(gap))
    for _ in range(STEPS):
        tilted = pool * np.exp(at[:, None] * scores)
        mass = tilted.sum(-1)
        best = np.minimum(best, np.log(mass) - at * gap)
        slope = (tilted * scores).sum(-1) / mass
        curve = (tilted * scores**2).sum(-1) / mass - slope**2
        at = np.clip(at + (gap - slope) / np.maximum(curve, 1e-12), 0.0, limit)
    return size * best


def correlation_differs(
    window: Floats, rows: Numbers, reference: Floats, reference_rows: Numbers, spread: Floats
) -> Floats:
    """The log of the two-sided p-value of a changed correlation (Fisher's z).

    `spread` is the variance of z in units of the normal curve's, measured in the reference: dependence that is not
    linear makes it larger than one.
    """
    n, m = np.asarray(rows, np.float64), np.asarray(reference_rows, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.abs(np.arctanh(np.clip(window, -0.999, 0.999)) - np.arctanh(np.clip(reference, -0.999, 0.999)))
        error = np.sqrt(spread * (1 / np.maximum(n - 3, 1e-9) + 1 / np.maximum(m - 3, 1e-9)))
        result: Floats = np.minimum(special.log_ndtr(-gap / error) + np.log(2.0), 0.0)
    return np.nan_to_num(result, nan=0.0)
