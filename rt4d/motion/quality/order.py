"""Whether the target's way through the cycle is a breath's: each phase where its label says, none beside the way of the others.

Breathing is smooth and has one deepest point, so a few harmonics of the cycle tell most of it. The expectation is a Gaussian process: along each
principal axis of the trajectory, random harmonics of the sizes below and a scatter. Under it two questions have closed answers: how far does a phase
lie from where the others expect it, and by how much would the whole be likelier if two phases changed places? The first harmonic is
expected to be deepest, or highest, near 0 %, where scanners put the end of inhalation.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from rt4d.geometry import Floats
from rt4d.motion.motion import Motion
from rt4d.motion.quality.check import Check, nothing_to_measure, of
from rt4d.phases import parse_label
from rt4d.volumes import Mask

HARMONICS = ((0.45, 0.15), (0.15, 0.08), (0.04, 0.03), (0.02, 0.02))
"""Standard deviations of the cosine and the sine of each harmonic, in shares of the range of motion; cos⁴ has 0.5 and 0.125."""
SCATTER_MM = 0.35
SCATTER = 0.04
"""What registration and uneven breaths add at each phase, in mm and as a share of the range of motion."""
APART_MM = 2.0
"""Phases nearer to one another than this are not worth exchanging."""
FEWEST = 4
"""Phases, fewer of which have no order to see."""
FEWEST_FOR_GAPS = 5
GATED = 4.5
"""A gap so many times as long as the usual one is not a lost phase: only part of the cycle was given, as for gated treatment."""


def order_checks(motion: Motion, mask: Mask, *, drawn: Collection[str] = ()) -> list[Check]:
    """Three figures of the cycle as a whole. Drawn phases have none of the target's way: people scatter more than registrations."""
    return [*_trajectory_checks(motion, mask, drawn), *_gap_check(motion)]


def _trajectory_checks(motion: Motion, mask: Mask, drawn: Collection[str]) -> list[Check]:
    registered = [label for label in motion.fields if label not in drawn]
    if not registered:
        return []
    limits = motion.recipe.target_limits
    way = {label: place for label, place in motion.trajectory(mask).items() if label not in drawn}
    labels = list(way)
    if len(labels) < FEWEST:
        why = f"{len(labels)} phases are too few to see their order"
        return [nothing_to_measure(registered[0], name, None, why) for name in ("phase_order", "trajectory_outlier_mm")]
    breath = Breath.of(np.array([way[label] for label in labels]), places_in_cycle(motion.labels, labels))
    off_mm, deviations = breath.outliers()
    worst = int(deviations.argmax())
    limit_mm = float(off_mm[worst] * limits.trajectory_deviations / max(deviations[worst], 1e-9))
    good = deviations[worst] <= limits.trajectory_deviations
    said = f"lies {off_mm[worst]:.1f} mm from where the other phases expect the target (limit {limit_mm:.1f}, at this range of motion)"
    at = labels[worst]
    outlier = Check(at, "trajectory_outlier_mm", float(off_mm[worst]), limit_mm, "pass" if good else "fail", of(at) + said)
    return [_order_check(breath, labels, limits.phase_order, otherwise=at), outlier]


def _order_check(breath: Breath, labels: list[str], limit: float, *, otherwise: str) -> Check:
    exchanged, odds = breath.better_order()
    if not exchanged:
        said = "no two phases look exchanged"
        return Check(otherwise, "phase_order", 0.0, limit, "pass", f"{of(otherwise)}{said} (limit {limit:g})")
    pairs = ", ".join(f"{labels[i]} and {labels[j]}" for i, j in exchanged)
    said = f"the target's way is 10^{odds:.1f} times likelier with phases {pairs} exchanged (limit 10^{limit:g})"
    at = labels[exchanged[0][1]]
    return Check(at, "phase_order", odds, limit, "pass" if odds <= limit else "fail", of(at) + said)


def _gap_check(motion: Motion) -> list[Check]:
    """Whether a phase of the cycle is missing, where there are enough to know how far apart they are."""
    if len(motion.labels) < FEWEST_FOR_GAPS or any(parse_label(label)[1] for label in motion.labels):
        return []
    percent = sorted({parse_label(label)[0] % 100 for label in motion.labels})
    gaps = np.array([b - a for a, b in pairwise([*percent, percent[0] + 100])])
    widest, usual = float(gaps.max()), float(np.median(gaps))
    limit = motion.recipe.target_limits.cycle_gap * usual
    after = percent[int(gaps.argmax())]
    others = [label for label in motion.labels if label != motion.reference_label]
    at = next((label for label in others if parse_label(label)[0] % 100 == after), others[0])
    if widest > GATED * usual:
        return [nothing_to_measure(at, "cycle_gap_percent", limit, f"only part of the cycle was given: nothing for {widest:g} % after {after:g} %")]
    said = f"the longest time without a phase is {widest:g} % of the cycle, after {after:g} % (limit {limit:g}): is a phase missing?"
    said = said if widest > limit else said.removesuffix(": is a phase missing?")
    return [Check(at, "cycle_gap_percent", widest, limit, "pass" if widest <= limit else "fail", of(at) + said)]


def places_in_cycle(all_labels: tuple[str, ...], labels: list[str]) -> Floats:
    """Where phases stand in the cycle, 0 to 1: by their percentage; evenly, in their order, where In and Ex tell the way of breathing."""
    if any(parse_label(label)[1] for label in all_labels):
        return np.array([all_labels.index(label) / len(all_labels) for label in labels])
    return np.array([parse_label(label)[0] / 100 for label in labels])


@dataclass(frozen=True, slots=True, eq=False)
class Breath:
    """A trajectory along its principal axes, shape (phases, 3) in mm about its mean, and along each the inverse covariance of what is expected."""

    at_mm: Floats
    precision: Floats

    @classmethod
    def of(cls, positions_mm: Floats, places: Floats) -> Breath:
        """positions_mm: shape (phases, 3), one per place in the cycle (0 to 1)."""
        centred = positions_mm - positions_mm.mean(axis=0)
        at = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
        ranges = np.ptp(at, axis=0)
        scatter = (SCATTER_MM**2 + (SCATTER * ranges[0]) ** 2) * np.eye(len(places))
        expected = _harmonics(places)
        return cls(at, np.stack([np.linalg.inv(size**2 * expected + scatter) for size in ranges]))

    def outliers(self) -> tuple[Floats, Floats]:
        """How far each phase lies from where all others expect it, in mm and in standard deviations of that expectation."""
        pulls = np.einsum("aij,ja->ia", self.precision, self.at_mm)
        certainty = np.diagonal(self.precision, axis1=1, axis2=2).T
        return np.linalg.norm(pulls / certainty, axis=1), np.sqrt((pulls**2 / certainty).sum(axis=1))

    def better_order(self) -> tuple[list[tuple[int, int]], float]:
        """Exchanges of two phases, best first, that make the trajectory likelier as long as there is one, and the decimal logarithm of the odds."""
        at, gained = self.at_mm.copy(), 0.0
        exchanged: list[tuple[int, int]] = []
        while len(exchanged) < len(at):
            gains = {pair: self._gain(at, *pair) for pair in combinations(range(len(at)), 2)}
            best = max(gains, key=lambda pair: gains[pair])
            if gains[best] <= 0.1:
                break
            at[list(best)] = at[list(best)[::-1]]
            exchanged.append(best)
            gained += gains[best]
        return exchanged, gained / float(np.log(10))

    def _gain(self, at: Floats, i: int, j: int) -> float:
        """Log-likelihood with two phases exchanged, less that without."""
        if np.linalg.norm(at[i] - at[j]) < APART_MM:
            return 0.0
        other = at.copy()
        other[[i, j]] = other[[j, i]]
        return (self._strain(at) - self._strain(other)) / 2

    def _strain(self, at: Floats) -> float:
        return float(np.einsum("ia,aij,ja", at, self.precision, at))


def _harmonics(places: Floats) -> Floats:
    """The covariance between places in the cycle, of unit range of motion; of the mean it says nothing."""
    covariance = np.full((len(places),) * 2, 4.0)
    for order, (cosine, sine) in enumerate(HARMONICS, start=1):
        angle = 2 * np.pi * order * places
        covariance += np.outer(cosine * np.cos(angle), cosine * np.cos(angle)) + np.outer(sine * np.sin(angle), sine * np.sin(angle))
    return covariance
