"""How fast the network learns over its budget of minutes or steps, and how its weights are averaged on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

WARM_UP = 0.02
"""Share of the budget over which the rate rises."""
AVERAGED_SHARE, LONGEST_AVERAGE = 0.1, 1000
"""The average reaches back over about a tenth of the steps so far, and never more than a thousand."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Minutes or steps; whichever is given is what a training may take."""

    minutes: float | None
    steps: int | None

    def spent(self, *, seconds: float, steps: int) -> float:
        """The share that is used up: 1 and more at the end."""
        return steps / self.steps if self.steps is not None else seconds / (60 * (self.minutes or math.inf))

    def seconds_left(self, *, seconds: float, steps: int) -> float:
        """How long it will take to the end at the pace so far; undefined (nan) before the first step."""
        spent = self.spent(seconds=seconds, steps=steps)
        return seconds * (1 - spent) / spent if spent > 0 else math.nan


def rate_at(spent: float, highest: float) -> float:
    """The learning rate where a share of the budget is spent: a short rise, then half a cosine down to nothing."""
    if spent < WARM_UP:
        return highest * max(spent / WARM_UP, 0.05)
    fallen = min((spent - WARM_UP) / (1 - WARM_UP), 1.0)
    return highest * (1 + math.cos(math.pi * fallen)) / 2


@torch.no_grad()
def average_in(average: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], *, step: int) -> None:
    """Move an exponential moving average towards the weights of step 1, 2, …, in place."""
    window = min(max(AVERAGED_SHARE * step, 1.0), LONGEST_AVERAGE)
    torch._foreach_lerp_(list(average.values()), [weights[name] for name in average], 1 / window)
