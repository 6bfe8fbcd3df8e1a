"""What `rt4d segment` writes is read again as a contour, with the scores of its candidates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rt4d.candidate_files import read_candidates
from rt4d.contour_files import ContourFiles
from rt4d.errors import GeometryError, InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.images import write_mask
from rt4d.segmentation.candidates import Candidate
from rt4d.segmentation.files import write_segmentation
from rt4d.segmentation.segmenting import Segmentation
from rt4d.volumes import Mask

GRID = Geometry((40, 30, 12), (2.0, 2.0, 3.0), (-40.0, -30.0, 0.0))
Found = tuple[tuple[int, int, int], float, bool]
"""Where a candidate of 4×4×4 voxels begins (x y z), its score, and whether it is kept."""


def cube(start: tuple[int, int, int], size: int = 4, grid: Geometry = GRID) -> Mask:
    inside = np.zeros(grid.shape, bool)
    x, y, z = start
    inside[z : z + size, y : y + size, x : x + size] = True
    return Mask(inside, grid)


def candidate(number: int, start: tuple[int, int, int], score: float, *, kept: bool, size: int = 4) -> Candidate:
    part = cube(start, size).crop(start, (size, size, size))
    return Candidate(
        number=number,
        score=score,
        volume_cm3=part.volume_cm3,
        centroid_mm=part.centroid_mm,
        longest_axis_mm=10.0,
        side=None,
        spread=None,
        outlined_from=0.4,
        at_edge=False,
        part=part,
        geometry=GRID,
        why_not="" if kept else "score below 0.5",
    )


def written(folder: Path, *found: Found, specks: int = 0) -> Path:
    """The candidates.json of a segmentation that found these, and so many specks."""
    folder.mkdir(parents=True)
    listed = [candidate(n, start, score, kept=kept) for n, (start, score, kept) in enumerate(found, start=1)]
    listed += [candidate(len(found) + n, (35, 25, 8), 0.1, kept=False, size=1) for n in range(1, specks + 1)]
    write_segmentation(folder, Segmentation(tuple(listed), GRID, "gtv_lung", "0" * 64), on=None, reference=None)
    return folder / "candidates.json"


def test_candidates_come_back_with_their_scores_and_the_kept_ones_as_one_mask(tmp_path: Path) -> None:
    path = written(tmp_path / "seg", ((2, 2, 2), 0.9, True), ((20, 2, 2), 0.3, False), specks=2)
    found = read_candidates(path)
    assert np.array_equal(found.mask.inside, cube((2, 2, 2)).inside)
    assert [one.score for one in found.candidates] == [0.9, 0.3]
    assert np.array_equal(found.candidates[1].mask.inside, cube((20, 2, 2)).inside)
    assert found.specks == 2
    contour = ContourFiles().read(str(path))
    assert np.array_equal(contour.mask.inside, found.mask.inside)
    assert contour.candidates is not None
    assert [one.score for one in contour.candidates.candidates] == [0.9, 0.3]


def test_a_scan_without_candidates_is_an_empty_contour_and_no_list_of_scores(tmp_path: Path) -> None:
    found = read_candidates(written(tmp_path / "seg"))
    assert found.mask.is_empty
    assert found.candidates == ()


def test_what_is_no_list_of_candidates_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "seg", ((2, 2, 2), 0.9, True))
    with pytest.raises(InputError, match="no parts"):
        ContourFiles().read(f"{path}:1")
    record = json.loads(path.read_text())
    for content, said in (
        ("{", "no JSON"),
        ("[1]", "another JSON"),
        ('{"schema": "rt4d.summary/1"}', "schema rt4d.summary/1"),
        (json.dumps({"schema": record["schema"], "candidates": [{"score": 1}]}), "not whole"),
        (json.dumps({"schema": record["schema"]}), "not whole"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=said):
            ContourFiles().read(str(path))


def test_masks_that_are_gone_elsewhere_or_without_a_score_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "seg", ((2, 2, 2), 0.9, True))
    record = json.loads(path.read_text())
    record["candidates"][0]["file"] = "../../candidate_1.nii.gz"
    path.write_text(json.dumps(record))
    assert len(read_candidates(path).candidates) == 1, "looked for beside the list, nowhere else"
    elsewhere = Geometry(GRID.size, GRID.spacing_mm, (5.0, 0.0, 0.0))
    write_mask(tmp_path / "seg" / "candidate_1.nii.gz", cube((2, 2, 2), grid=elsewhere))
    with pytest.raises(GeometryError, match="candidate_1"):
        read_candidates(path)
    (tmp_path / "seg" / "candidate_1.nii.gz").unlink()
    with pytest.raises(NotFoundError, match="candidate_1"):
        read_candidates(path)
