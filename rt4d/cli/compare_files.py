"""rt4d compare of contours in files: each pair's row, where its false voxels lie, and these as masks."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rt4d import geometry as grids
from rt4d.agreement import Comparison, Places, compare, locate
from rt4d.agreement.consensus import OF_TWO, majority, staple
from rt4d.agreement.mask_matching import match_masks
from rt4d.agreement.matching import Matching, ShippedRule
from rt4d.anatomy import lungs
from rt4d.cli.screen import progress
from rt4d.contour_files import Contour, ContourFiles, distinct_names
from rt4d.errors import GeometryError, InputError
from rt4d.images import write_mask
from rt4d.outputs import require_new_folder, whole_folder
from rt4d.provenance import sha256
from rt4d.resampling import resample_mask
from rt4d.roi_files import require_nifti
from rt4d.volumes import Mask, Volume

HEADS = ("DSC", "surface DSC", "HD95", "mean", "machine cm³", "physician", "FP cm³", "FN cm³", "shift L", "P", "S")
CONSENSUS = {"staple": staple, "majority": majority}
KINDS = {"false_positive": "False positive", "false_negative": "False negative"}

Named = tuple[str, Mask]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A pair, where what only one of both holds lies, and where a rule was given its lesions."""

    pair: Comparison
    places: Mapping[str, Places]
    lesions: Matching | None = None

    def to_dict(self) -> dict[str, Any]:
        """The contract of `compare --json`, the places, and the lesions."""
        places = {f"{kind}_places": places.to_dict() for kind, places in self.places.items()}
        return self.pair.to_dict() | places | ({} if self.lesions is None else {"lesions": self.lesions.to_dict()})


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where the contours came from: their files, and the CT that they lie on with its folder, where one was given."""

    contours: Sequence[Contour]
    folder: Path | None
    ct: Volume | None


def compare_files(
    given: Sequence[str],
    *,
    on: Path | None,
    tolerance_mm: float,
    all_pairs: bool,
    consensus: str | None,
    masks: Path | None,
    assume_same_frame: bool,
    rule: ShippedRule | None,
    report: Path | None,
    as_json: bool,
) -> int:
    """Print a row for each pair of the contours; the exit code."""
    if masks is not None:
        require_new_folder(masks, not_inside=on)
    if report is not None:
        from rt4d.report.page import require_new_page

        require_new_page(report, beside=masks)
    with progress() as show:
        files = ContourFiles(on=on, assume_same_frame=assume_same_frame, progress=show)
        found = [files.read(each) for each in given]
    names = distinct_names([(contour.path, contour.part) for contour in found])
    named = [(name, contour.mask) for name, contour in zip(names, found, strict=True)]
    notes = dict.fromkeys(note for contour in found for note in contour.notes)
    lung = _lung(files, notes) if on else None
    rows = []
    pairs = _pairs(named, all_pairs=all_pairs, consensus=consensus)
    for machine, physician in pairs:
        pair = compare(machine[1], physician[1], tolerance_mm=tolerance_mm, machine_label=machine[0], physician_label=physician[0])
        lesions = None if rule is None else match_masks(machine[1], physician[1], rule=rule)
        rows.append(Row(pair, _places(pair, physician[1], lung, notes), lesions))
    notes |= dict.fromkeys(_notes([row.pair for row in rows]))
    if consensus is not None and len(named) == 3:
        notes[f"A consensus of two contours is {OF_TWO}"] = None
    if masks is not None:
        _write_masks(rows, masks)
    if report is not None:
        _write_report(report, rows, pairs, source=Source(found, on, _ct(files)), notes=list(notes))
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    sys.stdout.write(json.dumps([row.to_dict() for row in rows], indent=2, ensure_ascii=False) + "\n" if as_json else as_text(rows))
    return 0


def as_text(rows: Sequence[Row]) -> str:
    """The comparisons as a person reads them in a terminal: one as a list, several as a table."""
    if len(rows) == 1:
        return "\n".join([str(replace(rows[0].pair, notes=())), *(f"  {line}" for line in (*_where(rows[0]), *_lesions(rows[0]))), ""])
    one_machine = len({row.pair.machine for row in rows}) == 1
    table: list[tuple[str, ...]] = [(f"{rows[0].pair.machine} against" if one_machine else "machine – physician", *HEADS)]
    for pair in (row.pair for row in rows):
        table.append((pair.physician if one_machine else f"{pair.machine} – {pair.physician}", *_cells(pair)))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = ["  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]) for line in table]
    tolerance = f"Surface DSC at {rows[0].pair.tolerance_mm:g} mm. Volumes in cm³, distances in mm. FP, FN: false positive, false negative."
    by_lung = [row for row in rows if row.places["false_positive"].inside_lung_cm3 is not None]
    where = [f"{table[rows.index(row) + 1][0]}: {line}" for row in by_lung for line in _where(row)]
    for row, cells in zip(rows, table[1:], strict=True):
        if row.lesions is not None:
            where += ["", f"{cells[0]}:", *(f"  {line}" for line in _lesions(row))]
    return "\n".join([*(line.rstrip() for line in lines), tolerance, *where, ""])


def _lesions(row: Row) -> list[str]:
    return [] if row.lesions is None else str(row.lesions).splitlines()


def _pairs(named: Sequence[Named], *, all_pairs: bool, consensus: str | None) -> list[tuple[Named, Named]]:
    first, *others = named
    pairs = list(itertools.combinations(named, 2)) if all_pairs else [(first, other) for other in others]
    if consensus is None:
        return pairs
    if len(others) < 2:
        raise InputError("A consensus needs physicians", expected="at least two beside the machine", found=len(others))
    earlier = [[name for name, _ in others[:n]] for n in range(len(others))]
    observers = {f"{name} ({n})" if name in earlier[n] else name: mask for n, (name, mask) in enumerate(others)}
    return [*pairs, (first, (f"consensus of {len(others)} ({consensus})", CONSENSUS[consensus](observers).mask))]


def _lung(files: ContourFiles, notes: dict[str, None]) -> Mask | None:
    """The lungs on the CT; where there are none to be found that is noted."""
    try:
        ct = files.ct
        return None if ct is None else lungs(ct.volume)
    except InputError as error:
        notes[f"False voxels are not told by lung: {error}"] = None
        return None


def _ct(files: ContourFiles) -> Volume | None:
    """The CT beneath the contours; why there is none has been noted."""
    try:
        return None if files.ct is None else files.ct.volume
    except InputError:
        return None


def _places(pair: Comparison, physician: Mask, lung: Mask | None, notes: dict[str, None]) -> dict[str, Places]:
    """Where the pair's false voxels lie; without the lung, which is noted, where that does not reach over the physician's grid."""
    there = None
    if lung is not None:
        try:
            there = _onto(lung, physician)
        except GeometryError as error:
            notes[f"{pair.physician}: false voxels are not told by lung: {error}"] = None
    return {kind: locate(getattr(pair, kind), physician, lung=there) for kind in KINDS}


def _onto(lung: Mask, physician: Mask) -> Mask:
    grids.require_same_frame(physician.geometry, lung.geometry, what="The CT lies in another frame of reference")
    return resample_mask(lung, physician.geometry)


def _where(row: Row) -> Iterator[str]:
    """Where false voxels lie, in words, of each kind that there are any of."""
    for kind, name in KINDS.items():
        places = row.places[kind]
        if not places.total_cm3:
            continue
        told = [] if places.inside_lung_cm3 is None else [f"{100 * places.inside_lung_cm3 / places.total_cm3:.0f} % in the lungs"]
        told += [_shares(parts, places.total_cm3) for parts in (places.by_direction_cm3, places.by_distance_cm3) if parts is not None]
        if told:
            yield f"{name} {places.total_cm3:.2f} cm³: {'; '.join(told)}{' from the surface' if places.by_distance_cm3 else ''}"


def _shares(parts: Mapping[str, float], total: float) -> str:
    """The parts that make up five percent and more, in falling order."""
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{100 * part / total:.0f} % {name}" for name, part in ordered if part >= 0.05 * total)


def _cells(pair: Comparison) -> tuple[str, ...]:
    numbers = (
        (pair.dice, 3),
        (pair.surface_dice, 3),
        (pair.hd95_mm, 1),
        (pair.mean_surface_distance_mm, 2),
        (pair.volume_machine_cm3, 2),
        (pair.volume_physician_cm3, 2),
        (pair.false_positive_cm3, 2),
        (pair.false_negative_cm3, 2),
        *((along, 1) for along in pair.centroid_shift_mm or (None, None, None)),
    )
    return tuple("-" if value is None else f"{round(value, decimals) + 0.0:.{decimals}f}" for value, decimals in numbers)


def _notes(pairs: Sequence[Comparison]) -> Iterator[str]:
    """What was odd about each pair, with its names where it is not so of all."""
    of_all = set.intersection(*(set(pair.notes) for pair in pairs))
    for pair in pairs:
        yield from (note if note in of_all else f"{pair.machine} – {pair.physician}: {note}" for note in pair.notes)
        volumes = ((pair.machine, pair.volume_machine_cm3), (pair.physician, pair.volume_physician_cm3))
        yield from (f"{name} is empty: distances to it are undefined" for name, volume in volumes if volume == 0)


def _write_report(path: Path, rows: Sequence[Row], masks: Sequence[tuple[Named, Named]], *, source: Source, notes: Sequence[str]) -> None:
    """The page of these pairs. Files are told without the folders that they lie in."""
    from rt4d.report.comparison import ComparedPair, write_comparison_report
    from rt4d.report.names import page_names, without_folders

    files = [(contour.path, contour.part) for contour in source.contours]
    names = dict(zip(distinct_names(files), page_names(files), strict=True))
    pairs = []
    for row, (machine, physician) in zip(rows, masks, strict=True):
        found = replace(row.pair, machine=names.get(machine[0], machine[0]), physician=names.get(physician[0], physician[0]))
        pairs.append(ComparedPair(comparison=found, machine=machine[1], physician=physician[1], places=row.places, lesions=row.lesions))
    folders = [] if source.folder is None else [source.folder]
    told = [without_folders(note, files=[file for file, _ in files], folders=folders, renamed=names) for note in notes]
    made_of = {names[name]: f"SHA-256 {sha256(file)}" for name, (file, _) in zip(distinct_names(files), files, strict=True)}
    write_comparison_report(path, pairs, ct=source.ct, notes=told, made_of=made_of)


def _write_masks(rows: Sequence[Row], folder: Path) -> None:
    """Both masks of each pair, numbered where there are several, and compare.json, which names them."""
    for row in rows:
        require_nifti(row.pair.false_positive.geometry)
    listed = []
    with whole_folder(folder.absolute()) as place:
        for number, row in enumerate(rows, start=1):
            names = {kind: f"{kind}{'' if len(rows) == 1 else f'_{number}'}.nii.gz" for kind in KINDS}
            for kind, name in names.items():
                write_mask(place / name, getattr(row.pair, kind))
            listed.append(row.to_dict() | {f"{kind}_file": name for kind, name in names.items()})
        (place / "compare.json").write_text(json.dumps(listed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
