"""Which phase of the breathing cycle an image says it is: read from what vendors write, never from the names of files or folders.

Three kinds of evidence, the stronger first: a percentage that is written as one (the standard's nominal percentage, '40.0%' in a text), a
bare 'T40', and the standard's temporal position. Reconstructions over several phases (average, MIP, minimum) are told here too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rt4d.dicom.headers import Slice
from rt4d.errors import PhaseError

NUMBER = r"(?P<percent>\d{1,3}(?:[.,]\d+)?)"
WAY = r"(?P<way>in(?:h(?:ale|alation)?|sp(?:iration|ir)?)?|ex(?:h(?:ale|alation)?|p(?:iration|ir)?)?)"
START, END = r"(?<![a-z0-9.,])", r"(?![a-z])"

RANGE = re.compile(rf"{START}\d{{1,3}}(?:[.,]\d+)?\s*%?\s*(?:-|–|to|bis|\.\.+|…)\s*\d{{1,3}}(?:[.,]\d+)?\s*%", re.I)
"""'0-100%': the span of an average or of the gating window, not a phase."""
NEGATIVE = re.compile(r"(?<![^\s=:;,(])[-−–]\d{1,3}(?:[.,]\d+)?\s*%")
_TO, _VERTEBRA = r"\s*(?:[-–/]|to|bis)\s*", r"(?:[1-9]|1[0-2])"
SPINE = re.compile(rf"(?<![a-z0-9])(?:[ctl]{_VERTEBRA}{_TO}[ctls]{_VERTEBRA}|t\d{{1,3}}{_TO}t\d{{1,3}}|t1[01]{_TO}1[12])(?![\d.,a-z%])", re.I)
"""'T10-T12': a stretch of the spine; 'T00-T90' is the span of an average."""
_OTHER_WORDS = r"(?:asir(?:\W?v)?|safire|admire|idose\d?|blend\w*|fov|dose|zoom|scale|weight\w*)"
_OWN_NUMBER = r"[^\da-z%]{0,3}\d+(?:[.,]\d+)?(?![\d.,]|\s*[a-z])"
OTHER_PERCENTAGE_AFTER = re.compile(rf"{START}{_OTHER_WORDS}{END}[^\da-z%]{{0,3}}\d{{1,3}}(?:[.,]\d+)?\s*%", re.I)
OTHER_PERCENTAGE_BEFORE = re.compile(rf"\d{{1,3}}(?:[.,]\d+)?\s*%[^\da-z%]{{0,3}}{_OTHER_WORDS}{END}(?!{_OWN_NUMBER})", re.I)
"""Iterative reconstruction strength, field of view, dose: percentages that are no phase. One before the word is a phase where the word has a number
of its own ('50% SAFIRE 3'), and where the text says phase ('T=40% ASIR')."""

CLEAR = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"{START}t\s*=\s*{NUMBER}\s*%?(?:\s*{WAY}{END})?",
        rf"{NUMBER}\s*%[\s_-]*{WAY}{END}",
        rf"{START}{WAY}[\s_=-]*{NUMBER}\s*%",
        rf"(?:gated|gating|phase|resp[a-z]*)[\s,:=_-]*{NUMBER}\s*%",
    )
)
PLAIN = re.compile(rf"(?<![\d.,]){NUMBER}\s*(?:%|percent|pct)", re.I)
BARE = re.compile(r"(?<![a-z0-9])t[_ ]?(?P<percent>\d{2}|100)(?![\d.,a-z])", re.I)
"""'T00' … 'T90' without a percent sign."""

KINDS = tuple(
    (kind, re.compile(rf"(?:(?<![a-z])|(?<=4d)|(?<=4dct))(?:{words})(?![a-z])", re.I))
    for kind, words in (
        ("minip", r"min[\s_-]*ip|mnip|min(?:imum)?[\s_-]*int\w*"),
        ("mip", r"mip|max[\s_-]*ip|max(?:imum)?[\s_-]*int\w*"),
        ("average", r"ave|avg[a-z]*|average[a-z]*|(?:av|ave|average|mean)[\s_-]*ip|aip|mean|mittel\w*|moyenne|un[\s_-]?(?:tagged|gated|sorted)"),
    )
)
IMAGE_TYPES = {
    **dict.fromkeys(("AVERAGE", "MEAN"), "average"),
    **dict.fromkeys(("MIP", "MAX_IP", "MAXIMUM"), "mip"),
    **dict.fromkeys(("MINIP", "MIN_IP", "MINIMUM"), "minip"),
}
STRONG, WEAK = 2, 1
_GAP = " | "
"""Stands where something was that is no phase, so that what stood on both sides of it does not become one."""


@dataclass(frozen=True, slots=True)
class Told:
    """A phase as one source tells it. way: 'In', 'Ex' or ''. source: the attribute and its text, for messages."""

    percent: float
    way: str
    source: str
    strength: int


def told_by_text(text: str) -> tuple[tuple[float, str, int], ...]:
    """The phases (percent, way, strength) that a text may mean: one if it is clear, none, or several if it contradicts itself.

    >>> told_by_text('Gated, 40.0%B')
    ((40.0, '', 2),)
    """
    return _told_by_text(text)


@lru_cache(maxsize=4096)
def _told_by_text(text: str) -> tuple[tuple[float, str, int], ...]:
    rest = text
    for other in (RANGE, NEGATIVE, SPINE, OTHER_PERCENTAGE_AFTER):
        rest = other.sub(_GAP, rest)
    clear = {told for pattern in CLEAR for match in pattern.finditer(rest) if (told := _phase(match, STRONG))}
    percents = {percent for percent, _, _ in clear}
    with_way = {told for told in clear if told[1]}
    if with_way and {percent for percent, _, _ in with_way} == percents:
        clear = with_way  # 'Gated, 40% Ex' is found with and without its way
    if clear:
        return tuple(sorted(clear))
    rest = OTHER_PERCENTAGE_BEFORE.sub(_GAP, rest)
    plain = {told for match in PLAIN.finditer(rest) if (told := _phase(match, STRONG))}
    bare = {told for match in BARE.finditer(rest) if (told := _phase(match, WEAK))}
    return tuple(sorted(plain or bare))


def kind_of(one: Slice) -> str:
    """'average', 'mip' or 'minip' where an image says that it was made from several phases, 'localizer' for a scout, else ''."""
    return _kind(one.image_type, tuple(text for source, text in one.texts if not source.startswith("private")))


@lru_cache(maxsize=4096)
def _kind(image_type: tuple[str, ...], texts: tuple[str, ...]) -> str:
    if "LOCALIZER" in image_type:
        return "localizer"
    for word in image_type:
        if word in IMAGE_TYPES:
            return IMAGE_TYPES[word]
    for text in texts:
        for kind, words in KINDS:
            if words.search(text):
                return kind
    return ""


def told_by(one: Slice) -> tuple[Told, ...]:
    """All that an image says of its phase as a percentage, one entry for each source; a text that means several gives several."""
    told = [Told(percent, way, f"{source} '{text}'", strength) for source, text in one.texts for percent, way, strength in told_by_text(text)]
    if one.nominal_percent is not None and 0 <= one.nominal_percent <= 100:
        name = "NominalPercentageOfRespiratoryPhase"
        told.insert(0, Told(round(one.nominal_percent, 2), "", f"{name} {one.nominal_percent:g}", STRONG))
    return tuple(told)


def agreed(told: Sequence[Told], *, where: str) -> Told | None:
    """The phase on which all sources of one image agree, None where none tells any; a contradiction is refused, naming both sources.

    A source that tells the way of breathing adds it to one that does not. Bare labels alone that contradict each other tell none: 'T10', 'T12' may
    be vertebrae.
    """
    if not told:
        return None
    if all(one.strength == WEAK for one in told) and len({one.percent for one in told}) > 1:
        return None
    first = told[0]
    for other in told[1:]:
        if other.percent != first.percent or (other.way and first.way and other.way != first.way):
            raise PhaseError(
                "A file contradicts itself about its phase",
                where=where,
                found=f"{first.source} and {other.source}",
                do="Correct the labels, or remove the series; which is right is not guessed",
            )
        first = first if first.way or not other.way else other
    return first


def _phase(match: re.Match[str], strength: int) -> tuple[float, str, int] | None:
    percent = round(float(match["percent"].replace(",", ".")), 2)
    way = (match.groupdict().get("way") or "")[:2].capitalize()
    return (percent, way, strength) if percent <= 100 else None
