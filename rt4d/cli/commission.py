"""rt4d commission: the end-to-end test before use and after every update; and the public landmarks of DIR-Lab."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rt4d.commissioning.cases import Case
    from rt4d.commissioning.landmarks import Errors, LandmarkTable

CHECK_FAILED = 1
OWN_HELP = "The clinic's own CT, made to breathe by known motions, with --gtv and --roi."
TOLERANCES_HELP = "Tolerances of one's own: a changed copy of rt4d/commissioning/tolerances.toml.  [default: rt4d's, after AAPM TG-132]"
DIRLAB_HELP = "Instead: measure the registration on the landmarks of the DIR-Lab cases unpacked in this folder."
VERIFY_HELP = "Instead: tell whether the folder of an earlier commissioning is as it was made."
RECIPE_HELP = "Registration recipe: a name, or a folder of your own.  [default: lung_focus; lung_4dct with --dirlab]"
COLUMNS = (
    ("GTV DSC", "gtv_dice", 3),
    ("ITV DSC", "itv_dice", 3),
    ("ITV vol %", "itv_volume_error_percent", 1),
    ("surface mm", "mean_surface_distance_mm", 2),
    ("centroid mm", "centroid_error_mm", 2),
    ("TRE mean mm", "tre_gtv_mean_mm", 2),
    ("TRE max mm", "tre_gtv_max_mm", 2),
)


def commission(
    out: Annotated[Path | None, typer.Option("--out", metavar="OUT", help="Folder for the record and the report: new or empty.")] = None,
    ct: Annotated[Path | None, typer.Option(metavar="CT_DIR", help=OWN_HELP)] = None,
    gtv: Annotated[Path | None, typer.Option(metavar="RTSTRUCT", help="The structure set of that CT.")] = None,
    roi: Annotated[str, typer.Option(metavar="NAME", help="The GTV in it.")] = "GTV",
    assume_same_frame: Annotated[bool, typer.Option("--assume-same-frame", help="Accept the structure set's frame of reference.")] = False,
    resample: Annotated[bool, typer.Option("--resample", help="Interpolate a CT whose slices are uneven.")] = False,
    tolerances: Annotated[Path | None, typer.Option(metavar="FILE.toml", help=TOLERANCES_HELP)] = None,
    recipe: Annotated[str | None, typer.Option(help=RECIPE_HELP)] = None,
    dirlab: Annotated[Path | None, typer.Option(metavar="FOLDER", help=DIRLAB_HELP)] = None,
    verify: Annotated[Path | None, typer.Option(metavar="OUT", help=VERIFY_HELP)] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Registrations side by side.  [default: the cores there are]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Cases whose truth is known through the whole of rt4d, DICOM to structure set, against tolerances: run it before use and after every update.

    OUT gets commission.json (all figures, tolerances and their sources, versions, recipes, fingerprint), report.html and figures. Exit code 1
    where a figure is outside its tolerance.
    """
    _require_one_task(out=out, dirlab=dirlab, verify=verify, own={"--ct": ct, "--gtv": gtv, "--tolerances": tolerances})
    if verify is not None:
        return _verify(verify, as_json=as_json)
    if dirlab is not None:
        return _landmarks(dirlab, recipe=recipe, workers=workers, as_json=as_json)
    assert out is not None
    return _commission(
        out,
        own=(ct, gtv, roi) if ct is not None and gtv is not None else None,
        reading={"assume_same_frame": assume_same_frame, "resample": resample},
        tolerances=tolerances,
        recipe=recipe,
        workers=workers,
        as_json=as_json,
    )


def _require_one_task(*, out: Path | None, dirlab: Path | None, verify: Path | None, own: dict[str, Path | None]) -> None:
    from rt4d.errors import InputError

    tasks = [name for name, given in (("--out", out), ("--dirlab", dirlab), ("--verify", verify)) if given is not None]
    if len(tasks) != 1:
        raise InputError("Commissioning has one task at a time", expected="one of --out, --dirlab, --verify", found=", ".join(tasks) or "none")
    if out is None and (extra := [name for name, given in own.items() if given is not None]):
        raise InputError("An option does not go with this task", where=tasks[0], found=", ".join(extra), do="They go with --out")
    if (own["--ct"] is None) != (own["--gtv"] is None):
        raise InputError("The clinic's own CT is breathed around its GTV", do="Give both --ct and --gtv (and --roi)")


def _commission(
    out: Path,
    *,
    own: tuple[Path, Path, str] | None,
    reading: dict[str, bool],
    tolerances: Path | None,
    recipe: str | None,
    workers: int | None,
    as_json: bool,
) -> int:
    from rt4d.cli.screen import progress
    from rt4d.commissioning import cases, record
    from rt4d.commissioning.running import commission as run_cases
    from rt4d.commissioning.tolerances import read_tolerances
    from rt4d.motion.recipe import read_recipe
    from rt4d.outputs import require_new_folder, whole_folder

    require_new_folder(out, not_inside=own[0] if own else None)
    limits = read_tolerances(tolerances)
    if recipe is not None:
        read_recipe(recipe)
    asked: list[Case] = list(cases.generated_cases())
    inputs: dict[str, Any] | None = None
    if own is not None:
        folder, contours, roi = own
        image, mask = cases.read_own(folder, contours, roi, **reading)
        asked += cases.own_cases(image, roi, mask)
        inputs = record.input_record(image, contours, roi, resampled=reading["resample"])
    with progress() as show:
        found = run_cases(asked, tolerances=limits, recipe=recipe, workers=workers, progress=show)
    with whole_folder(out.absolute()) as place:
        written = record.write_record(found, place, inputs=inputs)
    sys.stdout.write(json.dumps(written, indent=2) + "\n" if as_json else as_text(written) + f"Written to {out}: open report.html first.\n")
    return 0 if found.passed else CHECK_FAILED


def _verify(folder: Path, *, as_json: bool) -> int:
    from rt4d.commissioning.record import verify

    changed = verify(folder)
    if as_json:
        sys.stdout.write(json.dumps({"verdict": "fail" if changed else "pass", "changed": list(changed)}, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in changed) or "As it was made.\n")
    return CHECK_FAILED if changed else 0


def _landmarks(folder: Path, *, recipe: str | None, workers: int | None, as_json: bool) -> int:
    from rt4d.cli.screen import progress
    from rt4d.commissioning.landmarks import landmark_table

    with progress() as show:
        table = landmark_table(folder, recipe=recipe, workers=workers, progress=show)
    sys.stdout.write(json.dumps(table.to_dict(), indent=2) + "\n" if as_json else landmarks_as_text(table))
    for case in table.cases:
        if case.doubt:
            sys.stderr.write(f"warning: case {case.number}: {case.doubt}\n")
    return 0 if table.passed else CHECK_FAILED


def as_text(record: dict[str, Any]) -> str:
    """The record as a person reads it in a terminal."""
    sound = [case for case in record["cases"] if case["kind"] != "sabotaged"]
    width = max(len(case["name"]) for case in record["cases"]) + 2
    lines = [f"{'case':<{width}}" + "".join(f"{title:>13}" for title, _, _ in COLUMNS) + f"{'s':>6}  verdict"]
    for case in sound:
        cells = "".join(f"{_number(case['figures'][name], decimals):>13}" for _, name, decimals in COLUMNS)
        lines.append(f"{case['name']:<{width}}{cells}{case['seconds']:6.0f}  {case['verdict']}")
    for case in record["cases"]:
        if case["kind"] == "sabotaged":
            missed, wrong = case["figures"]["sabotage_missed"], len(case["sabotaged"])
            said = "not measured" if missed is None else f"{wrong - missed:.0f} of {wrong} wrong phases flagged"
            lines.append(f"{case['name']:<{width}}  {said}  {case['verdict']}")
    lines += [f"! {line}" for case in record["cases"] for line in _outside(case, record)]
    verdict = "all within tolerance" if record["verdict"] == "pass" else "OUTSIDE TOLERANCE"
    return "\n".join([*lines, "", f"Commissioning: {verdict} ({record['tolerances']['title']})", f"Fingerprint {record['sha256']}", ""])


def _outside(case: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """What of a case is outside its tolerance, a line each."""
    if case["error"]:
        return [f"{case['name']}{' (not made)' if case['verdict'] == 'not made' else ''}: {case['error']}"]
    lines = []
    for name, verdict in case["verdicts"].items():
        if verdict == "fail":
            bound = record["tolerances"]["measures"][name]
            limit = f"at least {bound['at_least']:g}" if "at_least" in bound else f"at most {bound['at_most']:g}"
            unit = "" if bound["unit"] == "1" else f" {bound['unit']}"
            lines.append(f"{case['name']}: {record['measures'][name]['title']} {_number(case['figures'][name], 3)}{unit}, tolerance {limit}{unit}")
    return lines


def landmarks_as_text(table: LandmarkTable) -> str:
    """The ten-case table as a person reads it in a terminal; errors in mm."""
    head = f"{'mean ± SD':>14}{'median':>8}{'p95':>7}{'max':>7}"
    lines = [
        f"{'':<6}{'':>10}{'before':>16}{'':>11}  {'after':^36}  {'after, snapped to voxels':^36}",
        f"{'case':<6}{'landmarks':>10}{'mean ± SD mm':>16}{'published':>11}  {head} mm{head} mm{'s':>6}",
    ]
    rows = [*table.cases, *([table.together] if len(table.cases) > 1 else [])]
    for case in rows:
        published = "" if case.published_before_mm is None else f"{case.published_before_mm:.2f}"
        before = f"{case.before.mean:.2f} ± {case.before.sd:.2f}"
        after = f"{_errors(case.after)}   {_errors(case.snapped)}"
        lines.append(f"{case.number or 'all':<6}{case.landmarks:>10}{before:>16}{published:>11}  {after}   {case.seconds:6.0f}")
    lines += [f"case {case.number}: {case.outside} landmarks lie outside what was registered" for case in table.cases if case.outside]
    lines += [f"case {number}: missing, no {lacking}" for number, lacking in table.missing.items()]
    return "\n".join([*lines, f"Recipe {table.recipe[0]} ({table.recipe[1][:12]}), T00 to T50", ""])


def _errors(errors: Errors) -> str:
    spread = f"{errors.mean:.2f} ± {errors.sd:.2f}"
    return f"{spread:>14}{errors.median:8.2f}{errors.p95:7.2f}{errors.maximum:7.2f}"


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"
