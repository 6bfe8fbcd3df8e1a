"""rt4d train: a bundle from cases, what it says while it runs, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rt4d import cli
from rt4d.segmentation.training import loop
from tests.segmentation.training.make import write_balls
from tests.segmentation.training.test_real_cases import table, written

TINY = ["--patch", "16", "--filters", "4,6,8", "--batch", "2", "--folds", "2"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, and no process beside."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(loop, "workers_for", lambda _device: 0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(*parts: object) -> int:
    return cli.run([str(part) for part in ("train", *parts)])


def test_a_folder_of_cases_becomes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_balls(tmp_path / "cases", 4)
    assert run(tmp_path / "cases", "--out", tmp_path / "model", "--steps", 4, *TINY, "--cross-validate", "--licence", "CC BY 4.0") == 0
    said = capsys.readouterr()
    assert f"--bundle {tmp_path / 'model'}@sha256:" in said.out
    assert "fold1 step 4 (100 %): loss" in said.err
    assert "steps/s" in said.err
    assert "min left" in said.err
    assert sorted(path.name for path in (tmp_path / "model/models").iterdir()) == ["fold0.pt", "fold1.pt"]
    assert (tmp_path / "model/LICENSE").read_text() == "CC BY 4.0\n"
    assert json.loads((tmp_path / "model/configs/train.json").read_text())["options"]["steps"] == 4


def test_minutes_end_with_the_rate_at_nothing(tmp_path: Path) -> None:
    write_balls(tmp_path / "cases", 4)
    assert run(tmp_path / "cases", "--out", tmp_path / "model", "--minutes", 0.02, *TINY) == 0
    *_, last = (tmp_path / "model/docs/curves.csv").read_text().splitlines()
    assert float(last.split(",")[3]) < 1e-5


def test_a_table_of_real_cases_becomes_a_bundle(tmp_path: Path) -> None:
    path = table(tmp_path, *(",".join([*written(tmp_path, name), name]) for name in ("A", "B")))
    assert run(path, "--out", tmp_path / "model", "--steps", 2, *TINY, "--fold", "none") == 0
    assert len(list((tmp_path / "model.training/cases").glob("*.npz"))) == 2


def test_an_interrupted_training_says_how_it_goes_on_and_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_balls(tmp_path / "cases", 4)
    command = (tmp_path / "cases", "--out", tmp_path / "model", "--steps", 6, *TINY)

    def stop(held: loop._Run, *more: object) -> None:
        if held.progress.step == 3:
            raise KeyboardInterrupt
        step(held, *more)  # type: ignore[arg-type]

    step = loop._step
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_step", stop)
        assert run(*command) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    assert run(*command) == 2
    refused = capsys.readouterr().err
    assert "--resume" in refused
    assert "stopped" not in refused
    assert run(*command, "--resume") == 0
    assert run(tmp_path / "cases", "--out", tmp_path / "more", "--steps", 1, *TINY, "--from", tmp_path / "model") == 0


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["--fold", "7"], "No such fold"),
        (["--fold", "x"], "--fold must be a number or none"),
        (["--folds", "9"], "Too few patients"),
        (["--filters", "a,b"], "--filters must be whole numbers"),
        (["--patch", "17"], "The patch does not fit"),
        (["--minutes", "5"], "one budget"),
        (["--from", "/no/where"], "No weights to begin from"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(parts: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_balls(tmp_path / "cases", 2)
    assert run(tmp_path / "cases", "--out", tmp_path / "model", "--steps", 2, *TINY, *parts) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_no_cases_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cases").mkdir()
    assert run(tmp_path / "cases", "--out", tmp_path / "model") == 2
    assert "No cases here" in capsys.readouterr().err


def test_a_resume_of_nothing_is_refused_before_a_table_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path, ",".join([*written(tmp_path, "A"), "A"]))
    assert run(path, "--out", tmp_path / "mistyped", "--resume", *TINY) == 2
    assert "no training to go on with" in capsys.readouterr().err
    assert not list(tmp_path.glob("mistyped*"))


def test_lines_of_one_ct_are_said_to_make_one_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ",".join([*written(tmp_path, "A"), "A"])
    assert run(table(tmp_path, line, line), "--out", tmp_path / "model", "--steps", 1, *TINY, "--fold", "none") == 0
    assert "line 3, patient A: the same as table.csv, line 2, patient A; counted once" in capsys.readouterr().err


def test_a_damaged_case_met_after_steps_is_named_and_the_training_goes_on_once_it_is_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "workers_for", lambda _device: 1)
    damaged, *_ = write_balls(tmp_path / "cases", 4)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:300] + bytes(100) + whole[400:])
    command = (tmp_path / "cases", "--out", tmp_path / "model", "--steps", 5, "--fold", "none", *TINY, "--batch", 1, "--seed", 1)
    assert run(*command) == 2
    said = capsys.readouterr().err
    assert f"rt4d: Not a training case ({damaged})" in said
    assert "Traceback" not in said
    assert "--resume goes on" in said
    damaged.write_bytes(whole)
    assert run(*command, "--resume") == 0


def test_a_rate_that_is_far_too_high_ends_with_code_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_balls(tmp_path / "cases", 4)
    assert run(tmp_path / "cases", "--out", tmp_path / "model", "--steps", 60, *TINY, "--rate", 1e38) == 3
    said = capsys.readouterr().err
    assert "lower --rate and another --out" in said
    assert "--resume" not in said
