"""rt4d compare of a cohort: all pairs of a table's contours into a folder, and their summary on the screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt4d.agreement.cohort import METRICS, compare_cohort, records, summarise
from rt4d.agreement.cohort_pairs import MACHINE_PHYSICIAN, PHYSICIANS
from rt4d.agreement.cohort_table import read_contour_table
from rt4d.agreement.matching import ShippedRule
from rt4d.agreement.non_inferiority import AgainstPhysicians, IntraObserver, against_physicians, intra_observer
from rt4d.agreement.observers import INTRA
from rt4d.agreement.paired import PairedComparison, compare_paired
from rt4d.cli.screen import progress
from rt4d.errors import InputError
from rt4d.figures.agreement import METRICS as TITLES
from rt4d.figures.agreement import SHARES
from rt4d.outputs import require_new_folder, whole_folder
from rt4d.provenance import sha256
from rt4d.report.cohort import draw_cohort, write_cohort
from rt4d.report.cohort_page import write_cohort_report
from rt4d.report.page import require_new_page

if TYPE_CHECKING:
    import pandas as pd

CHECK_FAILED = 1
SHOWN = (*METRICS, "volume_difference_percent")


def compare_table(
    table: Path,
    out: Path,
    *,
    machines: Sequence[str],
    tolerance_mm: float,
    assume_same_frame: bool,
    rule: ShippedRule | None,
    parquet: bool,
    workers: int | None,
    report: Path | None,
    with_names: bool,
    as_json: bool,
) -> int:
    """Compare all pairs of a table's contours, write them, their summary and figures, print the summary; 1 where a pair failed."""
    require_new_folder(out)
    if report is not None:
        require_new_page(report, beside=out)
    contours = read_contour_table(table)
    with progress() as show:
        pairs = compare_cohort(
            contours,
            machines=machines,
            tolerance_mm=tolerance_mm,
            assume_same_frame=assume_same_frame,
            rule=rule,
            workers=workers,
            progress=show,
        )
    summary = summarise(pairs.table)
    drawn = draw_cohort(pairs, contours, assume_same_frame=assume_same_frame)
    with whole_folder(out.absolute()) as folder:
        write_cohort(folder, pairs, summary, drawn, parquet=parquet)
    notes = [*pairs.notes, *drawn.lacking]
    if rule and not pairs.detections:
        notes.append("No lesions were matched: no pair of a machine and a physician could be compared")
    against, volumes, repeated = _against_physicians(pairs.table, notes), _volumes(pairs.table), _repeated(pairs.table)
    told = [*((cohort, roi, each.statement) for cohort, roi, each in against), *((cohort, roi, _told(each)) for cohort, roi, each in volumes)]
    told += [(cohort, roi, str(each)) for cohort, roi, each in repeated]
    statements = [f"{' '.join(filter(None, (cohort, roi)))}: {said}" for cohort, roi, said in told]
    if report is not None:
        made_of = {"table of contours": f"SHA-256 {sha256(table)}"}
        write_cohort_report(report, pairs, summary, drawn, contours, statements=statements, notes=notes, with_names=with_names, made_of=made_of)
    sys.stderr.write("".join([*(f"note: {note}\n" for note in notes), *(f"rt4d: not compared: {line}\n" for line in pairs.failed)]))
    if as_json:
        listed = [{"cohort": cohort, "roi": roi} | each.to_dict() for cohort, roi, each in against]
        tested = [{"cohort": cohort, "roi": roi} | each.to_dict() for cohort, roi, each in volumes]
        said = {"summary": list(records(summary)), "against_physicians": listed, "volumes": tested, "failed": list(pairs.failed), "notes": notes}
        said |= {"intra_observer": [{"cohort": cohort, "roi": roi} | each.to_dict() for cohort, roi, each in repeated]}
        said |= {"detection": [each.to_dict() for each in pairs.detections]} if rule else {}
        sys.stdout.write(json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    else:
        lines = [f"{statement}\n" for statement in statements]
        lines += [f"\n{each}\n" for each in pairs.detections]
        sys.stdout.write(as_text(summary) + "".join(lines) + f"Written to {out}\n")
    return CHECK_FAILED if pairs.failed else 0


def _against_physicians(table: pd.DataFrame, notes: list[str]) -> list[tuple[str, str, AgainstPhysicians]]:
    """By cohort and ROI, of each machine, whether it is as close to physicians, in DSC, as they are to one another; where several drew."""
    found = []
    for (cohort, roi), part in table[table["error"] == ""].groupby(["cohort", "roi"], sort=False):
        machines = part[part["pair"] == MACHINE_PHYSICIAN]["machine"] if (part["pair"] == PHYSICIANS).any() else ()
        for machine in dict.fromkeys(machines):
            try:
                found.append((cohort, roi, against_physicians(list(records(part)), machine=machine)))
            except InputError as error:
                notes.append(f"{machine} is not set against the physicians' own agreement: {error}")
    return found


def _repeated(table: pd.DataFrame) -> list[tuple[str, str, IntraObserver]]:
    """By cohort and ROI, how well each observer who drew anything again repeated it, in DSC."""
    again = table[(table["error"] == "") & (table["pair"] == INTRA)]
    groups = again.groupby(["cohort", "roi"], sort=False)
    return [(cohort, roi, each) for (cohort, roi), part in groups for each in intra_observer(list(records(part)))]


def _volumes(table: pd.DataFrame) -> list[tuple[str, str, PairedComparison]]:
    """By cohort and ROI, whether a machine's volumes are smaller or larger than a physician's."""
    there = table[(table["error"] == "") & (table["pair"] == MACHINE_PHYSICIAN)]
    found = []
    for (cohort, roi, *observers), part in there.groupby(["cohort", "roi", "machine", "physician"], sort=False):
        first, second = (dict(zip(part["patient"], part[f"volume_{side}_cm3"], strict=True)) for side in ("machine", "physician"))
        found.append((cohort, roi, compare_paired(first, second, quantity="volume", unit="cm³", labels=(observers[0], observers[1]))))
    return found


def _told(test: PairedComparison) -> str:
    """The paired test in a line: direction, p, effect size and difference."""
    effect = test.wilcoxon.rank_biserial
    facts = [f"Wilcoxon p = {test.wilcoxon.p_two_sided:.2g}", *([] if effect is None else [f"rank-biserial {effect:+.2f}"])]
    return f"volume, {test.direction} ({', '.join(facts)}, median difference {test.pairs.told(test.median_difference, test.median_interval)})"


def as_text(summary: pd.DataFrame) -> str:
    """The summary as a person reads it in a terminal; all of its metrics are in summary.csv."""
    head = ("cohort", "pair", "ROI", "metric", "n", "patients", "median [IQR]", "95 % of median", "undefined", "failed")
    rows = [head, *(_line(row) for row in records(summary[summary["metric"].isin(SHOWN)]))]
    kept = [column for column in range(len(head)) if column != 0 or any(row[0] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in kept}
    lines = ["  ".join(row[c].ljust(widths[c]) if c < 4 else row[c].rjust(widths[c]) for c in kept).rstrip() for row in rows]
    return "\n".join([*lines, "IQR: first to third quartile. The interval is of the median, by bootstrap over patients.", ""])


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    form = ".3f" if row["metric"] in SHARES else ".1f" if row["metric"].endswith("_percent") else ".2f"
    median = "-" if row["median"] is None else f"{row['median']:{form}} [{row['quartile_1']:{form}}, {row['quartile_3']:{form}}]"
    interval = "-" if row["interval_low"] is None else f"{row['interval_low']:{form}} to {row['interval_high']:{form}}"
    counts = (str(row[name]) for name in ("n", "patients"))
    return row["cohort"], row["pair"], row["roi"], TITLES[row["metric"]], *counts, median, interval, str(row["undefined"]), str(row["failed"])
