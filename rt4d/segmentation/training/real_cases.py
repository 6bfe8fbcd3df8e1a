"""Real patients as training cases: a table of CTs and drawn GTVs, converted once into a folder of cases."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from rt4d import geometry as grids
from rt4d.errors import InputError, NotFoundError, OutputError, Rt4dError
from rt4d.images import FORMATS, read_mask, read_volume
from rt4d.provenance import cores
from rt4d.rois import Progress
from rt4d.segmentation.cases import FULL_SHARE, SUFFIX, Case, read_heading, write_case
from rt4d.segmentation.chest import find_chest
from rt4d.segmentation.space import Space, share_in_space, to_space
from rt4d.volumes import Mask, Volume

if TYPE_CHECKING:
    from rt4d.phases import CtImage

COLUMNS = ("ct", "gtv", "patient")
ROI, SEVERAL = "roi", "|"
AROUND_MM = 40.0
EVERYWHERE = np.ones((3, 3, 3), bool)
MOST_LESIONS = 255


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
    """What became of a table: the cases' files in its order, and what could not be used, in words."""

    cases: tuple[Path, ...]
    broken: tuple[str, ...] = field(default=())


def read_table(path: Path) -> tuple[Row, ...]:
    """The lines of a CSV with the header ct,gtv,patient[,roi]; paths are as seen from its folder, several ROIs are separated by '|'.

    Refused (InputError): another header, an empty field, a table without lines. Raises NotFoundError where there is no such file.
    """
    if not path.is_file():
        raise NotFoundError("No such table of cases", where=path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        header = tuple(name.strip().lower() for name in reader.fieldnames or ())
        if set(header) not in ({*COLUMNS}, {*COLUMNS, ROI}):
            found = ",".join(header) or "nothing"
            raise InputError("A table of cases begins with its header", where=path, expected="ct,gtv,patient[,roi]", found=found)
        reader.fieldnames = list(header)
        rows = tuple(_row(path, line, held) for line, held in enumerate(reader, start=2))
    if not rows:
        raise InputError("The table lists no cases", where=path)
    return rows


def convert(rows: Sequence[Row], folder: Path, *, space: Space, skip_broken: bool = False, progress: Progress | None = None) -> Conversion:
    """Write each row as a case in a folder, several at once; what is there from an earlier run is not made again.

    A row that cannot be used is refused (InputError, which names it) when the others are done, or left out and named with `skip_broken`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[int, Path] = {}
    broken: dict[int, str] = {}
    with ThreadPoolExecutor(max_workers=max(1, min(cores(), 4))) as pool:
        jobs = {pool.submit(_converted, row, folder, space): number for number, row in enumerate(rows)}
        try:
            for count, job in enumerate(as_completed(jobs), start=1):
                try:
                    done[jobs[job]] = job.result()
                except OutputError:
                    raise
                except (Rt4dError, OSError, MemoryError) as error:
                    broken[jobs[job]] = f"{rows[jobs[job]].where}: {error}"
                if progress:
                    progress("preparing cases", count, len(rows))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    told = tuple(broken[number] for number in sorted(broken))
    if told and (not skip_broken or not done):
        do = "Mend them, or leave them out with --skip-broken" if done else "Mend them"
        raise InputError(f"{len(told)} of {len(rows)} cases cannot be used", found="; ".join(told[:5]), do=do)
    return Conversion(tuple(done[number] for number in sorted(done)), told)


def case_of(volume: Volume, gtv: Mask, *, space: Space, patient: str) -> Case:
    """A CT and its GTV as a case: the chest and the GTV, in the network's space; the GTV's pieces are its lesions.

    Refused (InputError): a GTV that is empty or lies outside the CT.
    """
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


def _row(path: Path, line: int, held: dict[str, str | None]) -> Row:
    fields = {name: (value or "").strip() for name, value in held.items() if isinstance(name, str)}
    if None in held or (empty := [name for name in COLUMNS if not fields[name]]):
        found = "more fields than the header" if None in held else f"nothing for {', '.join(empty)}"
        raise InputError("A line of the table is no case", where=f"{path.name}, line {line}", found=found)
    rois = tuple(name.strip() for name in fields.get(ROI, "").split(SEVERAL) if name.strip())
    ct, gtv = (path.parent / Path(fields[name]).expanduser() for name in ("ct", "gtv"))
    return Row(ct, gtv, fields["patient"].replace("+", "_"), rois, f"{path.name}, line {line}, patient {fields['patient']}")


def _converted(row: Row, folder: Path, space: Space) -> Path:
    """The row's case, made where it is not there."""
    path = folder / _file_name(row, space)
    if path.is_file():
        read_heading(path)
        return path
    volume, gtv = _read(row)
    return write_case(path, case_of(volume, gtv, space=space, patient=row.patient))


def _file_name(row: Row, space: Space) -> str:
    """Another name for whatever would make another case."""
    if missing := [path for path in (row.ct, row.gtv) if not path.exists()]:
        raise NotFoundError("No such file or folder", where=missing[0])
    stamps = [(str(path.resolve()), path.stat().st_mtime_ns, path.stat().st_size) for path in (row.ct, row.gtv)]
    told = json.dumps([stamps, row.patient, row.rois, space.spacing_mm])
    plain = "".join(letter if letter.isalnum() else "_" for letter in row.patient)[:60]
    return f"{plain}_{hashlib.sha256(told.encode()).hexdigest()[:16]}{SUFFIX}"


def _read(row: Row) -> tuple[Volume, Mask]:
    from rt4d.dicom.series import read_ct

    if row.gtv.name.lower().endswith(FORMATS):
        if row.rois:
            raise InputError("ROIs are named of a structure set, not of a mask", where=row.gtv)
        volume = read_ct(row.ct).volume if row.ct.is_dir() else read_volume(row.ct)
        mask = read_mask(row.gtv)
        grids.require(volume.geometry, mask.geometry, what="The GTV lies on another grid than its CT")
        return volume, mask
    if not row.ct.is_dir():
        raise InputError("A structure set needs the DICOM folder of its CT", where=row.ct)
    image = read_ct(row.ct)
    return image.volume, _drawn(row, image)


def _drawn(row: Row, image: CtImage) -> Mask:
    """The ROIs that are named, united; or the only GTV of the structure set."""
    from rt4d.dicom.structures import read_rtstruct

    contours = read_rtstruct(row.gtv, on=image)
    names = list(contours)
    gtvs = [name for name in names if name.upper().startswith("GTV")]
    chosen = row.rois or (tuple(names) if len(names) == 1 else tuple(gtvs))
    if not chosen or (not row.rois and len(chosen) > 1):
        found = ", ".join(names) or "no closed contour"
        raise InputError("Which ROI is the GTV?", where=row.gtv, found=found, do="Name it in a column roi (A|B: united)")
    first, *others = (contours[name] for name in chosen)
    for other in others:
        first = first | other
    return first


def _box(upright: Volume, gtv: Mask) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The part of the upright CT that holds the chest and the GTV with its surroundings."""
    chest = find_chest(upright)
    last = [start + size - 1 for start, size in zip(chest.start, chest.size, strict=True)]
    points = gtv.points_mm
    around = np.vstack([points.min(axis=0) - AROUND_MM, points.max(axis=0) + AROUND_MM])
    return upright.geometry.box_around(np.vstack([upright.geometry.to_patient([chest.start, last]), around]))
