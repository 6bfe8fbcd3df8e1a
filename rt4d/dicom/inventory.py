"""What is in a folder, before anything is made of it: series, 4D-CTs, structure sets, problems. No patient is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from string import ascii_uppercase
from typing import Any

from rt4d.dicom.folder import Contents, read_folder
from rt4d.dicom.grouping import Grouping, group_by_phase
from rt4d.dicom.headers import DicomFile, Slice
from rt4d.dicom.phase_labels import kind_of
from rt4d.dicom.phase_stacks import stack_phases
from rt4d.dicom.pixels import require_readable
from rt4d.dicom.series import require_one_patient
from rt4d.dicom.stacking import stack
from rt4d.dicom.structure_file import summarise_rtstruct
from rt4d.errors import Rt4dError
from rt4d.phases import parse_label
from rt4d.rois import Progress
from rt4d.volumes import describe


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """One series. role: 'phase', 'average', 'mip', 'minip', 'ct' (no phase told) or 'other' (scouts, other modalities).

    phases: the labels of the phases in it, several where they share a series. grid: in words, '' where the slices are no stack.
    folder: where its first file lies, within the folder that was scanned. patient: 'patient A', 'patient B' …
    """

    series_uid: str
    study_uid: str
    modality: str
    description: str
    number: str
    images: int
    grid: str
    role: str
    phases: tuple[str, ...]
    frame_of_reference: str
    folder: str
    patient: str


@dataclass(frozen=True, slots=True)
class StructureSetFile:
    """One structure set. path: within the folder that was scanned."""

    path: str
    label: str
    roi_names: tuple[str, ...]
    frames_of_reference: tuple[str, ...]
    referenced_series_uids: tuple[str, ...]
    patient: str


@dataclass(frozen=True, slots=True)
class FourDCTSummary:
    """One 4D-CT: its phases in the order of the breathing cycle, and what told them. reference: the 50 % phase, '' where there is none."""

    labels: tuple[str, ...]
    told_by: str
    grid: str
    reference: str
    series_uids: tuple[str, ...]
    study_uid: str
    frame_of_reference: str
    patient: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """What is in a folder. problems: sentences that name files; others: how many files are not DICOM."""

    folder: Path
    series: tuple[SeriesSummary, ...]
    structure_sets: tuple[StructureSetFile, ...]
    four_d_cts: tuple[FourDCTSummary, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    files: int
    others: int

    SERIES_COLUMNS = ("role", "phase", "modality", "description", "images", "grid", "folder", "patient")
    STRUCTURE_COLUMNS = ("structure set", "label", "ROIs", "patient")

    def rows(self) -> list[tuple[str, ...]]:
        """The series as a table, in the order of `SERIES_COLUMNS`: phases first, in the order of the cycle."""
        return [
            (s.role, " ".join(s.phases), s.modality, s.description, str(s.images), s.grid, s.folder, s.patient) for s in self.series
        ]

    def structure_rows(self) -> list[tuple[str, ...]]:
        """The structure sets as a table, in the order of `STRUCTURE_COLUMNS`."""
        return [(s.path, s.label, ", ".join(s.roi_names), s.patient) for s in self.structure_sets]

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def scan(folder: str | Path, *, progress: Progress | None = None, workers: int | None = None) -> Scan:
    """What is in a folder and all folders below it. Only a folder that is not there is refused; what is wrong inside is told as `problems`."""
    try:
        contents = read_folder(folder, progress=progress, workers=workers)
    except Rt4dError as error:
        if not Path(folder).exists():
            raise
        return Scan(Path(folder), (), (), (), (str(error),), (), 0, 0)
    patients = _patients(contents.files)
    problems = [f"{broken.name} cannot be read: {broken.reason}." for broken in contents.unreadable]
    try:
        require_one_patient(contents.slices)
    except Rt4dError as error:
        problems.append(str(error))
    four_d_cts, groupings = _four_d_cts(contents, patients, problems)
    series = _series(contents, patients, groupings, problems)
    structure_sets = _structure_sets(contents, patients, problems)
    notes = [f"{len(contents.copies)} files are copies of others and count once."] if contents.copies else []
    return Scan(
        folder=Path(folder),
        series=tuple(sorted(series, key=_order)),
        structure_sets=tuple(structure_sets),
        four_d_cts=tuple(four_d_cts),
        problems=tuple(dict.fromkeys(problems)),
        notes=tuple(notes),
        files=len(contents.files) + len(contents.copies),
        others=contents.others,
    )


def _patients(files: Iterable[DicomFile]) -> dict[tuple[str, str], str]:
    """A letter for each patient that files name; files that name none are told apart from them, for nobody knows whose they are."""
    keys = list(dict.fromkeys(file.patient_key for file in files))
    named = [key for key in keys if any(key)]
    letters = {key: f"patient {_letter(n)}" for n, key in enumerate(named)}
    letters[("", "")] = "patient not named" if named else "patient A"
    return letters


def _letter(n: int) -> str:
    return ascii_uppercase[n] if n < len(ascii_uppercase) else str(n + 1)


def _four_d_cts(
    contents: Contents, patients: dict[tuple[str, str], str], problems: list[str]
) -> tuple[list[FourDCTSummary], list[Grouping]]:
    """The 4D-CTs of each patient, study and frame of reference, and all groupings."""
    scans: dict[tuple[object, ...], list[Slice]] = {}
    for one in contents.slices:
        scans.setdefault((one.file.patient_key, one.file.study_uid, one.file.frame_of_reference), []).append(one)
    found: list[FourDCTSummary] = []
    groupings: list[Grouping] = []
    for slices in scans.values():
        try:
            grouping = group_by_phase(slices)
            groupings.append(grouping)
            if len(grouping.phases) >= 2:
                found.append(_summary_of(grouping, patients))
        except Rt4dError as error:
            problems.append(str(error))
    if len(found) > 1:
        problems.append(f"There are {len(found)} 4D-CTs in the folder: read_4dct and rt4d itv need the folder of one.")
    return found, groupings


def _summary_of(grouping: Grouping, patients: dict[tuple[str, str], str]) -> FourDCTSummary:
    stacks = stack_phases(grouping)
    geometry, ordered = next(iter(stacks.values()))
    file = ordered[0].file
    halves = [label for label in stacks if parse_label(label)[0] == 50]
    return FourDCTSummary(
        labels=tuple(stacks),
        told_by=grouping.told_by,
        grid=describe(geometry),
        reference=halves[0] if len(halves) == 1 else "",
        series_uids=tuple(dict.fromkeys(slices[0].file.series_uid for _, slices in stacks.values())),
        study_uid=file.study_uid,
        frame_of_reference=file.frame_of_reference,
        patient=patients[file.patient_key],
        notes=grouping.notes,
    )


def _series(
    contents: Contents, patients: dict[tuple[str, str], str], groupings: Sequence[Grouping], problems: list[str]
) -> list[SeriesSummary]:
    files: dict[str, list[DicomFile]] = {}
    for file in contents.files:
        if file.modality != "RTSTRUCT":
            files.setdefault(file.series_uid, []).append(file)
    slices: dict[str, list[Slice]] = {}
    for one in contents.slices:
        slices.setdefault(one.file.series_uid, []).append(one)
    labels: dict[str, dict[str, Sequence[Slice]]] = {}
    for grouping in groupings:
        for label, members in grouping.phases.items():
            for one in members:
                labels.setdefault(one.file.series_uid, {})[label] = members
    return [_one_series(members, slices.get(uid, []), labels.get(uid, {}), patients, problems) for uid, members in files.items()]


def _one_series(
    files: Sequence[DicomFile],
    slices: Sequence[Slice],
    phases: dict[str, Sequence[Slice]],
    patients: dict[tuple[str, str], str],
    problems: list[str],
) -> SeriesSummary:
    first = files[0]
    kind = kind_of(slices[0]) if slices else ""
    role = "other" if not slices or kind == "localizer" else kind or ("phase" if phases else "ct")
    return SeriesSummary(
        series_uid=first.series_uid,
        study_uid=first.study_uid,
        modality=first.modality,
        description=first.series_description,
        number=first.series_number,
        images=len(slices) or len(files),
        grid=_grid(next(iter(phases.values()), slices), phases, problems) if role != "other" else "",
        role=role,
        phases=tuple(phases),
        frame_of_reference=first.frame_of_reference,
        folder=PurePosixPath(first.name).parent.as_posix(),
        patient=patients[first.patient_key],
    )


def _grid(slices: Sequence[Slice], phases: dict[str, Sequence[Slice]], problems: list[str]) -> str:
    """The grid in words; '' where the slices are no stack, which is a problem then."""
    what = f"phase {next(iter(phases))}" if phases else f"the series '{slices[0].file.series_description}'"
    try:
        geometry, ordered = stack(slices, what=what)
        require_readable(ordered)
    except Rt4dError as error:
        problems.append(str(error))
        return ""
    return describe(geometry)


def _structure_sets(contents: Contents, patients: dict[tuple[str, str], str], problems: list[str]) -> list[StructureSetFile]:
    found: list[StructureSetFile] = []
    for file in contents.files:
        if file.modality != "RTSTRUCT":
            continue
        try:
            summary = summarise_rtstruct(file.path)
        except Rt4dError as error:
            problems.append(str(error))
            continue
        found.append(
            StructureSetFile(
                path=file.name,
                label=summary.label,
                roi_names=summary.names,
                frames_of_reference=summary.frames_of_reference,
                referenced_series_uids=summary.referenced_series_uids,
                patient=patients[file.patient_key],
            )
        )
    return found


def _order(series: SeriesSummary) -> tuple[object, ...]:
    roles = ("phase", "average", "mip", "minip", "ct", "other")
    return roles.index(series.role), series.patient, [parse_label(label) for label in series.phases], series.folder, series.series_uid
