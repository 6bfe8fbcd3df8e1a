"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rt4d.segmentation.whole_files import write_file


def test_two_that_write_the_same_file_at_once_both_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, path = os.fsync, tmp_path / "case.npz"

    def meanwhile(number: int) -> None:
        monkeypatch.setattr("rt4d.segmentation.whole_files.os.fsync", fsync)
        write_file(path, b"the other's")
        fsync(number)

    monkeypatch.setattr("rt4d.segmentation.whole_files.os.fsync", meanwhile)
    write_file(path, b"mine")
    assert path.read_bytes() == b"mine"
    assert [each.name for each in tmp_path.iterdir()] == ["case.npz"]
