"""One figure against its limit, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of one phase against its limit; `sentence` says it in words. value and limit are None where there is nothing to measure."""

    phase: str
    name: str
    value: float | None
    limit: float | None
    verdict: Literal["pass", "fail"]
    sentence: str


def limited(label: str, name: str, value: float, limit: float, words: str) -> Check:
    """A figure whose size must not exceed the limit; one that is not a number fails."""
    good = abs(value) <= limit
    return Check(label, name, value, limit, "pass" if good else "fail", f"{of(label)}{words.format(value)} (limit {limit:.3g})")


def at_least(label: str, name: str, value: float, limit: float, words: str) -> Check:
    """A figure that must reach the limit; one that is not a number fails."""
    return Check(label, name, value, limit, "pass" if value >= limit else "fail", f"{of(label)}{words.format(value)} (at least {limit:.3g})")


def at_most(label: str, name: str, value: float, limit: float, words: str) -> Check:
    """A figure, sign and all, that must not exceed the limit; one that is not a number fails."""
    return Check(label, name, value, limit, "pass" if value <= limit else "fail", f"{of(label)}{words.format(value)} (at most {limit:.5g})")


def nothing_to_measure(label: str, name: str, limit: float | None, why: str) -> Check:
    """No figure, and that is no failure; the sentence says why."""
    return Check(label, name, None, limit, "pass", f"{of(label)}{why}")


def of(label: str) -> str:
    """How a sentence begins: with the phase, where there is one."""
    return f"Phase {label}: " if label else ""
