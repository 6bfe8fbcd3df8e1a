"""commission: every case written as DICOM, taken through the main job as `rt4d itv` takes it, and compared with its known truth."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rt4d.commissioning.cases import Case
from rt4d.commissioning.measures import SABOTAGED, SOUND, Figures, sabotage_figures, sound_figures
from rt4d.commissioning.tolerances import Tolerances
from rt4d.delivery import deliver
from rt4d.errors import InputError, RegistrationError, Rt4dError
from rt4d.motion import Recipe
from rt4d.motion.quality import Check
from rt4d.patient import ItvRequest, ItvResult, plan_itv
from rt4d.phantom import Phantom
from rt4d.provenance import Stopwatch
from rt4d.rois import Progress

MARGIN_MM = (5.0, 5.0, 5.0)
STEPS = ("made", "written as DICOM", "planned", "delivered", "measured")


@dataclass(frozen=True, slots=True, eq=False)
class CaseResult:
    """A case measured. figures: by measure. error: why the case could not be made or finished; such a case has no figures and has not passed.

    made: False where a clinic's own CT does not lend itself to so large a motion; such a case says nothing about rt4d and does not count.
    recipe: the registration recipe that was used. picture: PNG of true and found ITV, b'' where there is none.
    """

    case: Case
    figures: Figures
    tolerances: Tolerances
    failed_checks: tuple[Check, ...] = ()
    recipe: Recipe | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    made: bool = True
    picture: bytes = b""

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that such a case is judged by."""
        return SABOTAGED if self.case.kind == "sabotaged" else SOUND

    @property
    def verdicts(self) -> dict[str, str]:
        """'pass' or 'fail' by measure; what could not be measured has failed."""
        return {name: self.tolerances[name].verdict(self.figures.get(name)) for name in self.measures}

    @property
    def passed(self) -> bool:
        return not self.error and all(verdict == "pass" for verdict in self.verdicts.values())

    @property
    def verdict(self) -> str:
        """'pass', 'fail' or 'not made'."""
        return "not made" if not self.made else "pass" if self.passed else "fail"


@dataclass(frozen=True, slots=True, eq=False)
class Commissioning:
    """All cases measured against one set of tolerances."""

    results: tuple[CaseResult, ...]
    tolerances: Tolerances
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every case that was made passed, and of each kind of case at least one was made."""
        kinds = {result.case.kind for result in self.results}
        counted = [result for result in self.results if result.made]
        return bool(counted) and {result.case.kind for result in counted} == kinds and all(result.passed for result in counted)


def commission(
    cases: Sequence[Case],
    *,
    tolerances: Tolerances,
    recipe: str | None = None,
    workers: int | None = None,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> Commissioning:
    """Every case through the main job, against its truth. A case that rt4d refuses or cannot finish counts as failed, with its reason.

    recipe: as for the main job. scratch: where the cases' files lie while they are worked on (about 10 MB per phase of a small one); the
    system's temporary folder where not given. Raises OutputError where the disk is full.
    """
    if not cases:
        raise InputError("There is no case to commission with")
    began = time.perf_counter()
    results = []
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="rt4d-commission-", dir=scratch) as folder:
            results.append(_run(case, Path(folder), tolerances, recipe=recipe, workers=workers, progress=progress))
    return Commissioning(tuple(results), tolerances, time.perf_counter() - began)


def _run(
    case: Case, folder: Path, tolerances: Tolerances, *, recipe: str | None, workers: int | None, progress: Progress | None
) -> CaseResult:
    began = time.perf_counter()
    if progress is not None:
        progress(case.name, 0, len(STEPS))
    try:
        phantom = case.make()
    except InputError as error:
        return CaseResult(case, {}, tolerances, seconds=time.perf_counter() - began, error=_said(error), made=case.kind != "own CT")
    try:
        measured = _measured(case, phantom, folder, tolerances, recipe=recipe, workers=workers, progress=progress)
    except (InputError, RegistrationError) as error:
        measured = CaseResult(case, {}, tolerances, error=_said(error))
    return replace(measured, seconds=time.perf_counter() - began)


def _said(error: Rt4dError) -> str:
    return " ".join(str(error).split())


def _measured(
    case: Case, phantom: Phantom, folder: Path, tolerances: Tolerances, *, recipe: str | None, workers: int | None, progress: Progress | None
) -> CaseResult:
    """Written, planned, delivered and measured, each step told."""
    from rt4d.report.commission_figures import itv_against_truth

    def step(number: int) -> None:
        if progress is not None:
            progress(case.name, number, len(STEPS))

    step(1)
    phantom.write(folder / "case")
    step(2)
    result = planned(phantom, folder, recipe=recipe, workers=workers)
    step(4)
    (target,) = result.targets
    wrong = case.kind == "sabotaged"
    figures = sabotage_figures(result, case.sabotaged) if wrong else sound_figures(phantom, result, folder / "result")
    picture = itv_against_truth(phantom, target.itv)
    step(5)
    failed = tuple(check for check in target.checks if check.verdict == "fail")
    return CaseResult(case, figures, tolerances, failed, target.motion.recipe, phantom.parameters, picture=picture)


def planned(phantom: Phantom, folder: Path, *, recipe: str | None = None, workers: int | None = None) -> ItvResult:
    """The main job on the files in folder/case, all that it delivers in folder/result."""
    watch = Stopwatch()
    request = ItvRequest(
        folder=folder / "case" / "4dct",
        out=folder / "result",
        gtv=(folder / "case" / "gtv.dcm",),
        reference=phantom.ct.reference_label,
        recipe=recipe,
        margin_mm=MARGIN_MM,
        workers=workers,
    )
    result = plan_itv(request, watch=watch)
    (folder / "result").mkdir()
    deliver(result, folder / "result", watch=watch)
    return result
