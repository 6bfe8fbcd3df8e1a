"""rt4d compare: how well contours agree, two files or a whole cohort of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rt4d.agreement.matching import ShippedRule

CONTOURS_HELP = "Two or more: mask files (of several labels FILE:LABEL), DICOM SEG (FILE:SEGMENT), RTSTRUCT:ROI with --on, or candidates.json."
ON_HELP = "Folder with the CT that structure sets were drawn on; of several series the one that each references. False voxels are told by its lungs."
FRAME_HELP = "Accept contours in another frame of reference, or none, where their planes lie on the slices. It is said."
MASKS_HELP = "Folder for the false-positive and false-negative voxels as NIfTI, and compare.json: new or empty."
COHORT_HELP = "Instead: all pairs of a table (CSV, Excel, parquet) with columns patient, observer, roi, contour, and where wanted ct, cohort, repeat."
OUT_HELP = "With --cohort: folder for the pairs, their summary and figures: new or empty."
MACHINE_HELP = "With --cohort: an observer who is a machine (several are allowed).  [default: machine]"
REPORT_HELP = "Also write a page for people: one HTML file, new, that opens offline; numbers, contours in three planes, where they differ."
WITH_NAMES_HELP = "With --cohort and --report: call patients and files in the page as the table does; by default patients are numbered."
LESIONS_HELP = (
    "Also match lesions, the pieces of either contour, by: overlap, overlap=SHARE (of both), dsc=SHARE, iou=SHARE, centroid, centroid=MM. "
    "With --cohort, and a machine's contours given as the candidates.json that rt4d segment writes, also the FROC curve over their scores."
)


class Method(enum.StrEnum):
    """As typer wants the choices of an option."""

    staple = "staple"
    majority = "majority"


def compare(
    contours: Annotated[list[str] | None, typer.Argument(metavar="MACHINE PHYSICIAN", help=CONTOURS_HELP, show_default=False)] = None,
    on: Annotated[Path | None, typer.Option("--on", metavar="CT_DIR", help=ON_HELP)] = None,
    tolerance_mm: Annotated[float, typer.Option("--tolerance-mm", metavar="MM", help="Surfaces this near count as one in the surface DSC.")] = 2.0,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Every pair, not only the first against each other.")] = False,
    consensus: Annotated[Method | None, typer.Option("--consensus", help="Also the first against the consensus of all others.")] = None,
    masks: Annotated[Path | None, typer.Option("--masks", metavar="DIR", help=MASKS_HELP)] = None,
    lesions: Annotated[str | None, typer.Option("--lesions", metavar="RULE", help=LESIONS_HELP)] = None,
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help=REPORT_HELP)] = None,
    assume_same_frame: Annotated[bool, typer.Option("--assume-same-frame", help=FRAME_HELP)] = False,
    cohort: Annotated[Path | None, typer.Option("--cohort", metavar="TABLE", help=COHORT_HELP)] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="OUT", help=OUT_HELP)] = None,
    machine: Annotated[list[str] | None, typer.Option("--machine", metavar="NAME", help=MACHINE_HELP)] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="With --cohort: write the pairs as parquet instead of CSV.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="With --cohort: patients side by side.  [default: the cores there are]")] = None,
    with_names: Annotated[bool, typer.Option("--with-names", help=WITH_NAMES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """How well a machine's contour agrees with physicians': DSC, surface distances, volumes, false positives and negatives, a row per pair.

    Volumes in cm³, distances in mm; the centroid's shift is from physician to machine, to the left, posterior and superior. What is
    undefined, as distances to an empty contour, is a dash, in JSON null. Exit code 1 where a pair of a cohort could not be compared.
    """
    paired = {"--on": on, "--all-pairs": all_pairs, "--consensus": consensus, "--masks": masks}
    tabled = {"--out": out, "--machine": machine, "--parquet": parquet, "--workers": workers, "--with-names": with_names}
    _require_one_task(contours or [], cohort, paired=paired, tabled=tabled)
    rule = None if lesions is None else _rule(lesions)
    if cohort is not None and out is not None:
        from rt4d.cli.compare_cohort import compare_table

        return compare_table(
            cohort,
            out,
            machines=machine or ("machine",),
            tolerance_mm=tolerance_mm,
            assume_same_frame=assume_same_frame,
            rule=rule,
            parquet=parquet,
            workers=workers,
            report=report,
            with_names=with_names,
            as_json=as_json,
        )
    from rt4d.cli.compare_files import compare_files

    return compare_files(
        contours or [],
        on=on,
        tolerance_mm=tolerance_mm,
        all_pairs=all_pairs,
        consensus=None if consensus is None else consensus.value,
        masks=masks,
        assume_same_frame=assume_same_frame,
        rule=rule,
        report=report,
        as_json=as_json,
    )


def _rule(text: str) -> ShippedRule:
    from rt4d.cli.lesions import lesion_rule

    return lesion_rule(text)


def _require_one_task(contours: Sequence[str], cohort: Path | None, *, paired: Mapping[str, object], tabled: Mapping[str, object]) -> None:
    """Contours, or a cohort with a place for its results; and what goes with it."""
    from rt4d.errors import InputError

    if cohort is None and len(contours) < 2:
        do = "Give the machine's and a physician's, or a table of many with --cohort TABLE --out OUT"
        raise InputError("A comparison needs two contours", found=", ".join(contours) or "none", do=do)
    if cohort is not None and (contours or tabled["--out"] is None):
        raise InputError("A cohort's contours stand in its table, and its results go into a folder", expected="--cohort TABLE --out OUT")
    if stray := [name for name, value in (tabled if cohort is None else paired).items() if value]:
        do = f"They go {'with --cohort' if cohort is None else 'without --cohort'}"
        raise InputError("An option does not go with this task", found=", ".join(stray), do=do)
