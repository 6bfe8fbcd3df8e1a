"""Results made from arrays, as the main job would hand them to the report: no registration, any pose, known places."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from rt4d.delivery import summarise
from rt4d.drawn import DrawnTarget
from rt4d.geometry import Geometry
from rt4d.motion.quality.check import Check
from rt4d.patient import ItvRequest, ItvResult, TargetResult
from rt4d.phases import FourDCT, Phase, SeriesIdentity
from rt4d.report import write_report
from rt4d.target import MipCrossCheck, itv
from rt4d.volumes import Mask, Volume

LABELS = ("00", "25", "50", "75")
GRID = Geometry((60, 56, 40), (2.0, 2.0, 3.0), (-60.0, -40.0, -50.0), frame_of_reference="1.2.3")
PATIENT = {"PatientName": "Smithers^Jane", "PatientID": "MRN-4711", "PatientBirthDate": "19500102", "StudyDate": "20240304"}


def ball(geometry: Geometry, centre_mm: tuple[float, float, float], radius_mm: float) -> Mask:
    return Mask(np.linalg.norm(geometry.centres() - centre_mm, axis=-1) <= radius_mm, geometry)


def four_dct(geometry: Geometry, gtvs: dict[str, list[Mask]], marker_mm: tuple[float, float, float] = (20.0, 0.0, 10.0)) -> FourDCT:
    """Lung of −750 HU with tumours of 40 HU and, in each phase, a ball of 900 HU to the patient's left, where only a right image shows it."""
    marker = ball(geometry, marker_mm, 8.0).inside
    phases = []
    for label in LABELS:
        hu = np.full(geometry.shape, -750, np.int16)
        hu[marker] = 900
        for mask in gtvs[label]:
            hu[mask.inside] = 40
        identity = SeriesIdentity("1.2.840.1", f"1.2.840.{label}", "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.9",) * geometry.size[2], patient=PATIENT)
        phases.append(Phase(Volume(hu, geometry), identity, label))
    copies = "3 files are copies of others and count once, for example Smithers_1.dcm of Smithers_2.dcm."
    return FourDCT(tuple(phases), "50", told_by="SeriesDescription", notes=(copies,))


def made_result(*, roi: str = "GTV", failing: bool = False, targets: int = 1, geometry: Geometry = GRID) -> ItvResult:
    """Balls that move 6 mm down from phase 50 to 00 and back, on the patient's right; a second one below the first."""
    down = {"00": -6.0, "25": -3.0, "50": 0.0, "75": -3.0}
    starts = [(-20.0, 5.0, 20.0), (-22.0, 10.0, -10.0)][:targets]
    gtvs = {label: [ball(geometry, (x, y, z + by), 7.0) for x, y, z in starts] for label, by in down.items()}
    ct = four_dct(geometry, gtvs)
    made = [_target({label: masks[n] for label, masks in gtvs.items()}, roi, failing, None if targets == 1 else n + 1) for n in range(targets)]
    home = Path("/data/Smithers_Jane")
    request = ItvRequest(folder=home / "4dct", out=home / "out", gtv=(home / "RS.Smithers.dcm",))
    return ItvResult(request, ct, None, tuple(made))


def _target(masks: dict[str, Mask], roi: str, failing: bool, number: int | None) -> TargetResult:
    shift = Check("00", "residual_shift_mm", 2.5, 1.5, "fail", "Phase 00: a shift of 2.5 mm would still match the target better (limit 1.5)")
    similar = [Check(label, "similarity", 0.93, 0.8, "pass", f"Phase {label}: similarity 0.930 (limit 0.8)") for label in ("00", "25", "75")]
    drawn = DrawnTarget(roi, {"50": masks["50"]}, ("Read from RS.Smithers.dcm",))
    motion = SimpleNamespace(recipe=SimpleNamespace(name="lung_focus", sha256="0" * 64))
    mip = MipCrossCheck(applies=False, why="a test", threshold_hu=None, volume_cm3=None, dice=None)
    volume = itv(masks, margin_mm=5.0, number=number).with_verdict(verified=not failing)
    return TargetResult(drawn, motion, volume, (*similar, *([shift] if failing else [])), mip)  # type: ignore[arg-type]


def page_of(folder: Path, result: ItvResult) -> Path:
    return write_report(folder / "report.html", result, summarise(result))
