from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from rt4d.delivery import summarise
from rt4d.geometry import Geometry
from rt4d.phases import FourDCT, Phase
from rt4d.report import write_report
from rt4d.volumes import Volume
from tests.report.make import LABELS, PATIENT, ball, made_result, page_of

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("page"), made_result()).read_text()


def test_the_page_is_one_file_that_asks_for_nothing(page):
    assert "http" not in page.replace("http-equiv", "")
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert not re.findall(r"@import|url\((?!#)|<link|<iframe|\bfetch\(|XMLHttpRequest|WebSocket|\beval\(|new Function", page)


def test_the_browser_is_told_to_run_the_pages_own_script_and_nothing_else(page):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.unescape(policy)
    assert "default-src 'none'" in html.unescape(policy)


def test_the_first_words_are_the_verdict_the_volume_and_the_amplitude(page):
    order = ["Passed: all 3 checks", "3 passed, 0 failed", "Not for clinical use", "cm³</b><span>ITV<", "mm</b><span>superior–inferior"]
    places = [page.index(words) for words in (*order, 'id="viewer"')]
    assert places == sorted(places)
    assert '<b>6.0 mm</b><span>superior–inferior, peak to peak' in page


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A page where all is odd: a ROI named like a script, a failed check, two targets, phases on which the segmenter found nothing."""
    made = made_result(roi=SCRIPT, failing=True, targets=2)
    targets = tuple(replace(target, segmented=dict.fromkeys(LABELS)) for target in made.targets)
    return page_of(tmp_path_factory.mktemp("odd"), replace(made, targets=targets, model=SimpleNamespace(name="stand_in"))).read_text()


def test_a_failure_is_said_in_words_and_stands_first_in_the_table(odd):
    assert "Not verified: 2 of 8 checks failed" in odd
    assert odd.index("ITV1: Phase 00: a shift of 2.5 mm would still match") < odd.index('id="viewer"')
    rows = re.findall(r'<tr><th class="text" scope="row">([^<]*)</th><td class="limit">([^<]*)</td>', odd)
    assert rows == 2 * [("Shift that would match better, mm", "≤ 1.5"), ("Similarity around the target", "≥ 0.8")]


def test_a_roi_that_is_named_like_a_script_is_text(odd):
    assert SCRIPT not in odd
    assert "from ROI &lt;script&gt;alert(1)" in odd


def test_two_targets_share_the_page_and_can_be_chosen(odd):
    assert '<option value="0">ITV1</option><option value="1">ITV2</option>' in odd
    assert all(f'id="ct-{target}-{phase}"' in odd for target in (0, 1) for phase in range(len(LABELS)))


def test_a_segmented_phase_without_a_finding_is_said(odd):
    assert odd.count("nothing found") == 2 * len(LABELS)


def test_ten_candidates_and_all_kept_ones_are_shown_the_fainter_folded_away_and_specks_counted(tmp_path):
    sizes = [2.0] * 11 + [0.01, 3.0, 2.0]
    kept = (0, 12)
    listed = [candidate(n + 1, cm3, kept=n in kept, score=0.9 - n / 20) for n, cm3 in enumerate(sizes)]
    said = {"bundle": {"name": "net", "sha256": "0" * 64}, "speck_cm3": 0.1, "candidates": listed}
    result = made_result()
    page = write_report(tmp_path / "report.html", result, summarise(result) | {"segmentation": said}).read_text()

    at_once, folded = re.fullmatch(r"(.*<h2>Candidates.*)<details>(.*?)</details>.*", page, re.DOTALL).groups()
    rows = r"<tr><td>(\d+)</td>"
    assert re.findall(rows, at_once[at_once.index("<h2>Candidates") :]) == [*map(str, range(1, 11)), "13"]
    assert re.findall(rows, folded) == ["11", "14"]
    assert "2 more with scores from 0.40 down, not included" in folded
    assert "And 1 smaller than 0.1 cm³, not included: they stand in summary.json" in page


def candidate(number, volume_cm3, *, kept, score):
    place = {"centroid_mm": [1.0, 2.0, 3.0], "longest_axis_mm": 20.0, "side": "left", "at_edge": False, "outlined_from": 0.4, "spread": None}
    return {"number": number, "score": score, "volume_cm3": volume_cm3, "kept": kept, "why_not": None if kept else "a test"} | place


def test_nothing_of_the_page_names_the_patient_or_a_file(page):
    readable = re.sub(r"[A-Za-z0-9+/=\\s]{200,}", "", page)
    for secret in (*PATIENT.values(), "Smithers", "/data"):
        assert secret not in readable
    assert "copies of others and count once" in page
    assert "Read from the structure set" in page


def test_every_figure_has_what_it_shows_beside_it(page):
    assert page.count("<figcaption>") == page.count("<figure>") == 4
    assert "<metadata" not in page
    assert "var(--ink)" in page


@pytest.mark.slow
def test_ten_phases_of_a_full_sized_ct_stay_under_fifteen_megabytes_even_where_they_are_noise(tmp_path):
    """Noise without any pattern is what packs worst, and a large target what is shown most of."""
    grid = Geometry((512, 512, 100), (0.98, 0.98, 3.0), (-250.0, -250.0, -150.0))
    volume = Volume(np.random.default_rng(1).integers(-1024, 1400, grid.shape, dtype=np.int16), grid)
    made = made_result()
    labels = [f"{percent:02d}" for percent in range(0, 100, 10)]
    ct = FourDCT(tuple(Phase(volume, made.ct.reference.identity, label) for label in labels), "50")
    masks = dict.fromkeys(labels, ball(grid, (-60.0, 0.0, 0.0), 35.0))
    (target,) = made.targets
    drawn = replace(target.drawn, masks={"50": masks["50"]})
    centroids = {label: mask.centroid_mm for label, mask in masks.items()}
    whole = replace(target.itv, phases=masks, mask=masks["50"], centroid_mm=centroids, ptv=None)
    result = replace(made, ct=ct, targets=(replace(target, itv=whole, drawn=drawn),))
    path = page_of(tmp_path, result)
    assert 8e6 < path.stat().st_size < 15e6
