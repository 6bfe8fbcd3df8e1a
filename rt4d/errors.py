"""What can go wrong, as one tree. Every message says what, where, expected, found, and what to do.

Rt4dError
├── InputError (ValueError)            the input or the call is refused: exit code 2
│   ├── GeometryError                  two grids that are not one, a grid that is not even, a point outside
│   ├── DicomError                     a file or series that does not say what it must
│   │   └── PhaseError                 the phases of a 4D-CT are missing, doubled, unequal or not to be told apart
│   ├── ContourError                   a structure set or an ROI that cannot be used
│   ├── RecipeError                    a registration recipe with an unknown key or an impossible value
│   ├── NoLesionError                  the segmenter found no lesion on the CT or at the point
│   └── NotFoundError (LookupError)    a phase, ROI, recipe or file of that name is not there
├── RegistrationError (ValueError)     a registration that did not come to an end: never replaced by the identity
├── TrainingError (ValueError)         a training whose loss is no number any more
└── OutputError (ValueError)           the result could not be written whole (disk full): exit code 3
"""

from __future__ import annotations


class Rt4dError(Exception):
    """The root of all errors that rt4d raises on purpose.

    `what` happened; `where` (phase, ROI, file); what was `expected` and `found`; what to `do` about it.
    """

    def __init__(self, what: str, *, where: object = "", expected: object = "", found: object = "", do: str = "") -> None:
        self.what, self.where, self.expected, self.found, self.do = what, str(where), str(expected), str(found), do
        super().__init__(self._message())

    def _message(self) -> str:
        text = f"{self.what} ({self.where})" if self.where else self.what
        facts = ", ".join(f"{name} {value}" for name, value in (("expected", self.expected), ("found", self.found)) if value)
        return ". ".join(part for part in (": ".join(part for part in (text, facts) if part), self.do) if part)


class InputError(Rt4dError, ValueError):
    """The input or the call is refused; nothing was computed and nothing was written."""


class GeometryError(InputError):
    """Two things that do not lie on one grid or in one frame of reference, or a grid that cannot be what is asked."""


class DicomError(InputError):
    """A DICOM file or series that does not say what it must, or contradicts itself."""


class PhaseError(DicomError):
    """The phases of a 4D-CT are missing, doubled, unequal, or cannot be told apart."""


class ContourError(InputError):
    """A structure set or an ROI that cannot be used as it is."""


class RecipeError(InputError):
    """A registration recipe with an unknown key or an impossible value."""


class NoLesionError(InputError):
    """The segmenter looked, and found no lesion on the CT or at the point."""


class NotFoundError(InputError, LookupError):
    """Nothing of that name is here; the message lists what is."""


class RegistrationError(Rt4dError, ValueError):
    """A registration that did not come to an end. It is never replaced by the identity."""


class TrainingError(Rt4dError, ValueError):
    """A training that cannot go on as it is; its last checkpoint stands."""


class OutputError(Rt4dError, ValueError):
    """The result could not be written whole; what was begun has been removed."""
