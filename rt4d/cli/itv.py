"""rt4d itv: from a 4D-CT folder to an internal target volume."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rt4d.patient import ItvRequest

CHECK_FAILED = 1
NAMES_HELP = "ROI names in the structure set: as the design has them, of at most 16 characters, or after AAPM TG-263."
ROI_HELP = "The GTV's name in the structure set; several names give several ITVs. A * may stand for the phase: 'GTV_T*'."
POINT_HELP = "Without --gtv: the lesion at this point and only that one, patient coordinates in mm (LPS)."
KEEP_HELP = "Without --gtv: these candidates, by the numbers that an earlier run listed; each becomes a target of its own."
BUNDLE_HELP = "Without --gtv, or with --segment-phases: the model, a name or /path/to/bundle@sha256:HEX.  [default: gtv_lung]"
SEGMENT_HELP = "Also segment every phase, and compare with the GTV that was carried there. Changes neither the ITV nor the verdict."
PATIENT_HELP = "Put the patient's name and ID at the head of report.html. Without it no file names the patient, DICOM apart."
FRAME_HELP = "Accept a structure set of another frame of reference, or of none, whose planes lie on the slices. It is recorded."
INTERPOLATE_HELP = "Fill slices without a contour inside the GTV from the planes about them, also where planes lie between slices."


class Names(enum.StrEnum):
    """As typer wants the choices of an option."""

    full = "full"
    short = "short"
    tg263 = "tg263"


def itv(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with the 4D-CT as it came from the scanner or archive.")],
    out: Annotated[Path, typer.Option("--out", metavar="OUT", help="Folder for the results: new or empty, not inside DIR.")],
    gtv: Annotated[list[Path] | None, typer.Option(metavar="RTSTRUCT", help="The physician's structure set; one per phase drawn on.")] = None,
    roi: Annotated[list[str] | None, typer.Option(metavar="NAME", help=ROI_HELP)] = None,
    point: Annotated[str | None, typer.Option(metavar="X,Y,Z", help=POINT_HELP)] = None,
    keep: Annotated[str | None, typer.Option(metavar="N,N", help=KEEP_HELP)] = None,
    bundle: Annotated[str | None, typer.Option(metavar="NAME", help=BUNDLE_HELP)] = None,
    reference: Annotated[str | None, typer.Option(help="Reference phase: a label or a percentage.  [default: 50]")] = None,
    recipe: Annotated[str | None, typer.Option(help="Registration recipe: a name, or a folder of your own.")] = None,
    whole_lung: Annotated[bool, typer.Option("--whole-lung", help="Register the whole lungs instead of the surroundings of the GTV.")] = False,
    margin: Annotated[str | None, typer.Option(metavar="MM|X,Y,Z", help="Margin of the PTV in mm, the same or along patient x,y,z.")] = None,
    planning: Annotated[Path | None, typer.Option(metavar="CT_DIR", help="Write the structure set for this CT of the same frame.")] = None,
    names: Annotated[Names, typer.Option(help=NAMES_HELP)] = Names.full,
    name_patient: Annotated[bool, typer.Option("--name-patient", help=PATIENT_HELP)] = False,
    projections: Annotated[bool, typer.Option("--projections", help="Also write average, MIP and minimum CT as DICOM series.")] = False,
    segment_phases: Annotated[bool, typer.Option("--segment-phases", help=SEGMENT_HELP)] = False,
    assume_same_frame: Annotated[bool, typer.Option("--assume-same-frame", help=FRAME_HELP)] = False,
    interpolate: Annotated[bool, typer.Option("--interpolate", help=INTERPOLATE_HELP)] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Registrations side by side.  [default: the cores there are]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json instead of a table.")] = False,
) -> int:
    """From a 4D-CT to an internal target volume: structure set, masks, summary, report, and a scene for 3D Slicer.

    Without --gtv the GTV is segmented on the reference phase: the candidate of the highest score, or those chosen. The others are listed.
    Exit code 1 where a quality check failed: look at the report before you use anything.
    """
    from rt4d.cli.values import counting_numbers, triple
    from rt4d.cli.values import margin as parse_margin
    from rt4d.patient import ItvRequest

    request = ItvRequest(
        folder=folder,
        out=out,
        gtv=tuple(gtv or ()),
        roi=tuple(roi or ()),
        point_mm=None if point is None else triple(point, option="--point"),
        keep=() if keep is None else counting_numbers(keep, option="--keep"),
        bundle=bundle,
        reference=reference,
        recipe=recipe,
        whole_lung=whole_lung,
        margin_mm=parse_margin(margin),
        planning=planning,
        names=names.value,
        name_patient=name_patient,
        projections=projections,
        segment_phases=segment_phases,
        assume_same_frame=assume_same_frame,
        interpolate=interpolate,
        workers=workers,
    )
    summary = run_itv(request)
    sys.stdout.write(json.dumps(summary, indent=2) + "\n" if as_json else as_text(summary) + f"Written to {out}: open report.html first.\n")
    return 0 if summary["verdict"] == "pass" else CHECK_FAILED


def run_itv(request: ItvRequest) -> dict[str, Any]:
    """Plan and write, with progress on stderr; what summary.json says."""
    from rt4d.cli.screen import progress
    from rt4d.delivery import deliver
    from rt4d.outputs import whole_folder
    from rt4d.patient import plan_itv
    from rt4d.provenance import Stopwatch

    watch = Stopwatch()
    with progress() as show:
        result = plan_itv(request, watch=watch, progress=show)
        for note in result.notes:
            sys.stderr.write(f"note: {note}\n")
        with whole_folder(request.out.absolute()) as folder:
            return deliver(result, folder, watch=watch, progress=show)


def as_text(summary: dict[str, Any]) -> str:
    """The summary as a person reads it in a terminal."""
    from rt4d.segmentation.files import as_lines

    lines = []
    for target in summary["targets"]:
        travel = "  ".join(f"{axis} {mm:.1f}" for axis, mm in target["amplitude_mm"].items())
        volumes = target["volume_cm3"]
        ptv = f"   PTV {volumes['PTV']:.2f} cm³" if "PTV" in volumes else ""
        verdict = target["verdict"].upper()
        lines += [f"{target['name']} of {target['roi']}: {volumes['ITV']:.2f} cm³{ptv}   amplitude {travel} mm   checks: {verdict}", ""]
        lines.append(f"  {'phase':<7}{'GTV cm³':>9}{'adds cm³':>10}{'x mm':>9}{'y mm':>9}{'z mm':>9}  checks")
        for label, centroid in target["centroid_mm"].items():
            failed = [check["name"] for check in target["checks"] if check["phase"] == label and check["verdict"] == "fail"]
            mark = "*" if label == summary["reference"] else " "
            place = "".join(f"{v:9.1f}" for v in centroid)
            said = "failed: " + ", ".join(failed) if failed else "reference" if mark == "*" else "ok"
            lines.append(f"  {label + mark:<7}{volumes[label]:9.2f}{target['adds_cm3'][label]:10.2f}{place}  {said}")
        lines += [f"  {label:<7}  NOT IN THE UNION: {reason}" for label, reason in target["failed"].items()]
        lines += [f"  ! phase {check['phase']}: {check['sentence']}" for check in target["checks"] if check["verdict"] == "fail"]
        lines += [_as_segmented(target["segmented"])] if target["segmented"] else []
        lines.append("")
    if summary["segmentation"] is not None:
        lines += ["Candidates on the reference phase, for a physician to choose from:", *as_lines(summary["segmentation"], all_in="summary.json"), ""]
    return "\n".join(lines)


def _as_segmented(phases: dict[str, dict[str, float] | None]) -> str:
    """The comparison with what was segmented on each phase, in a line."""
    from statistics import median

    dice = {label: one["dice"] for label, one in phases.items() if one is not None}
    said = []
    if dice:
        worst = min(dice, key=dice.__getitem__)
        said.append(f"median DSC {median(dice.values()):.2f}, worst phase {worst} ({dice[worst]:.2f})")
    if missing := [label for label in phases if label not in dice]:
        said.append(f"nothing found in {', '.join(missing)}")
    return f"  segmented on each phase, for comparison: {'; '.join(said)}"
