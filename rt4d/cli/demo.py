"""rt4d demo: the main job on a generated 4D-CT, and how close it came to the known truth."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

SMALL: dict[str, Any] = {"size": (96, 72, 44), "spacing_mm": (4.0, 4.0, 6.0), "phases": 4}


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="OUT", help="Folder for phantom and result: new, empty, or an earlier demo.")] = Path("demo"),
    small: Annotated[bool, typer.Option("--small", help="A smaller phantom of four phases, in seconds.")] = False,
) -> int:
    """Make a breathing phantom, run `rt4d itv` on it without any contour, and compare with the known truth."""
    from rt4d.cli.itv import as_text, run_itv
    from rt4d.cli.screen import progress
    from rt4d.patient import ItvRequest
    from rt4d.phantom import make_4dct

    _make_room(out)
    case, result = out / "phantom", out / "result"
    with progress() as show:
        make_4dct(**(SMALL if small else {}), progress=show).write(case, progress=show)
    summary = run_itv(ItvRequest(folder=case / "4dct", out=result, margin_mm=(5.0, 5.0, 5.0)))
    sys.stdout.write(f"\n{as_text(summary)}\n{_against_truth(case / 'truth', result)}\n\nReport: {(result / 'report.html').absolute()}\n")
    return 0 if summary["verdict"] == "pass" else 1


def _make_room(out: Path) -> None:
    """Take away an earlier demo; refuse a folder that holds anything else."""
    from rt4d.outputs import require_new_folder

    if out.is_dir() and {entry.name for entry in out.iterdir()} <= {"phantom", "result"}:
        for entry in out.iterdir():
            shutil.rmtree(entry)
    require_new_folder(out)


def _against_truth(truth: Path, result: Path) -> str:
    """DSC, centroid error and mean surface distance of every volume against the phantom's truth."""
    from rt4d.agreement import dice, mean_surface_distance_mm
    from rt4d.images import read_mask

    lines = ["Against the known truth:", f"  {'volume':<9}{'DSC':>7}{'centroid error mm':>19}{'mean surface distance mm':>26}"]
    for path in [*sorted(result.glob("gtv_*.nii.gz")), result / "itv.nii.gz"]:
        found, true = read_mask(path), read_mask(truth / path.name)
        off = sum((a - b) ** 2 for a, b in zip(found.centroid_mm, true.centroid_mm, strict=True)) ** 0.5
        name = path.name.removesuffix(".nii.gz")
        lines.append(f"  {name:<9}{dice(found, true):7.3f}{off:19.2f}{mean_surface_distance_mm(found, true):26.2f}")
    return "\n".join(lines)
