"""Trainings as processes of their own: killed outright, and several at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.segmentation.training.make import write_balls

TINY = ["--patch", "16", "--filters", "4,6,8", "--folds", "2", "--steps"]


def command(folder: Path, out: str, *more: object, ahead: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-m", *ahead, "rt4d", "train", str(folder / "cases"), "--out", str(folder / out), *TINY, *map(str, more)]


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    held: dict[str, torch.Tensor] = torch.load(folder / f"{name}.training/fold0/checkpoint.pt", weights_only=True)["progress"]["weights"]
    return held


@pytest.mark.slow
def test_a_training_that_was_killed_outright_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_balls(tmp_path / "cases", 4)
    subprocess.run(command(tmp_path, "whole", 150), check=True, capture_output=True, timeout=100)
    killed = subprocess.Popen(command(tmp_path, "killed", 150), stderr=subprocess.DEVNULL, start_new_session=True)
    began = time.monotonic()
    while not (tmp_path / "killed.training/fold0/checkpoint.pt").is_file():
        assert killed.poll() is None
        assert time.monotonic() - began < 120
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed").exists()
    subprocess.run([*command(tmp_path, "killed", 150), "--resume"], check=True, capture_output=True, timeout=100)
    whole, resumed = weights(tmp_path, "whole"), weights(tmp_path, "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
def test_two_processes_with_one_patch_each_learn_what_one_with_two_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_balls(tmp_path / "cases", 4)
    subprocess.run(command(tmp_path, "one", 5, "--batch", 2, "--rate", 1e-4), check=True, capture_output=True, timeout=100)
    torchrun = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m")
    subprocess.run(command(tmp_path, "two", 5, "--rate", 1e-4, ahead=torchrun), check=True, capture_output=True, timeout=100)
    subprocess.run(command(tmp_path, "alone", 5, "--rate", 1e-4), check=True, capture_output=True, timeout=100)
    one, two, alone = (torch.cat([each.flatten().float() for each in weights(tmp_path, name).values()]) for name in ("one", "two", "alone"))
    # AdamW takes steps of one size however small a gradient is, so single weights may differ by rounding alone; all of them together may not.
    assert torch.linalg.norm(one - two) < 0.5 * torch.linalg.norm(one - alone)  # processes that learn each for itself: 1
