"""CT slices sorted into the phases of one breathing cycle, whether each phase is a series of its own or all share one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rt4d.dicom.headers import Slice
from rt4d.dicom.phase_labels import STRONG, WEAK, Told, agreed, kind_of, told_by
from rt4d.errors import PhaseError
from rt4d.phases import label_of, parse_label

LEAST_SPAN_PERCENT = 40
"""Bare labels 'T00', 'T01' … that span less than this are counts, not percentages."""


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """CT slices of one series that are no phase. kind: 'average', 'mip', 'minip', 'localizer', or '' where they do not say."""

    kind: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """phases: slices by label, in the order of the breathing cycle. told_by: the attribute that told them. Notes are sentences."""

    phases: dict[str, tuple[Slice, ...]]
    told_by: str
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Clump:
    """Slices of one series that say the same of their phase."""

    series_uid: str
    kind: str
    told: tuple[Told, ...]
    temporal: tuple[int | None, int | None]
    slices: list[Slice]

    def phase(self) -> Told | None:
        return agreed(self.told, where=self.slices[0].name)


def group_by_phase(slices: Iterable[Slice]) -> Grouping:
    """The phases among CT slices; no phases where none is told. Contradictions and two 4D-CTs are refused, naming files."""
    clumps = _clumps(slices)
    candidates = [clump for clump in clumps if not clump.kind]
    told, told_by_what, notes = _tell(candidates)
    labels = _label(told)
    by_label: dict[str, list[_Clump]] = {}
    for clump in candidates:
        if (label := labels.get(id(clump))) is not None:
            by_label.setdefault(label, []).append(clump)
    _require_one_4dct(by_label)
    unlabelled = [clump for clump in clumps if id(clump) not in labels]
    _require_no_stragglers(by_label, unlabelled)
    if len(by_label) > 1 and told_by_what != _TEMPORAL:
        _require_times_to_agree(by_label)
    return Grouping(
        phases={label: tuple(s for clump in by_label[label] for s in clump.slices) for label in in_cycle_order(by_label)},
        told_by=told_by_what,
        left_out=_left_out(unlabelled),
        notes=tuple(notes),
    )


def in_cycle_order(labels: Iterable[str]) -> list[str]:
    """Percent ascending; where both ways of breathing are told: the highest inhalation, then breathing out, then in again."""
    known = sorted(labels, key=parse_label)
    if {way for _, way in map(parse_label, known)} >= {"In", "Ex"}:
        top = max(known, key=lambda label: (parse_label(label)[0], parse_label(label)[1] != "Ex"))
        down = [label for label in reversed(known) if label != top and parse_label(label)[1] != "In"]
        up = [label for label in known if label != top and parse_label(label)[1] == "In"]
        return [top, *down, *up]
    return known


_TEMPORAL = "TemporalPositionIdentifier"


def _clumps(slices: Iterable[Slice]) -> list[_Clump]:
    clumps: dict[object, _Clump] = {}
    for one in slices:
        kind, told, temporal = kind_of(one), told_by(one), (one.temporal_index, one.temporal_count)
        key = (one.file.series_uid, kind, told, temporal)
        if key not in clumps:
            clumps[key] = _Clump(one.file.series_uid, kind, told, temporal, [])
        clumps[key].slices.append(one)
    return list(clumps.values())


def _tell(clumps: Sequence[_Clump]) -> tuple[dict[int, tuple[float, str]], str, list[str]]:
    """(percent, way) by clump, from the strongest evidence that tells at least two phases; what it was; and what is to be noted.

    Bare labels count beside written percentages, so that a second 4D-CT that is labelled otherwise is not overlooked.
    """
    phases = {id(clump): phase for clump in clumps if (phase := clump.phase())}
    bare = [phase.percent for phase in phases.values() if phase.strength == WEAK]
    if bare and max(bare) - min(bare) < LEAST_SPAN_PERCENT:
        phases = {key: phase for key, phase in phases.items() if phase.strength == STRONG}
    told = {key: (phase.percent, phase.way) for key, phase in phases.items()}
    if len(set(told.values())) < 2 and (by_time := _tell_by_time(clumps)):
        note = f"The phases are told by {_TEMPORAL} alone: they are taken as evenly spread over the cycle, the first as 0 %."
        return by_time, _TEMPORAL, [note]
    return told, _source(phases.values()), []


def _source(phases: Iterable[Told]) -> str:
    """The attribute that told most of the phases, without its text."""
    counts = Counter(phase.source.split(" '")[0].rstrip("0123456789. ") for phase in phases)
    return counts.most_common(1)[0][0] if counts else ""


def _tell_by_time(clumps: Sequence[_Clump]) -> dict[int, tuple[float, str]]:
    """Phases from temporal positions 1 … n (or 0 … n − 1), evenly spread; none where there are not several."""
    timed = [clump for clump in clumps if clump.temporal[0] is not None]
    numbers = sorted({clump.temporal[0] for clump in timed if clump.temporal[0] is not None})
    if len(numbers) < 2:
        return {}
    counts = {clump.temporal[1] for clump in timed if clump.temporal[1] is not None}
    total = counts.pop() if len(counts) == 1 else len(numbers)
    start = min(numbers[0], 1)
    if counts or start < 0 or numbers[-1] - start >= total:
        raise PhaseError(
            "The temporal positions of the phases do not fit their number",
            where=timed[0].slices[0].name,
            expected=f"1 … {total}",
            found=", ".join(str(n) for n in numbers),
            do="Export all phases of one 4D-CT",
        )
    return {id(clump): (round(100 * (clump.temporal[0] - start) / total, 2), "") for clump in timed if clump.temporal[0] is not None}


def _label(told: dict[int, tuple[float, str]]) -> dict[int, str]:
    """Labels with their way of breathing where the set tells both ways, without it where it does not."""
    both = {way for _, way in told.values()} >= {"In", "Ex"}
    return {key: label_of(percent, way if both else "") for key, (percent, way) in told.items()}


def _require_one_4dct(by_label: dict[str, list[_Clump]]) -> None:
    do = "Keep one 4D-CT in the folder, or give the folder of one"
    for label, clumps in by_label.items():
        if len({clump.series_uid for clump in clumps}) > 1:
            first, second = clumps[0], next(clump for clump in clumps if clump.series_uid != clumps[0].series_uid)
            raise PhaseError(
                f"There are two 4D-CTs in the folder: phase {label} is told by two series",
                where=f"{first.slices[0].name} and {second.slices[0].name}",
                found=f"series {first.series_uid} and {second.series_uid}",
                do=do,
            )
    studies: dict[str, tuple[str, Slice]] = {}
    for label, clumps in by_label.items():
        for clump in clumps:
            studies.setdefault(clump.slices[0].file.study_uid, (label, clump.slices[0]))
    if len(studies) > 1:
        (one_label, one), (other_label, other), *_ = studies.values()
        raise PhaseError(
            f"Phases {one_label} and {other_label} are of different studies",
            where=f"{one.name} and {other.name}",
            found=f"studies {one.file.study_uid} and {other.file.study_uid}",
            do=do,
        )


def _require_no_stragglers(by_label: dict[str, list[_Clump]], unlabelled: Sequence[_Clump]) -> None:
    """Slices without a phase in a series whose other slices tell one are not left out in silence."""
    homes = {clump.series_uid: label for label, clumps in by_label.items() for clump in clumps}
    for clump in unlabelled:
        if not clump.kind and clump.series_uid in homes:
            raise PhaseError(
                "Slices of a series do not say which phase they are, though others of it do",
                where=clump.slices[0].name,
                expected=f"a phase as in {by_label[homes[clump.series_uid]][0].slices[0].name}",
                found=f"{len(clump.slices)} slices without one",
                do="Export the series again",
            )


def _require_times_to_agree(by_label: dict[str, list[_Clump]]) -> None:
    """Temporal positions beside percentages must follow the breathing cycle, wherever it begins, where there is one for each phase.

    Where there is not (all phases at position 1, a number for each slice) they mean something else and are not looked at.
    """
    usual: dict[str, int] = {}
    for label, clumps in by_label.items():
        counts: Counter[int | None] = Counter()
        for clump in clumps:
            counts[clump.temporal[0]] += len(clump.slices)
        number = counts.most_common(1)[0][0]
        if number is None:
            return
        usual[label] = number
    if len(set(usual.values())) < len(usual):
        return
    for label, clumps in by_label.items():
        for clump in clumps:
            if clump.temporal[0] != usual[label]:
                raise _contradicting_times(clump, f"phase {label} with {_TEMPORAL} {clump.temporal[0]}, others of it with {usual[label]}")
    labels = in_cycle_order(usual)
    start = labels.index(min(usual, key=lambda label: usual[label]))
    for label, number in zip(labels[start:] + labels[:start], sorted(usual.values()), strict=True):
        if usual[label] != number:
            found = f"phase {label} with {_TEMPORAL} {usual[label]}, where the order of the percentages asks for {number}"
            raise _contradicting_times(by_label[label][0], found)


def _contradicting_times(clump: _Clump, found: str) -> PhaseError:
    return PhaseError(
        "Percentages and temporal positions contradict each other",
        where=clump.slices[0].name,
        found=found,
        do="Correct the labels, or remove the series; which is right is not guessed",
    )


def _left_out(unlabelled: Sequence[_Clump]) -> tuple[LeftOut, ...]:
    by_series: dict[tuple[str, str], list[Slice]] = {}
    for clump in unlabelled:
        by_series.setdefault((clump.series_uid, clump.kind), []).extend(clump.slices)
    return tuple(LeftOut(kind, tuple(slices)) for (_, kind), slices in by_series.items())
