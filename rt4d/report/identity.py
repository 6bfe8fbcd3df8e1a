"""Who the patient is, for the head of a page that was asked to say so."""

from __future__ import annotations

from dataclasses import dataclass

from rt4d.phases import SeriesIdentity


@dataclass(frozen=True, slots=True, repr=False)
class PatientNamed:
    """Name and ID as a person reads them; what the CT does not say is told so."""

    name: str
    ident: str


def patient_named(identity: SeriesIdentity) -> PatientNamed:
    """The patient of a CT: 'Family, Given Middle'; a name in several scripts (DICOM PS3.5 6.2.1) in all of them."""
    texts = (_read_aloud(group) for group in identity.patient.get("PatientName", "").split("="))
    name = " / ".join(text for text in texts if text)
    return PatientNamed(name or "no name in the CT", identity.patient.get("PatientID", "").strip() or "none in the CT")


def _read_aloud(group: str) -> str:
    """Components are family, given, middle, prefix, suffix, with '^' between them."""
    family, _, others = group.partition("^")
    return ", ".join(part for part in (" ".join(family.split()), " ".join(others.replace("^", " ").split())) if part)
