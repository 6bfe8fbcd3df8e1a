from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rt4d.errors import InputError, OutputError
from rt4d.outputs import require_new_folder, whole_folder


@pytest.mark.parametrize("there", [False, True])
def test_results_appear_when_the_block_ends_well(tmp_path, there):
    out = tmp_path / "a" / "out"
    if there:
        out.mkdir(parents=True)
    with whole_folder(require_new_folder(out)) as folder:
        (folder / "one.txt").write_text("1")
        (folder / "sub").mkdir()
        (folder / "sub" / "two.txt").write_text("2")
        assert not (out / "one.txt").exists()
    assert sorted(p.name for p in out.rglob("*")) == ["one.txt", "sub", "two.txt"]
    assert oct(out.stat().st_mode)[-3:] in {"755", "775", "777"}
    assert [p.name for p in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), ValueError("x"), OSError(errno.ENOSPC, "No space left on device")])
def test_nothing_is_left_behind_when_it_does_not(tmp_path, there, trouble):
    out = tmp_path / "a" / "out"
    if there:
        out.mkdir(parents=True)

    def write():
        with whole_folder(out) as folder:
            (folder / "one.txt").write_text("1")
            raise trouble

    with pytest.raises((type(trouble), OutputError)) as raised:
        write()
    if isinstance(trouble, OSError):
        assert "disk is full" in str(raised.value)
    assert [p.name for p in tmp_path.rglob("*")] == (["a", "out"] if there else [])


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "Input/output error")])
def test_a_folder_that_was_there_is_empty_again_when_filling_it_ends_early(tmp_path, monkeypatch, trouble):
    rename = Path.rename

    def interrupted(here, there):
        if here.name == "summary.json":
            raise trouble
        return rename(here, there)

    def write():
        with whole_folder(tmp_path) as folder:
            (folder / "itv.nii.gz").write_text("1")
            (folder / "motion").mkdir()
            (folder / "motion" / "00.nii.gz").write_text("2")
            (folder / "summary.json").write_text("3")

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises((type(trouble), OutputError)):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_new_or_empty_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        require_new_folder(tmp_path / "full")
    with pytest.raises(InputError, match="is a file"):
        require_new_folder(tmp_path / "file")
    with pytest.raises(InputError, match="must not lie inside"):
        require_new_folder(tmp_path / "full" / "out", not_inside=tmp_path / "full")
    with pytest.raises(InputError, match="cannot be written"):
        require_new_folder(tmp_path / "file" / "out")
    assert (tmp_path / "full" / "x").read_text() == "mine"


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="no /sys here")  # noqa: PTH112
def test_a_place_where_nobody_can_write_is_refused():
    def write():
        with whole_folder(require_new_folder("/sys/kernel/rt4d/out")):
            pass

    with pytest.raises(InputError, match="cannot be written"):
        write()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        require_new_folder(tmp_path / "locked" / "out")
