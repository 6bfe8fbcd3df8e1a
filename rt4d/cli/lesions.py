"""--lesions of rt4d compare: the rule by which lesions are matched, from a text."""

from __future__ import annotations

from rt4d.agreement.matching import Centroid, DiceAtLeast, IouAtLeast, Overlap, ShippedRule
from rt4d.errors import InputError

EXPECTED = "overlap, overlap=0.1 (share of both lesions), dsc=0.5, iou=0.3, centroid, centroid=10 (mm)"


def lesion_rule(text: str) -> ShippedRule:
    """The rule that a text names, with its share or distance."""
    name, given, number = text.strip().lower().partition("=")
    try:
        value = float(number) if given else 0.0
        if name == "overlap":
            return Overlap(value, value)
        if name == "centroid":
            return Centroid(value)
        if given and name in ("dsc", "iou"):
            return DiceAtLeast(value) if name == "dsc" else IouAtLeast(value)
    except ValueError:  # no number, or not one that the rule takes
        pass
    raise InputError("--lesions takes a rule by which lesions are matched", expected=EXPECTED, found=repr(text))
