"""Batches made beside the training."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from rt4d.errors import InputError
from rt4d.segmentation.space import Space
from rt4d.segmentation.training.loading import AHEAD, Feed
from rt4d.segmentation.training.patches import Patches
from tests.segmentation.training.make import write_balls


def test_processes_that_make_patches_outlive_a_request_to_end_that_is_for_the_training(tmp_path: Path) -> None:
    paths = write_balls(tmp_path, 2)
    feed = Feed(Patches(paths, space=Space(spacing_mm=2.5, window_hu=(-1000, 400)), edge=16, seed=0), batch=1, first=0, workers=1)
    next(feed)
    (maker,) = multiprocessing.active_children()
    assert maker.pid is not None
    os.kill(maker.pid, signal.SIGTERM)  # as a batch system does to all processes at once
    for _ in range(2 * AHEAD):
        next(feed)
    feed.close()
    maker.join(20)
    assert not maker.is_alive()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_case_is_told_in_its_own_words(tmp_path: Path, workers: int) -> None:
    (path,) = write_balls(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[300:400] = bytes(100)
    path.write_bytes(content)
    feed = Feed(Patches([path], space=Space(spacing_mm=2.5, window_hu=(-1000, 400)), edge=16, seed=0), batch=1, first=0, workers=workers)
    try:
        with pytest.raises(InputError) as refused:
            next(feed)
    finally:
        feed.close()
    assert str(refused.value).startswith(f"Not a training case ({path})")
    assert "Traceback" not in str(refused.value)
