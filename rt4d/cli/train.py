"""rt4d train: from cases to a segmentation model, a MONAI bundle."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rt4d.segmentation.training.options import Options

DATA_HELP = "A folder of training cases (.npz), or a table (CSV, Excel) ct,gtv,patient[,roi] of real ones: DICOM and RTSTRUCT, or images."
FOLD_HELP = "The fold that is held back: 0, 1 …; or none: learn from everybody, without a validation."
FROM_HELP = "Begin from these weights: a bundle's folder, a .pt file, or a checkpoint."


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help=DATA_HELP)],
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="The bundle's folder: new or empty. Checkpoints: BUNDLE.training beside it.")],
    minutes: Annotated[float | None, typer.Option(help="Time for each member, over which the rate falls to nothing.  [default: 60]")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps for each member, instead of minutes.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds; a patient is never split.")] = 5,
    fold: Annotated[str, typer.Option(metavar="N|none", help=FOLD_HELP)] = "0",
    cross_validate: Annotated[bool, typer.Option("--cross-validate", help="Train every fold in turn; the bundle is their ensemble.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints that are there.")] = False,
    start: Annotated[Path | None, typer.Option("--from", metavar="WEIGHTS", help=FROM_HELP)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, patches and first weights.")] = 0,
    rate: Annotated[float | None, typer.Option(help="The highest learning rate (AdamW).  [default: 0.001]")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Patches per step and device.")] = 1,
    patch: Annotated[int, typer.Option(help="Voxels along each edge of a patch.")] = 80,
    filters: Annotated[str | None, typer.Option(metavar="N,N…", help="Of each level of the network.  [default: 16,32,64,128,160]")] = None,
    patience: Annotated[int, typer.Option(min=1, help="Validations (12 in all) without a better one before training ends early.")] = 6,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave out the table's cases that cannot be used, and name them.")] = False,
    licence: Annotated[str | None, typer.Option(help="The licence of the weights, for LICENSE and model card.")] = None,
) -> int:
    """Train the segmentation network and write it as a MONAI bundle with its model card.

    Uses a GPU where there is one; several through `torchrun -m rt4d train …`. Stopped, it goes on with --resume.
    """
    # Threads that wait without spinning leave the cores to the process that makes patches. Read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rt4d.errors import InputError, TrainingError
    from rt4d.outputs import require_new_folder
    from rt4d.segmentation.training.training import ALL_FOLDS, UNSTATED, Request, require_begun
    from rt4d.segmentation.training.training import train as run

    out = require_new_folder(out, not_inside=data)
    options = _options(
        minutes=minutes, steps=steps, folds=folds, seed=seed, rate=rate, batch=batch, patch=patch, filters=_filters(filters), patience=patience
    )
    work = out.with_name(f"{out.name}.training")
    if resume:
        require_begun(work)  # before a table is converted into a folder that was not meant
    request = Request(
        cases=_cases(data, work, options, skip_broken=skip_broken),
        out=out,
        work=work,
        options=options,
        fold=ALL_FOLDS if cross_validate else _fold(fold),
        resume=resume,
        start=start,
        licence=licence or UNSTATED,
    )
    before = _checkpoints(work)
    try:
        bundle = run(request, say=_say)
    except TrainingError:  # would end so again: its message says how to begin anew
        raise
    except BaseException as error:
        if _checkpoints(work) != (before if isinstance(error, InputError) else {}):  # not where the call was refused before anything was learnt
            _say(f"stopped; what was learnt is in {work}: the same command with --resume goes on")
        raise
    if bundle is not None:
        sys.stdout.write(f"Written to {bundle}: read docs/README.md first.\nUse it with --bundle {bundle}@sha256:{_digest(bundle)}\n")
    return 0


def _checkpoints(work: Path) -> dict[Path, int]:
    """When each was written."""
    return {path: path.stat().st_mtime_ns for path in work.glob("*/checkpoint.pt")}


def _digest(bundle: Path) -> str:
    from rt4d.segmentation.bundle import METADATA, SECTION, bundle_digest

    return bundle_digest(bundle, json.loads((bundle / METADATA).read_text(encoding="utf-8"))[SECTION]["members"])


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _options(**told: object) -> Options:
    """The options as told, all others as they are by default; minutes only where steps are not told."""
    from rt4d.segmentation.training.options import Options

    given = {name: value for name, value in told.items() if value is not None}
    return Options.from_dict(({"minutes": None} if "steps" in given and "minutes" not in given else {}) | given)


def _filters(text: str | None) -> tuple[int, ...] | None:
    from rt4d.errors import InputError

    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("--filters must be whole numbers", expected="16,32,64,128,160", found=text) from error


def _fold(text: str) -> int | None:
    from rt4d.errors import InputError

    if text != "none" and not text.isdecimal():
        raise InputError("--fold must be a number or none", found=text)
    return None if text == "none" else int(text)


def _cases(data: Path, work: Path, options: Options, *, skip_broken: bool) -> tuple[Path, ...]:
    """The cases of a folder, or those of a table as converted into the working folder."""
    from rt4d.cli.screen import progress
    from rt4d.segmentation.training.folds import case_paths
    from rt4d.segmentation.training.real_cases import convert, read_table

    if not data.is_file():
        return case_paths(data)
    rows = read_table(data)
    with progress() as show:
        made = convert(rows, work / "cases", space=options.space, skip_broken=skip_broken, progress=show)
    for note in made.notes:
        _say(note)
    for told in made.broken:
        _say(f"left out: {told}")
    return made.cases
