"""rt4d segment: the gross tumour volume on a CT, as candidates for a physician to choose from."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rt4d.rois import Progress
    from rt4d.segmentation.files import LookedAt
    from rt4d.volumes import Volume

IMAGE_HELP = "A CT: DICOM folder (of a 4D-CT what --on says), NIfTI, MHA or NRRD."
BUNDLE_HELP = "The model: a name, or /path/to/bundle@sha256:HEX for one from elsewhere.  [default: gtv_lung]"
POINT_HELP = "Only the lesion at this point, whatever its score: patient coordinates in mm (LPS)."
KEEP_HELP = "Keep these candidates, by the numbers that an earlier run gave them.  [default: by score and size]"
ON_HELP = "What of a 4D-CT is looked at: its reference phase, or the average of its phases."
FLIPS_HELP = "Also look at the CT turned over along each axis: steadier, four times as long."


class On(enum.StrEnum):
    """As typer wants the choices of an option."""

    reference = "reference"
    average = "average"


def segment(
    image: Annotated[Path, typer.Argument(metavar="DIR|VOLUME", help=IMAGE_HELP)],
    out: Annotated[Path, typer.Option("--out", metavar="OUT", help="Folder for the results: new or empty, not inside DIR.")],
    bundle: Annotated[str | None, typer.Option(metavar="NAME", help=BUNDLE_HELP)] = None,
    point: Annotated[str | None, typer.Option(metavar="X,Y,Z", help=POINT_HELP)] = None,
    keep: Annotated[str | None, typer.Option(metavar="N,N", help=KEEP_HELP)] = None,
    reference: Annotated[str | None, typer.Option(help="Phase of a 4D-CT: a label or a percentage.  [default: 50]")] = None,
    on: Annotated[On, typer.Option(help=ON_HELP)] = On.reference,
    flips: Annotated[bool, typer.Option("--flips", help=FLIPS_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print candidates.json instead of a table.")] = False,
) -> int:
    """Lesions of the lungs as masks on the CT's own grid: gtv.nii.gz (all that are kept), candidate_<n>.nii.gz and candidates.json.

    Every candidate is listed, also those that are not kept, and why. Exit code 0 also where none was found: gtv.nii.gz is empty then.
    """
    from rt4d.cli.screen import progress
    from rt4d.cli.values import counting_numbers, triple
    from rt4d.outputs import require_new_folder, whole_folder
    from rt4d.segmentation.bundle import DEFAULT, read_bundle
    from rt4d.segmentation.files import as_lines, write_segmentation
    from rt4d.segmentation.segmenting import segment as segment_volume

    point_mm = None if point is None else triple(point, option="--point")
    numbers = None if keep is None else counting_numbers(keep, option="--keep")
    _require_one_image(on, reference)
    require_new_folder(out, not_inside=image if image.is_dir() else None)
    read_bundle(bundle or DEFAULT)  # a misspelt one is refused before the CT is read
    with progress() as show:
        volume, looked_at, label = _read(image, on, reference, show)
        found = segment_volume(volume, bundle=bundle, point_mm=point_mm, keep=numbers, flips=flips, progress=show)
        with whole_folder(out.absolute()) as folder:
            record = write_segmentation(folder, found, on=looked_at, reference=label, progress=show)
    for note in found.notes:
        sys.stderr.write(f"note: {note}\n")
    sys.stdout.write(json.dumps(record, indent=2) + "\n" if as_json else _as_text(record, as_lines(record, all_in="candidates.json"), out))
    return 0


def _require_one_image(on: On, reference: str | None) -> None:
    from rt4d.errors import InputError

    if on == On.average and reference is not None:
        raise InputError("--reference names one phase, --on average takes all", do="Give one of them")


def _read(path: Path, on: On, reference: str | None, show: Progress) -> tuple[Volume, LookedAt | None, str | None]:
    """The CT, what it is of a 4D-CT, and the phase's label where it is one; refused where uneven slices are more than an image file can say."""
    from rt4d.dicom.fourdct import scan
    from rt4d.errors import NotFoundError
    from rt4d.images import FORMATS
    from rt4d.roi_files import require_nifti

    if not path.exists():
        raise NotFoundError("There is no such file or folder", where=path, do=f"Give the folder of a CT, or a file {', '.join(FORMATS)}")
    four_d = scan(path).four_d_cts if path.is_dir() else ()
    volume, looked_at, label = _of_4dct(path, four_d[0].labels, on, reference, show) if four_d else (_single(path, on, reference, show), None, None)
    require_nifti(volume.geometry)
    return volume, looked_at, label


def _of_4dct(path: Path, labels: tuple[str, ...], on: On, reference: str | None, show: Progress) -> tuple[Volume, LookedAt, str | None]:
    from rt4d.dicom.fourdct import read_4dct
    from rt4d.target import average

    if on == On.average:  # which phase is the reference has no part in it: any will do
        return average(read_4dct(path, reference=labels[0], progress=show)), "average", None
    phase = read_4dct(path, reference=reference, progress=show).reference
    return phase.volume, "reference", phase.label


def _single(path: Path, on: On, reference: str | None, show: Progress) -> Volume:
    from rt4d.dicom.series import read_ct
    from rt4d.errors import InputError
    from rt4d.images import read_volume

    if reference is not None:
        raise InputError("There is no 4D-CT of which --reference names a phase", where=path)
    if on == On.average:
        raise InputError("There is no 4D-CT whose phases could be averaged", where=path, do="Leave --on out to look at this CT itself")
    return read_ct(path, progress=show).volume if path.is_dir() else read_volume(path)


def _as_text(record: dict[str, Any], lines: list[str], out: Path) -> str:
    kept = sum(one["kept"] for one in record["candidates"])
    bundle = record["bundle"]
    where = f" on phase {record['reference']}" if record["reference"] else " on the average of the phases" if record["on"] == "average" else ""
    head = f"{kept} of {len(record['candidates'])} candidates kept{where}, by {bundle['name']} ({bundle['sha256'][:12]})"
    return "\n".join([head, *lines, f"Written to {out}. Not for clinical use: look at every candidate.", ""])
