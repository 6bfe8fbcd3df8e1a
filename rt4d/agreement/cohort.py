"""A cohort of contours: every pair of them compared, as one tidy table, and what that comes to.

pairs = compare_cohort(read_contour_table("contours.csv"), machines=["unet"])
summarise(pairs.table)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rt4d.agreement.cohort_detection import CohortDetection, detections
from rt4d.agreement.cohort_pairs import LESION_COUNTS, MACHINE_PHYSICIAN, PatientJob
from rt4d.agreement.cohort_processes import in_processes
from rt4d.agreement.cohort_table import ContourRow, ContourTable, listed
from rt4d.agreement.intervals import Interval, bootstrap_interval
from rt4d.agreement.matching import ShippedRule
from rt4d.agreement.surfaces import require_tolerance
from rt4d.errors import InputError, OutputError
from rt4d.motion.processes import cores
from rt4d.rois import Progress
from rt4d.tables import without_extra

if TYPE_CHECKING:
    import pandas as pd

WHO = ("cohort", "patient", "roi", "pair", "machine", "physician")
METRICS = ("dice", "surface_dice", "hd95_mm", "mean_surface_distance_mm", "centroid_shift_mm")
DIRECTED = ("volume_difference_cm3", "volume_difference_percent", "false_positive_cm3", "false_negative_cm3", "added_path_mm")
"""What changes where the two contours are exchanged: summarised for pairs of a machine and a physician alone."""
COUNTS = ("false_positive_voxels", "false_negative_voxels", "slices_to_edit", "slice_count", *LESION_COUNTS)
TEXTS = (*WHO, "notes", "error")


@dataclass(frozen=True, slots=True, eq=False)
class CohortPairs:
    """All pairs of a cohort. table: a row for each, what is undefined or failed empty. notes: what was odd about the list of contours.
    detections: where lesions were matched, how well each machine found what each physician drew.

    Columns: cohort, patient, roi, pair ('machine-physician', 'physician-physician', 'machine-machine', 'intra-observer'), machine, physician;
    the numbers of `Comparison.to_dict`, the centroid's shift as length and along x y z; lesions_drawn, lesions_found, lesions_false_positive
    where lesions were matched (of a machine and a physician); notes; error, why the pair failed, '' where it did not. Of two physicians
    (machines), the one who comes first in the list stands as machine; of one observer's own contours the first.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]
    detections: tuple[CohortDetection, ...] = ()

    @property
    def failed(self) -> tuple[str, ...]:
        """The pairs that could not be compared, and why."""
        rows = self.table[self.table["error"] != ""].to_dict("records")
        return tuple(f"{row['patient']}, {row['roi']}, {row['machine']} – {row['physician']}: {row['error']}" for row in rows)


def compare_cohort(
    contours: ContourTable,
    *,
    machines: Sequence[str] = ("machine",),
    tolerance_mm: float = 2.0,
    assume_same_frame: bool = False,
    rule: ShippedRule | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> CohortPairs:
    """Every pair of contours of one ROI of one patient, compared.

    machines: the observers who are machines. rule: match the lesions of machines and physicians by it too. workers: processes side by side,
    None for as many as there are cores. A pair that fails keeps its row, with the reason. Refused: a machine that is no observer of the table,
    unless none was named, which is then noted.
    """
    require_tolerance(tolerance_mm)
    unknown = [name for name in machines if name not in contours.observers]
    if unknown and tuple(machines) != ("machine",):
        raise InputError("No observer of that name", expected=f"some of {listed(contours.observers)}", found=", ".join(unknown))
    note = ("No observer is called machine: all pairs are of physicians; name those who are machines otherwise",) if unknown else ()
    jobs = _jobs(contours, PatientJob((), tuple(machines), tolerance_mm, assume_same_frame, rule))
    total = sum(len(job.pairs()) for job in jobs)
    rows = []
    for done, row in enumerate(in_processes(jobs, workers=workers or cores()), start=1):
        rows.append(row)
        if progress:
            progress("comparing contours", done, total)
    return CohortPairs(_tidy(rows), (*contours.notes, *note), detections(rows) if rule else ())


def summarise(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """A row for each cohort, kind of pair, ROI and metric of a cohort's tidy table: its median with quartiles and 95 % interval.

    n: pairs with a value, of how many patients. undefined: pairs without one because a contour is empty (an overlap of 0 is a value).
    failed: pairs that could not be compared. interval_low, interval_high: percentile bootstrap by patient, empty below two patients.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for (cohort, pair, roi), part in table.groupby(["cohort", "pair", "roi"], sort=False, dropna=False):
        head = {"cohort": cohort, "pair": pair, "roi": roi}
        metrics = (*METRICS, *(DIRECTED if pair == MACHINE_PHYSICIAN else ()))
        rows += [head | {"metric": metric} | _summary(part, metric, seed=seed) for metric in metrics]
    return pd.DataFrame(rows)


def write_table(path: str | Path, table: pd.DataFrame) -> Path:
    """The path of a table written as CSV or parquet, by its ending, whole or not at all; what is empty stays empty."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise InputError("Not a kind of table that is written here", where=path.name, expected=".csv .parquet", found=ending or "no ending")
    beside = path.with_name(f".{path.stem}.{os.getpid()}.partial{ending}")
    try:
        if ending == ".csv":
            table.to_csv(beside, index=False)
        else:
            table.to_parquet(beside, index=False)
        beside.replace(path)
    except ImportError as error:
        raise without_extra(path) from error
    except OSError as error:
        raise OutputError("The table could not be written whole", where=path, found=error.strerror or str(error)) from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def extremes(table: pd.DataFrame, metric: str = "dice") -> dict[str, dict[str, Any]]:
    """The rows of the worst, median and best pair of a machine and a physician by a metric of which more is better; of fewer than three, those."""
    known = table[(table["pair"] == MACHINE_PHYSICIAN) & table[metric].notna()].sort_values(metric, kind="stable")
    rows = known.to_dict("records")
    if len(rows) < 3:
        return dict(zip(("worst", "best"), rows, strict=False))
    return {"worst": rows[0], "median": rows[(len(rows) - 1) // 2], "best": rows[-1]}


def _jobs(contours: ContourTable, like: PatientJob) -> list[PatientJob]:
    """One job per patient, those with most pairs first, so that no process is left waiting for a long one at the end."""
    patients: dict[tuple[str, str], list[ContourRow]] = {}
    for row in contours.rows:
        patients.setdefault((row.cohort, row.patient), []).append(row)
    jobs = [replace(like, rows=tuple(rows)) for rows in patients.values()]
    return sorted(jobs, key=lambda job: -len(job.pairs()))


def _tidy(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The rows in an order that does not depend on which process was quicker, each column of one type."""
    import pandas as pd

    numbers = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in (*TEXTS, "lesions")]
    columns = [*WHO, *(numbers or METRICS), "notes", "error"]
    table = pd.DataFrame(rows, columns=columns)
    for name in columns:
        if name in TEXTS:
            table[name] = table[name].astype(object).where(table[name].notna(), "").astype(str)
        else:
            table[name] = pd.to_numeric(table[name]).astype("Int64" if name in COUNTS else "float64")
    return table.sort_values(list(WHO), kind="stable", ignore_index=True)


def _summary(part: pd.DataFrame, metric: str, *, seed: int) -> dict[str, Any]:
    good = part[part["error"] == ""]
    there = good[good[metric].notna()] if metric in good else good.iloc[:0]
    numbers = {"n": len(there), "patients": there["patient"].nunique(), "undefined": len(good) - len(there), "failed": len(part) - len(good)}
    low, high = _interval(there, metric, seed=seed) or (None, None)
    quartiles = np.quantile(there[metric].to_numpy(dtype=float), [0.5, 0.25, 0.75]) if len(there) else (None, None, None)
    return numbers | dict(zip(("median", "quartile_1", "quartile_3"), quartiles, strict=True)) | {"interval_low": low, "interval_high": high}


def _interval(there: pd.DataFrame, metric: str, *, seed: int) -> Interval | None:
    """By patient; None below two, of whom nothing can be drawn."""
    patients = there["patient"].to_numpy()
    if len(set(patients)) < 2:
        return None
    several = None if len(set(patients)) == len(patients) else patients
    return bootstrap_interval(there[metric].to_numpy(dtype=float), groups=several, seed=seed)


def records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a table as plain values, None where a cell is empty, as JSON wants them."""
    for row in table.to_dict("records"):
        yield {name: None if value is None or value != value else value for name, value in row.items()}
