"""A 4D-CT as a value: phases in the order of the breathing cycle, all on one grid, each with its DICOM identity."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rt4d import geometry as grids
from rt4d.errors import NotFoundError, PhaseError
from rt4d.geometry import Geometry
from rt4d.volumes import Volume, describe

LABEL = re.compile(r"(?P<whole>\d{2,3})(?:p(?P<part>\d+))?(?P<way>In|Ex)?")


@dataclass(frozen=True, slots=True, repr=False)
class SeriesIdentity:
    """Who and what a CT series is, as far as objects that refer to it need to know. Never printed: it holds the patient.

    patient: the DICOM attributes of the patient and study modules by keyword, as text, absent where the file has none.
    sop_instance_uids: one per slice in the order of the array's z; of enhanced multi-frame CT one UID for all, and
    `frame_numbers` (from 1) tells the frames.
    """

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uids: tuple[str, ...]
    frame_numbers: tuple[int, ...] | None = None
    patient: dict[str, str] = field(default_factory=dict)
    series_description: str = ""
    patient_position: str = ""

    def __repr__(self) -> str:
        return f"SeriesIdentity({len(self.sop_instance_uids)} slices)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CtImage:
    """A CT series as it lies in the patient: its volume and its DICOM identity (planning CT, average CT)."""

    volume: Volume
    identity: SeriesIdentity

    @property
    def geometry(self) -> Geometry:
        return self.volume.geometry

    def __repr__(self) -> str:
        position = f", {self.identity.patient_position}" if self.identity.patient_position else ""
        return f"{type(self).__name__}({describe(self.geometry)}{position})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Phase(CtImage):
    """One phase of a breathing cycle. `label` as in '00', '50', '12p5', '30In', '30Ex' (a number of percent, and where told the way of breathing)."""

    label: str = ""

    def __post_init__(self) -> None:
        parse_label(self.label)

    @property
    def percent(self) -> float:
        return parse_label(self.label)[0]

    def __repr__(self) -> str:
        return f"Phase({self.label}, {describe(self.geometry)})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FourDCT:
    """The phases of one breathing cycle on one grid, in the order of the cycle, and which of them is the reference.

    told_by: where the phases' labels were read ('SeriesDescription'). notes: what was found odd but harmless when reading.
    """

    phases: tuple[Phase, ...]
    reference_label: str
    told_by: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.phases) < 2:
            raise PhaseError("A 4D-CT has at least two phases", found=len(self.phases), do="For a single CT there is no motion to follow")
        if len(set(self.labels)) != len(self.labels):
            doubled = sorted({label for label in self.labels if self.labels.count(label) > 1})
            raise PhaseError("Two phases of one 4D-CT have the same label", found=", ".join(doubled))
        for phase in self.phases:
            grids.require(self.phases[0].geometry, phase.geometry, what=f"Phase {phase.label} lies on another grid than phase {self.phases[0].label}")
        self[self.reference_label]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(phase.label for phase in self.phases)

    @property
    def reference(self) -> Phase:
        return self[self.reference_label]

    @property
    def geometry(self) -> Geometry:
        return self.phases[0].geometry

    def __getitem__(self, label: str) -> Phase:
        for phase in self.phases:
            if phase.label == label:
                return phase
        raise NotFoundError("No phase of that label", expected=f"one of {', '.join(self.labels)}", found=label)

    def __iter__(self) -> Iterator[Phase]:
        return iter(self.phases)

    def __len__(self) -> int:
        return len(self.phases)

    def __repr__(self) -> str:
        labels = " ".join(f"[{label}]" if label == self.reference_label else label for label in self.labels)
        position = self.reference.identity.patient_position or "position unknown"
        return f"FourDCT({len(self)} phases: {labels}; {describe(self.geometry)}; {position})"


def parse_label(label: str) -> tuple[float, str]:
    """Percent and way of breathing ('In', 'Ex' or '') of a phase label; refused where it is none."""
    if not (found := LABEL.fullmatch(label)):
        raise PhaseError("Not a phase label", expected="for example 00, 50, 12p5, 30In", found=label or "nothing")
    percent = float(f"{found['whole']}.{found['part'] or 0}")
    if percent > 100:
        raise PhaseError("A phase lies between 0 and 100 %", found=label)
    return percent, found["way"] or ""


def label_of(percent: float, way: str = "") -> str:
    """The label of a phase: 0 → '00', 12.5 → '12p5', 30 with 'In' → '30In'."""
    whole, _, part = f"{percent:05.2f}".rstrip("0").rstrip(".").partition(".")
    label = whole.zfill(2) + (f"p{part}" if part else "") + way
    parse_label(label)
    return label
