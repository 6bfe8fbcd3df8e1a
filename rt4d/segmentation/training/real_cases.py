"""Real patients as training cases: a table of CTs and drawn GTVs, converted once into a folder of cases."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from rt4d import geometry as grids
from rt4d import tables
from rt4d.errors import InputError, NotFoundError, OutputError, Rt4dError
from rt4d.images import FORMATS, read_mask, read_volume
from rt4d.provenance import cores
from rt4d.rois import Progress
from rt4d.segmentation.cases import FULL_SHARE, SUFFIX, Case, read_heading, write_case
from rt4d.segmentation.chest import find_chest
from rt4d.segmentation.hounsfield import require_hu
from rt4d.segmentation.space import Space, share_in_space, to_space
from rt4d.volumes import Mask, Volume

if TYPE_CHECKING:
    from rt4d.dicom.structures import StructureSet
    from rt4d.phases import CtImage

COLUMNS = ("ct", "gtv", "patient")
ROI, SEVERAL = "roi", "|"
AROUND_MM = 40.0
EVERYWHERE = np.ones((3, 3, 3), bool)
MOST_LESIONS = 255
OTHER_TARGET = re.compile(r"(?<![a-z])(?:ptv|ctv|itv)", re.IGNORECASE)
ORGAN = re.compile(
    r"(?<![a-z])(?:lung|pulmo|heart|herz|extern|body|skin|patient|outline|spin|cord|myel|o?esoph|trachea|bronch|aorta|liver|rib|chest|thora|couch|table)",
    re.IGNORECASE,
)
TUMOUR = re.compile(r"gtv|tumou?r|lesion|nodule|mass|primary|cancer|nsclc", re.IGNORECASE)
"""What the name of a structure set's only ROI may say: another target, an organ; or a tumour, also one 'in the lung'."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. ct: a DICOM folder or an image. gtv: a mask or an RTSTRUCT. rois: its ROIs, united; none: its only GTV."""

    ct: Path
    gtv: Path
    patient: str
    rois: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of a table: the cases' files in its order; in words, what could not be used, and which lines were taken together."""

    cases: tuple[Path, ...]
    broken: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


def read_table(path: Path) -> tuple[Row, ...]:
    """The lines of a table with the header ct,gtv,patient[,roi]; paths are as seen from its folder, several ROIs are separated by '|'.

    Refused (InputError): what `rt4d.tables` refuses, another header, an empty field. Raises NotFoundError where there is no such file.
    """
    table = tables.read_table(path, as_text=True)
    header = [str(name).lower() for name in table.columns]
    if sorted(header) not in (sorted(COLUMNS), sorted((*COLUMNS, ROI))):
        found = ",".join(header) or "nothing"
        raise InputError("A table of cases begins with its header", where=path, expected="ct,gtv,patient[,roi]", found=found)
    lines = zip(table.index, table.itertuples(index=False), strict=True)
    return tuple(_row(path, int(line), dict(zip(header, cells, strict=True))) for line, cells in lines)


def convert(rows: Sequence[Row], folder: Path, *, space: Space, skip_broken: bool = False, progress: Progress | None = None) -> Conversion:
    """Write each CT as a case in a folder, several at once; what is there from an earlier run is not made again.

    Rows of one CT make one case with all their GTVs: in two, each would teach that the other's tumour is none. Equal rows count once.
    What cannot be used is refused (InputError, which names its rows) when the others are done, or left out and named with `skip_broken`.
    Refused at once: one CT of two patients.
    """
    scans, notes = _by_ct(rows)
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[int, Path] = {}
    broken: dict[int, str] = {}
    with ThreadPoolExecutor(max_workers=max(1, min(cores(), 4))) as pool:
        jobs = {pool.submit(_converted, scan, folder, space): number for number, scan in enumerate(scans)}
        try:
            for count, job in enumerate(as_completed(jobs), start=1):
                try:
                    done[jobs[job]] = job.result()
                except OutputError:
                    raise
                except (Rt4dError, OSError, MemoryError) as error:
                    broken[jobs[job]] = f"{' with '.join(row.where for row in scans[jobs[job]])}: {error}"
                if progress:
                    progress("preparing cases", count, len(scans))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    told = tuple(broken[number] for number in sorted(broken))
    if told and (not skip_broken or not done):
        do = "Mend them, or leave them out with --skip-broken" if done else "Mend them"
        raise InputError(f"{len(told)} of {len(scans)} cases cannot be used", found="; ".join(told[:5]), do=do)
    return Conversion(tuple(done[number] for number in sorted(done)), told, tuple(notes))


def case_of(volume: Volume, gtv: Mask, *, space: Space, patient: str) -> Case:
    """A CT and its GTV as a case: the chest and the GTV, in the network's space; the GTV's pieces are its lesions.

    Refused (InputError): a GTV that is empty or lies outside the CT, values that are no Hounsfield units.
    """
    require_hu(volume)
    if gtv.is_empty:
        raise InputError("The GTV is empty", where=patient)
    upright = to_space(volume, space)
    part = upright.crop(*_box(upright, gtv))
    share = np.round(share_in_space(gtv, part.geometry) * FULL_SHARE).astype(np.uint8)
    owner, count = ndimage.label(share > 0, structure=EVERYWHERE)
    if not 1 <= count <= MOST_LESIONS:
        raise InputError("The GTV cannot be used", where=patient, expected=f"1 to {MOST_LESIONS} pieces within the CT", found=count)
    hu = np.clip(np.round(part.hu), -1024, 3071).astype(np.int16)
    return Case(hu=hu, lesions=share, owner=owner.astype(np.uint8), geometry=part.geometry, patient=patient, host=patient, made={"kind": "real"})


def _row(path: Path, line: int, fields: dict[str, str]) -> Row:
    if empty := [name for name in COLUMNS if not fields[name]]:
        raise InputError("A line of the table is no case", where=f"{path.name}, line {line}", found=f"nothing for {', '.join(empty)}")
    rois = tuple(name.strip() for name in fields.get(ROI, "").split(SEVERAL) if name.strip())
    ct, gtv = (path.parent / Path(fields[name]).expanduser() for name in ("ct", "gtv"))
    return Row(ct, gtv, fields["patient"].replace("+", "_"), rois, f"{path.name}, line {line}, patient {fields['patient']}")


def _by_ct(rows: Sequence[Row]) -> tuple[list[tuple[Row, ...]], list[str]]:
    """The rows of each CT together, equal ones once; and what was taken together, in words. Refused (InputError): one CT of two patients."""
    scans: dict[str, dict[tuple[str, frozenset[str]], Row]] = {}
    notes = []
    for row in rows:
        held = scans.setdefault(_place(row.ct), {})
        first = next(iter(held.values()), row)
        if row.patient != first.patient:
            do = "Name the patient alike in all rows of a CT"
            raise InputError("One CT is listed as of two patients", where=row.ct, found=f"{first.where}; {row.where}", do=do)
        same = held.setdefault((_place(row.gtv), frozenset(row.rois)), row)
        if same is not row:
            notes.append(f"{row.where}: the same as {same.where}; counted once")
    united = [tuple(held.values()) for held in scans.values()]
    notes += [f"{' with '.join(row.where for row in scan)}: of one CT, so one case with the GTVs of all" for scan in united if len(scan) > 1]
    return united, notes


def _place(path: Path) -> str:
    """Where a file or folder is, however it was named."""
    try:
        return str(path.resolve())
    except (OSError, ValueError, RuntimeError):  # no name that the system takes: said when it is opened
        return str(path)


def _converted(scan: Sequence[Row], folder: Path, space: Space) -> Path:
    """The case of a CT's rows, made where it is not there."""
    path = folder / _file_name(scan, space)
    if path.is_file():
        read_heading(path)
        return path
    volume, gtv = _read(scan)
    return write_case(path, case_of(volume, gtv, space=space, patient=scan[0].patient))


def _file_name(scan: Sequence[Row], space: Space) -> str:
    """Another name for whatever would make another case."""
    if missing := [path for row in scan for path in (row.ct, row.gtv) if not path.exists()]:
        raise NotFoundError("No such file or folder", where=missing[0])
    patient = scan[0].patient
    gtvs = sorted((_stamps(row.gtv), sorted(row.rois)) for row in scan)
    told = json.dumps([_stamps(scan[0].ct), gtvs, patient, space.spacing_mm])
    plain = "".join(letter if letter.isalnum() else "_" for letter in patient)[:60]
    return f"{plain}_{hashlib.sha256(told.encode()).hexdigest()[:16]}{SUFFIX}"


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    """Path, time and size of a file, or of every file below a folder, whose own time stays as it is where a slice is written anew in its place."""
    path = path.resolve()
    files = [path] if path.is_file() else [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    states = {str(file): file.stat() for file in files if file.exists()}
    return sorted((name, state.st_mtime_ns, state.st_size) for name, state in states.items())


def _read(scan: Sequence[Row]) -> tuple[Volume, Mask]:
    """The CT that the rows share, and their GTVs, united."""
    from rt4d.dicom.series import read_ct

    ct = scan[0].ct
    for row in scan:
        if _is_mask(row) and row.rois:
            raise InputError("ROIs are named of a structure set, not of a mask", where=row.gtv)
        if not _is_mask(row) and not ct.is_dir():
            raise InputError("A structure set needs the DICOM folder of its CT", where=ct)
    image = read_ct(ct) if ct.is_dir() else None
    volume = image.volume if image is not None else read_volume(ct)
    first, *others = (_drawn(row, image) if image is not None and not _is_mask(row) else _mask(row, volume) for row in scan)
    for other in others:
        first = first | other
    return volume, first


def _is_mask(row: Row) -> bool:
    return row.gtv.name.lower().endswith(FORMATS)


def _mask(row: Row, volume: Volume) -> Mask:
    mask = read_mask(row.gtv)
    grids.require(volume.geometry, mask.geometry, what="The GTV lies on another grid than its CT")
    return Mask(mask.inside, volume.geometry)


def _drawn(row: Row, image: CtImage) -> Mask:
    """The ROIs that are named, united; or the only GTV of the structure set."""
    from rt4d.dicom.structures import read_rtstruct

    contours = read_rtstruct(row.gtv, on=image)
    first, *others = (contours[name] for name in row.rois or (_only_gtv(row, contours),))
    for other in others:
        first = first | other
    return first


def _only_gtv(row: Row, contours: StructureSet) -> str:
    """The only ROI whose type or name says GTV, else the only ROI, where neither says that it is something else."""
    from rt4d.dicom.structure_items import INTERPRETED_TYPES

    rois = [roi for roi in contours.summary.rois if roi.name in list(contours)]
    gtvs = [roi for roi in rois if roi.kind == "GTV" or roi.name.upper().startswith("GTV")]
    chosen = gtvs or rois
    if len(chosen) != 1:
        found = ", ".join(roi.name for roi in rois) or "no closed contour"
        raise InputError("Which ROI is the GTV?", where=row.gtv, found=found, do="Name it in a column roi (A|B: united)")
    name = chosen[0].name
    is_organ = ORGAN.search(name) and not TUMOUR.search(name)
    if not gtvs and (chosen[0].kind in INTERPRETED_TYPES or OTHER_TARGET.search(name) or is_organ):
        do = "Name the GTV in a column roi: this one, if it is the GTV all the same"
        found = f"{name}, of type {chosen[0].kind or 'unknown'}"
        raise InputError("The only ROI of the structure set does not seem to be a GTV", where=row.gtv, found=found, do=do)
    return name


def _box(upright: Volume, gtv: Mask) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The part of the upright CT that holds the chest and the GTV with its surroundings."""
    chest = find_chest(upright)
    last = [start + size - 1 for start, size in zip(chest.start, chest.size, strict=True)]
    points = gtv.points_mm
    around = np.vstack([points.min(axis=0) - AROUND_MM, points.max(axis=0) + AROUND_MM])
    return upright.geometry.box_around(np.vstack([upright.geometry.to_patient([chest.start, last]), around]))
