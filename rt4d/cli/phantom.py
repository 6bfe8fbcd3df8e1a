"""rt4d phantom: a 4D-CT whose motion is known, as real DICOM."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rt4d.phases import CtImage
    from rt4d.rois import Progress
    from rt4d.volumes import Mask


def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the phantom: new or empty.")],
    size: Annotated[str, typer.Option(metavar="X,Y,Z", help="Voxels along x,y,z.")] = "128,96,64",
    spacing: Annotated[str, typer.Option(metavar="X,Y,Z", help="Voxel spacing in mm.")] = "3,3,4",
    position: Annotated[str, typer.Option(help="Patient position: HFS, HFP, FFS or FFP.")] = "HFS",
    phases: Annotated[int, typer.Option(min=2, max=20, help="Phases of the breathing cycle.")] = 10,
    amplitude: Annotated[str, typer.Option(metavar="X,Y,Z", help="Peak-to-peak travel of the tumour in mm.")] = "1,4,15",
    diameter: Annotated[float, typer.Option(min=3, max=120, help="Diameter of the tumour in mm.")] = 30.0,
    centre: Annotated[str, typer.Option(metavar="X,Y,Z", help="Its centre in mm; the chest's middle is 0,0,0.")] = "-77.3,18.4,-21.1",
    noise: Annotated[float, typer.Option(min=0, max=200, help="Noise in HU (standard deviation), another in each phase.")] = 15.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same phantom.")] = 0,
    breathe: Annotated[Path | None, typer.Option(metavar="CT_DIR", help="Breathe this real CT instead, with --gtv.")] = None,
    gtv: Annotated[Path | None, typer.Option(metavar="RTSTRUCT", help="The real CT's structure set.")] = None,
    roi: Annotated[str, typer.Option(metavar="NAME", help="The GTV in it.")] = "GTV",
    assume_same_frame: Annotated[bool, typer.Option("--assume-same-frame", help="Accept the structure set's frame of reference.")] = False,
    resample: Annotated[bool, typer.Option("--resample", help="Interpolate a real CT whose slices are uneven.")] = False,
) -> int:
    """A breathing thorax with a tumour, or a real CT made to breathe: a 4D-CT as DICOM, a structure set of its GTV, and the truth.

    OUT gets 4dct/<phase>, gtv.dcm (the GTV on the reference phase) and truth (masks of every phase, the ITV, truth.json).
    """
    from rt4d.cli.screen import progress
    from rt4d.cli.values import triple
    from rt4d.outputs import require_new_folder
    from rt4d.phantom import Tumour, make_4dct
    from rt4d.phantom import breathe as breathe_ct

    require_new_folder(out, not_inside=breathe)
    travel = triple(amplitude, option="--amplitude")
    with progress() as show:
        if breathe is not None:
            ct, mask = _drawn_on(breathe, gtv, roi, assume_same_frame=assume_same_frame, resample=resample, show=show)
            case = breathe_ct(ct, {roi: mask}, amplitude_mm=travel, phases=phases, noise_hu=noise, seed=seed, progress=show)
        else:
            nx, ny, nz = (int(n) for n in triple(size, option="--size"))
            case = make_4dct(
                size=(nx, ny, nz),
                spacing_mm=triple(spacing, option="--spacing"),
                direction=position,
                phases=phases,
                tumours=[Tumour(triple(centre, option="--centre"), diameter)],
                amplitude_mm=travel,
                noise_hu=noise,
                seed=seed,
                progress=show,
            )
        case.write(out, progress=show)
    label = case.ct.reference_label
    reference = "" if label == "50" else f" --reference {label}"
    sys.stdout.write(f"{case.ct!r}\nTrue ITV {case.itv.volume_cm3:.2f} cm³\nTry: rt4d itv {out}/4dct --gtv {out}/gtv.dcm{reference} --out RESULT\n")
    return 0


def _drawn_on(folder: Path, contours: Path | None, roi: str, *, assume_same_frame: bool, resample: bool, show: Progress) -> tuple[CtImage, Mask]:
    """The real CT and its GTV; both on even slices where that was asked for."""
    from rt4d.dicom.series import read_ct
    from rt4d.dicom.structures import read_rtstruct
    from rt4d.errors import InputError
    from rt4d.resampling import evenly, resample_mask

    if contours is None:
        raise InputError("A real CT is breathed around its GTV", do="Give its structure set with --gtv and the ROI with --roi")
    ct = read_ct(folder, progress=show)
    drawn = read_rtstruct(contours, on=ct, assume_same_frame=assume_same_frame)
    mask = drawn[roi]
    for note in drawn.notes:
        sys.stderr.write(f"note: {note}\n")
    if resample:
        ct = replace(ct, volume=evenly(ct.volume))
        mask = resample_mask(mask, ct.geometry, keep_volume=True)
    return ct, mask
