"""A member's training: it learns, survives a kill, and gives up where it must."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rt4d.errors import InputError, OutputError, TrainingError
from rt4d.segmentation.network import build, definition, load_weights
from rt4d.segmentation.training import loop
from rt4d.segmentation.training.checkpoint import NAME, read_checkpoint, weights_of
from rt4d.segmentation.training.devices import Place
from rt4d.segmentation.training.folds import Split
from rt4d.segmentation.training.loop import train_member
from rt4d.segmentation.training.loss import foreground
from rt4d.segmentation.training.options import Options
from rt4d.segmentation.training.start import Start
from rt4d.segmentation.training.validation import look_at_patches, look_at_scan
from tests.segmentation.training.make import TINY, write_balls

HERE = Place(torch.device("cpu"))
SHORT = replace(TINY, steps=8, validations=2)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    paths = write_balls(tmp_path_factory.mktemp("cases"), 6)
    return Split("fold0", tuple(paths[:4]), tuple(paths[4:]))


def quiet(_line: str) -> None:
    """Nobody listens."""


def run(split: Split, folder: Path, options: Options = SHORT, **more: object) -> dict[str, torch.Tensor]:
    return train_member(split, folder, options=options, where=HERE, say=quiet, workers=0, **more).weights  # type: ignore[arg-type]


def test_a_tiny_network_learns_balls(split: Split, tmp_path: Path) -> None:
    said: list[str] = []
    progress = train_member(split, tmp_path, options=TINY, where=HERE, say=said.append, workers=0)
    network = load_weights(build(definition(filters=TINY.filters)), tmp_path / "fold0.pt")
    looked = look_at_patches(network, [(split.held_back[0], 1), (split.held_back[1], 1)], options=TINY, where=HERE)
    assert np.mean([one.unclicked for one in looked]) > 0.7
    assert np.mean([one.clicked for one in looked]) > 0.7
    lesions, _ = look_at_scan(network, split.held_back[1], options=TINY, where=HERE)
    assert [lesion.is_found for lesion in lesions] == [True] * 2
    assert progress.curve[-1]["loss"] < 0.7
    assert any("Dice of held-back lesions" in line for line in said)
    assert (tmp_path / "curves.csv").read_text().startswith("step,seconds,rate,loss,idle,dice\n")


def test_an_untrained_network_calls_few_voxels_tumour() -> None:
    torch.manual_seed(0)
    network = build(definition(deep_supervision=True, filters=TINY.filters))
    loop._expect_background(network)
    with torch.no_grad():
        answers = network.train()(torch.rand(1, 2, 16, 16, 16))
    for level in answers.unbind(1):
        assert float(foreground(level).median()) == pytest.approx(loop.FEW, rel=1.5)


def test_a_killed_training_goes_on_to_the_same_weights(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(split, tmp_path / "whole")

    def stop_at_five(held: loop._Run, *_: object) -> None:
        if held.progress.step == 5:
            raise KeyboardInterrupt
        step(held, *_)

    step = loop._step
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_step", stop_at_five)
        with pytest.raises(KeyboardInterrupt):
            run(split, tmp_path / "killed")
    stopped = read_checkpoint(tmp_path / "killed", options=SHORT.to_dict())
    assert stopped is not None
    assert stopped.step == 5
    resumed = run(split, tmp_path / "killed")
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    assert (tmp_path / "killed" / "fold0.pt").read_bytes() == (tmp_path / "whole" / "fold0.pt").read_bytes()


def test_an_interrupted_training_leaves_weights_that_can_be_used(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "average_in", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(split, tmp_path / "in the middle of a step")
    assert not (tmp_path / "in the middle of a step" / NAME).exists()
    monkeypatch.undo()
    run(split, tmp_path / "run")
    start = weights_of(tmp_path / "run" / NAME)
    again = train_member(split, tmp_path / "again", options=replace(SHORT, steps=1), where=HERE, say=quiet, start=Start(start, NAME, "0"), workers=0)
    first = next(iter(start))
    torch.testing.assert_close(again.weights[first], start[first], atol=0.05, rtol=0)


def test_a_training_goes_on_only_with_its_own_options(split: Split, tmp_path: Path) -> None:
    run(split, tmp_path)
    with pytest.raises(InputError, match=r"rate 0\.5, found rate 0\.01"):
        run(split, tmp_path, replace(SHORT, rate=0.5))
    with pytest.raises(InputError, match=r"from abc, found from None"):
        run(split, tmp_path, start=Start(weights_of(tmp_path / NAME), "other.pt", "abc"))
    assert run(split, tmp_path, replace(SHORT, steps=9))


def test_a_training_begun_by_an_earlier_rt4d_goes_on(split: Split, tmp_path: Path) -> None:
    run(split, tmp_path)
    held = torch.load(tmp_path / NAME, weights_only=True)
    del held["options"]["from"]
    torch.save(held, tmp_path / NAME)
    assert run(split, tmp_path, replace(SHORT, steps=9), start=Start(weights_of(tmp_path / NAME), "start.pt", "abc"))


def test_a_longer_budget_is_validated_again_and_may_find_better_weights(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.4, 0.6])
    monkeypatch.setattr(loop, "score", lambda _looked: next(scores))
    run(split, tmp_path, replace(SHORT, steps=4))
    said: list[str] = []
    progress = train_member(split, tmp_path, options=replace(SHORT, steps=8), where=HERE, say=said.append, workers=0)
    assert progress.step == 8
    assert sum("Dice of held-back lesions" in line for line in said) == 1
    assert progress.best_score == 0.6
    assert progress.best is not None
    assert all(torch.equal(progress.best[name], value) for name, value in progress.average.items())


def test_of_validations_that_are_equally_good_the_latest_is_chosen(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "score", lambda _looked: 0.0)
    progress = train_member(split, tmp_path, options=SHORT, where=HERE, say=quiet, workers=0)
    assert all(torch.equal(progress.chosen[name], value) for name, value in progress.average.items())


def test_what_is_no_checkpoint_is_refused(split: Split, tmp_path: Path) -> None:
    for content in (b"", b"no checkpoint"):
        (tmp_path / NAME).write_bytes(content)
        with pytest.raises(InputError, match="Not a checkpoint"):
            run(split, tmp_path)
    torch.save({"options": {}, "progress": {"step": 3}}, tmp_path / NAME)
    with pytest.raises(InputError, match="Not a checkpoint"):
        weights_of(tmp_path / NAME)


def test_a_loss_that_is_no_number_ends_the_training(split: Split, tmp_path: Path) -> None:
    wild = replace(SHORT, rate=1e38, steps=40)
    with pytest.raises(TrainingError, match="lower --rate") as without:
        run(split, tmp_path / "wild", wild)
    assert "--from" not in str(without.value)


def test_after_a_loss_that_is_no_number_one_begins_anew_from_the_last_good_checkpoint(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(split, tmp_path)
    monkeypatch.setattr(loop, "loss", lambda answers, *_: answers.sum() * float("nan"))
    with pytest.raises(TrainingError, match=rf"another --out.*--from {tmp_path / NAME}"):
        run(split, tmp_path, replace(SHORT, steps=9))


def test_nothing_is_saved_before_the_first_step(split: Split, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"no case")
    with pytest.raises(InputError, match="Not a training case"):
        run(replace(split, train=(damaged,)), tmp_path / "run")
    assert not (tmp_path / "run" / NAME).exists()


def test_a_full_disk_keeps_the_checkpoint_before(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(split, tmp_path)
    before = (tmp_path / NAME).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rt4d.segmentation.whole_files.os.fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        run(split, tmp_path, replace(SHORT, steps=9))
    assert (tmp_path / NAME).read_bytes() == before


def test_training_ends_early_where_nothing_gets_better(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "score", lambda _looked: 0.5)
    options = replace(SHORT, steps=40, validations=20, patience=2)
    progress = train_member(split, tmp_path, options=options, where=HERE, say=quiet, workers=0)
    assert progress.step == 6
    assert progress.chosen is progress.best


def test_training_does_not_end_early_before_the_first_lesion_is_met(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "score", lambda _looked: 0.0)
    options = replace(SHORT, steps=12, validations=6, patience=2)
    assert train_member(split, tmp_path, options=options, where=HERE, say=quiet, workers=0).step == 12


def test_patches_made_beside_the_training_give_the_same_weights(split: Split, tmp_path: Path) -> None:
    alone = run(split, tmp_path / "alone")
    beside = train_member(split, tmp_path / "beside", options=SHORT, where=HERE, say=quiet, workers=1).weights
    assert all(torch.equal(alone[name], beside[name]) for name in alone)
