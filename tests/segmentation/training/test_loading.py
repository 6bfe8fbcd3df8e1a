"""Batches made beside the training."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

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
