"""Volumes from rows: of a study in memory, and of a cohort's table whose failed pairs hold no numbers."""

from __future__ import annotations

import numpy as np

from rt4d.agreement.observer_volumes import volume_agreement, volumes_by_observer


def row(patient, machine, physician, volumes):
    return {"patient": patient, "machine": machine, "physician": physician, "volume_machine_cm3": volumes[0], "volume_physician_cm3": volumes[1]}


ROWS = [
    row("P1", "net", "A", (10.0, 12.0)),
    row("P2", "net", "A", (20.0, 26.0)),
    row("P1", "A", "B", (12.0, 11.0)),
    row("P2", "A", "B", (np.nan, None)),
    row("P3", "net", "A", (5.0, np.nan)),
    row("P3", "A", "B", (None, 6.0)),
    row("P4", "A", "B", (3.0, 4.0)),
]


def test_a_pair_that_failed_takes_no_volume_away():
    assert volumes_by_observer(ROWS) == {
        "net": {"P1": 10.0, "P2": 20.0, "P3": 5.0},
        "A": {"P1": 12.0, "P2": 26.0, "P4": 3.0},
        "B": {"P1": 11.0, "P3": 6.0, "P4": 4.0},
    }


def test_every_pair_has_its_points_and_names_whom_it_leaves_out():
    first, second = volume_agreement(ROWS)
    assert first.pairs.labels == ("net", "A")
    assert (first.pairs.first.tolist(), first.pairs.second.tolist()) == ([10, 20], [12, 26])
    assert first.bias == -4
    assert dict(first.pairs.left_out) == {"P3": "no volume of A", "P4": "no volume of net"}
    assert second.pairs.patients == ("P1", "P4")
