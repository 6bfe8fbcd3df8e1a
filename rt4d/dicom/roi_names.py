"""Names of ROIs as planning systems take them: of at most 16 characters, and after AAPM's Task Group 263 where that is asked for.

Task Group 263: Mayo et al., Standardizing Nomenclatures in Radiation Oncology, AAPM Report 263 (2018), in short in
Int J Radiat Oncol Biol Phys 100:1057–1066 (2018).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from rt4d.errors import InputError

Naming = Literal["full", "short", "tg263"]
"""'full': as given. 'short': of at most 16 characters. 'tg263': targets after TG-263, all of at most 16 characters and without spaces."""
NAMINGS: tuple[Naming, ...] = ("full", "short", "tg263")

LONGEST = 16
CLASSIFIERS = ("n", "p", "sb", "par", "v", "vas")
"""TG-263: nodal, primary, surgical bed, parenchyma, venous thrombosis, vascular."""

_TARGET = re.compile(r"(?P<type>GTV|CTV|ITV|PTV)(?P<number>\d*)(?:_(?P<rest>.+))?")
_WARNING = re.compile(r"[_^]UNVERIFIED$")
_NUMBER = re.compile(r"\d+(?:[p.]\d+)?(?:x\d+(?:[p.]\d+)?)*(?:mm)?")
"""A number or a margin, '12p5' or '10x10x15mm': half of it would be read as another."""


def named(names: Sequence[str], naming: Naming, *, beside: Sequence[str] = ()) -> list[str]:
    """The names as they go into a structure set, in the same order; none that is cut becomes another's, nor one of those `beside`."""
    if naming not in NAMINGS:
        raise InputError("An unknown way of naming ROIs", expected=f"one of {', '.join(NAMINGS)}", found=naming)
    if naming == "full":
        return list(names)
    return short_names(names if naming == "short" else [tg263_name(name).replace(" ", "_") for name in names], beside=beside)


def short_names(names: Sequence[str], *, beside: Sequence[str] = ()) -> list[str]:
    """The names in at most 16 characters, in the same order; those that are as short already stay as they are.

    Longer ones lose their end, but never the warning UNVERIFIED; a number or a margin stays whole or goes. Where two would be the same,
    upper and lower case apart, '~2', '~3' … takes the place of the last characters.
    """
    fits = [len(name) <= LONGEST for name in names]
    taken = {name.casefold() for name, short in zip(names, fits, strict=True) if short} | {name.casefold() for name in beside}
    shortened: list[str] = []
    for name, short in zip(names, fits, strict=True):
        if not short or name.casefold() in [earlier.casefold() for earlier in shortened]:
            name = _free(name, taken)
            taken.add(name.casefold())
        shortened.append(name)
    return shortened


def tg263_name(name: str, *, classifier: str = "") -> str:
    """What TG-263 calls a target that rt4d calls 'GTV_T50', 'ITV1' or 'PTV_5mm': 'GTV^T50', 'IGTV1', 'PTV^5mm'. Other names stay.

    A target's type comes first, then the classifier ('p' for a primary, 'n' for a node …), then the number of one of several, then '^'
    and what is our own (TG-263's custom qualifier; 'PTV-05' would mean cut back 5 mm from the skin). rt4d's ITV is a GTV with its
    motion, which TG-263 tells from a CTV with its motion as 'IGTV'. A name that gets longer than 16 characters is not cut here.
    """
    if classifier and classifier not in CLASSIFIERS:
        raise InputError("An unknown classifier of a target", expected=f"one of {', '.join(CLASSIFIERS)}", found=classifier)
    found = _TARGET.fullmatch(name)
    if not found:
        return name
    kind = "IGTV" if found["type"] == "ITV" else found["type"]
    return f"{kind}{classifier}{found['number']}" + (f"^{found['rest']}" if found["rest"] else "")


def _free(name: str, taken: set[str]) -> str:
    """The name cut so that it fits and is not taken."""
    warning = _WARNING.search(name)
    ending = warning.group() if warning else ""
    head = name[: len(name) - len(ending)]
    for n in range(1, len(taken) + 2):
        mark = f"~{n}" if n > 1 else ""
        cut = _begin(head, LONGEST - len(mark) - len(ending))
        short = cut + mark + (ending.replace("_", "^") if "^" in head and "^" not in cut else ending)
        if short and short.casefold() not in taken:
            return short
    raise InputError("No free name of 16 characters is left", found=name)


def _begin(name: str, longest: int) -> str:
    """The beginning of a name, which ends before a number or a margin that it would cut; where there is nothing before it, within it."""
    cuts = (number.start() for number in _NUMBER.finditer(name) if number.start() < longest < number.end())
    return name[: next(cuts, longest)].rstrip(" _^-") or name[:longest].rstrip(" _^-")
