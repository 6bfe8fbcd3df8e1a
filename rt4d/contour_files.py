"""Contours by the names that a person gives them: a mask file, one label of it, a segment of a DICOM SEG, an ROI of a structure set.

Whatever follows the last colon before which the name is a file's tells the part of it: `map.nii.gz:3`, `seg.dcm:GTV`, `RS.dcm:GTV: boost`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rt4d.candidate_files import CandidateFile, is_candidate_file, read_candidates
from rt4d.dicom.headers import Unreadable, quiet, read_header
from rt4d.dicom.referenced import CtFolder
from rt4d.dicom.segmentation import LABEL_MAP, SEGMENTATION, read_seg
from rt4d.dicom.structure_file import RT_STRUCTURE_SET, StructureSetSummary, summarise_rtstruct
from rt4d.dicom.structures import StructureSet, read_rtstruct
from rt4d.errors import ContourError, InputError, NotFoundError
from rt4d.images import read_labels
from rt4d.phases import CtImage
from rt4d.rois import Progress
from rt4d.volumes import Mask

IMAGES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")
KINDS = "a mask (NIfTI, MHA, NRRD), a DICOM SEG, RTSTRUCT:ROI, or candidates.json of rt4d segment"
MOST_LABELS = 256
"""More values than that are those of an image, not of a label map."""
_LOOKED_AT = 20
"""Files of a folder, and folders, that are looked at for a CT to propose."""


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One contour and where it came from.

    part: the ROI, segment or label, '' where the file holds no other. notes: what was odd but read. candidates: of a segmenter's list.
    """

    path: Path
    part: str
    mask: Mask
    notes: tuple[str, ...] = ()
    candidates: CandidateFile | None = None


class ContourFiles:
    """Reads contours; each structure set, and each CT that they were drawn on, once.

    on: the folder with the CT of the structure sets. assume_same_frame: accept another frame of reference than the CT's, which is noted.
    """

    def __init__(self, *, on: str | Path | None = None, assume_same_frame: bool = False, progress: Progress | None = None) -> None:
        self._folder = None if on is None else CtFolder(on, progress=progress)
        self._assume_same_frame = assume_same_frame
        self._sets: dict[Path, StructureSet] = {}
        self._told: set[str] = set()

    @property
    def ct(self) -> CtImage | None:
        """The CT that a structure set was drawn on, else the only one in the folder; None without a folder."""
        if self._folder is None:
            return None
        return next((drawn.on for drawn in self._sets.values()), None) or self._folder.referenced_by(StructureSetSummary("", ()))

    def read(self, given: str) -> Contour:
        """The contour that a text names. Raises InputError and its kinds: no such file or part, several parts and none named, no contour."""
        path, part = file_and_part(given)
        if path.name.lower().endswith(IMAGES):
            return Contour(path, part, _labelled(path, part))
        if is_candidate_file(path):
            return _kept(path, part)
        if is_structure_set(path):
            return self._roi(path, part)
        _require_segmentation(path)
        return self._segment(path, part)

    def _roi(self, path: Path, name: str) -> Contour:
        drawn = self._sets.get(path) or self._drawn(path, name)
        if not name:
            raise _unnamed("structure set", "ROI", drawn.names, path)
        self._sets[path] = drawn
        mask = drawn[name]
        return Contour(path, name, mask, self._news(path, drawn.notes))

    def _drawn(self, path: Path, name: str) -> StructureSet:
        summary = summarise_rtstruct(path)
        if not name:
            raise _unnamed("structure set", "ROI", summary.names, path)
        if self._folder is None:
            raise InputError("A structure set says nothing without the CT that it was drawn on", where=path.name, do=_where_its_ct_is(path))
        return read_rtstruct(path, on=self._folder.referenced_by(summary), assume_same_frame=self._assume_same_frame)

    def _segment(self, path: Path, name: str) -> Contour:
        segments = read_seg(path)
        if not name and len(segments.names) != 1:
            raise _unnamed("DICOM SEG", "SEGMENT", segments.names, path)
        mask = segments[name or segments.names[0]]
        frame = mask.geometry.frame_of_reference
        if self._assume_same_frame and frame:
            told = f"{path.name} is on frame of reference {frame}: taken as that of the others because told so"
            return Contour(path, name, Mask(mask.inside, replace(mask.geometry, frame_of_reference="")), self._news(path, (told,)))
        return Contour(path, name, mask, self._news(path, segments.notes))

    def _news(self, path: Path, notes: Sequence[str]) -> tuple[str, ...]:
        """The notes that were not told before, each with the file that it is about."""
        about = [note if path.name in note else f"{path.name}: {note}" for note in notes]
        new = tuple(note for note in about if note not in self._told)
        self._told.update(new)
        return new


def file_and_part(given: str) -> tuple[Path, str]:
    """The file that a text names, and the part of it: the longest beginning that is a file, so that names may hold colons, as drives do."""
    for end in (len(given), *(place for place in range(len(given) - 1, 0, -1) if given[place] == ":")):
        kind = _kind(Path(given[:end]))
        if kind == "file":
            part = given[end + 1 :]
            return Path(given[:end]), part if part.strip(": ") else ""
        if kind == "folder" and end > 1:
            raise InputError("A contour is a file", where=given[:end], expected=KINDS, found="a folder")
    raise NotFoundError("No such file", where=given if len(given) < 300 else f"{given[:300]}…", expected=KINDS)


def is_structure_set(path: Path) -> bool:
    """Whether a file is one whose contours need the CT that they were drawn on."""
    if path.name.lower().endswith(IMAGES) or is_candidate_file(path):
        return False
    with quiet():
        header = read_header(path, path.name)
    return isinstance(header, tuple) and header[0].sop_class_uid == RT_STRUCTURE_SET


def _kind(path: Path) -> str:
    with suppress(OSError, ValueError):  # a name that is too long or holds a zero is no file's
        return "file" if path.is_file() else "folder" if path.is_dir() else ""
    return ""


def distinct_names(contours: Sequence[tuple[Path, str]]) -> list[str]:
    """A short name for each contour, the file's and its part's, with as many folders before it as tell different files apart."""
    names = [f"{path.name}:{part}" if part else path.name for path, part in contours]
    paths = [path.absolute() for path, _ in contours]
    return [
        _with_folders(name, path, {other for other, theirs in zip(paths, names, strict=True) if theirs == name and other != path})
        for name, path in zip(names, paths, strict=True)
    ]


def _with_folders(name: str, path: Path, twins: set[Path]) -> str:
    """The name with as few of the file's folders before it as no other file of that name has."""
    folders = 0
    while any(other.parts[-1 - folders :] == path.parts[-1 - folders :] for other in twins):
        folders += 1
    return "/".join((*path.parts[-1 - folders : -1], name))


def _labelled(path: Path, label: str) -> Mask:
    """The mask in an image file: what is not zero, or has the label."""
    array, geometry = read_labels(path)
    inside = array != 0
    values = np.unique(array[inside])
    if len(values) > MOST_LABELS or not np.array_equal(values, np.rint(values)):
        found = f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
        do = "Give a mask; of partial volumes (rt4d contours --partial-volume) a mask is those of one half and more"
        raise InputError("An image is no mask", where=path, expected="zero and one other value, or whole numbers as labels", found=found, do=do)
    listed = ", ".join(f"{value:g}" for value in values)
    if not label:
        if len(values) > 1:
            do = f"Say which: {path.name}:LABEL"
            raise InputError("A mask file holds several labels", where=path, expected="one", found=listed, do=do)
        return Mask(inside, geometry)
    if not (label.isascii() and label.isdigit()):
        raise InputError("A label of a mask file is a whole number", where=path, expected=f"one of {listed or '(none)'}", found=label)
    if len(values) and int(label) not in values:
        do = "Where there truly is none of it, give an empty mask"
        raise NotFoundError("No such label in the mask file", where=path, expected=f"one of {listed}", found=label, do=do)
    return Mask(array == int(label) if len(values) else inside, geometry)


def _kept(path: Path, part: str) -> Contour:
    """What a segmenter kept, as the contour, with all of its candidates."""
    if part:
        raise InputError("A list of candidates has no parts", where=path, found=part, do="Of one candidate give its mask, candidate_<n>.nii.gz")
    found = read_candidates(path)
    return Contour(path, "", found.mask, candidates=found)


def _require_segmentation(path: Path) -> None:
    """Refuse what is no DICOM file that holds contours, by what it is."""
    with quiet():
        header = read_header(path, path.name)
    if not isinstance(header, tuple):
        found = header.reason if isinstance(header, Unreadable) else "neither an image nor DICOM"
        raise InputError("Not a file with contours", where=path, expected=KINDS, found=found)
    if header[0].sop_class_uid not in (SEGMENTATION, LABEL_MAP):
        raise ContourError("Not a file with contours", where=path, expected=KINDS, found=header[0].modality or "another DICOM object")


def _unnamed(what: str, part: str, names: Sequence[str], path: Path) -> InputError:
    do = f"Say which: {path.name}:{part}"
    return InputError(f"A {what} needs the name of one of its {part.lower().replace('roi', 'ROI')}s", where=path, found=", ".join(names), do=do)


def _where_its_ct_is(path: Path) -> str:
    """What to do about a missing CT, with the folders beside the structure set that hold one."""
    beside = [path.absolute().parent, *sorted(each for each in path.absolute().parent.iterdir() if each.is_dir())[:_LOOKED_AT]]
    found = [str(folder) for folder in beside if _holds_ct(folder)]
    where = f"; a CT lies in {found[0]}" if len(found) == 1 else f"; CTs lie in {', '.join(found)}" if found else ""
    return f"Say on which CT it was drawn: --on CT_DIR{where}"


def _holds_ct(folder: Path) -> bool:
    with quiet():
        headers = (read_header(path, path.name) for path in sorted(folder.iterdir())[:_LOOKED_AT] if path.is_file())
        return any(not isinstance(header, Unreadable) and header is not None and bool(header[1]) for header in headers)
