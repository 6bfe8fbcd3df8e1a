"""A named region as it goes into a structure set, and how a long job tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rt4d.errors import ContourError
from rt4d.volumes import Mask

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total) from the thread that does the work."""

COLOURS = {"GTV": (230, 159, 0), "ITV": (0, 114, 178), "PTV": (204, 121, 167)}
"""Okabe and Ito's palette: told apart in colour blindness (jfly.uni-koeln.de/color)."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Roi:
    """A region of interest to be written: its mask, and what a planning system shows of it.

    name: unique in its structure set, at most 64 characters (DICOM LO). kind: 'GTV', 'ITV', 'PTV', 'ORGAN' … and '' for none.
    """

    name: str
    mask: Mask
    kind: str = ""
    description: str = ""
    colour: tuple[int, int, int] = (0, 158, 115)

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= 64 or "\\" in self.name:
            raise ContourError("An ROI name has 1 to 64 characters and no backslash", found=repr(self.name))

    def __repr__(self) -> str:
        return f"Roi({self.name!r}, {self.mask.volume_cm3:.2f} cm³)"
