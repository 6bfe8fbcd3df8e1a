"""From cases to a bundle that rt4d and MONAI read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers.utils import sliding_window_inference

from rt4d.errors import InputError, NotFoundError
from rt4d.resources import data_folder
from rt4d.segmentation.bundle import bundle_digest, read_bundle
from rt4d.segmentation.cases import write_case
from rt4d.segmentation.network import build, load_weights
from rt4d.segmentation.training.card import card, rewrite_card
from rt4d.segmentation.training.options import Options
from rt4d.segmentation.training.start import read_start
from rt4d.segmentation.training.training import ALL_FOLDS, Request, train
from tests.segmentation.training.make import TINY, balls, write_balls

REQUIRED = {
    "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors", "copyright", "network_data_format",
    "changelog", "schema", "required_packages_version", "intended_use", "name",
}  # fmt: skip
"""Of MONAI's schema for metadata.json."""
SHORT = replace(TINY, steps=3, validation_scans=1)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quiet(_line: str) -> None:
    """Nobody listens."""


def request(folder: Path, cases: list[Path], options: Options = SHORT, **more: object) -> Request:
    return Request(cases=tuple(cases), out=folder / "balls", work=folder / "work", options=options, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble of two folds, hardly trained."""
    folder = tmp_path_factory.mktemp("trained")
    bundle = train(request(folder, write_balls(folder / "cases", 4), fold=ALL_FOLDS), say=quiet, workers=0)
    assert bundle is not None
    return bundle


def test_the_bundle_is_one_that_rt4d_uses(made: Path) -> None:
    members = ["models/fold0.pt", "models/fold1.pt"]
    bundle = read_bundle(f"{made}@sha256:{bundle_digest(made, members)}")
    assert bundle.patch_voxels == (16, 16, 16)
    assert bundle.space == SHORT.space
    assert [path.name for path in bundle.members] == ["fold0.pt", "fold1.pt"]
    networks = [load_weights(build(bundle.network_definition), path).state_dict() for path in bundle.members]
    assert not torch.equal(*(network["input_block.conv1.conv.weight"] for network in networks))


def test_monais_parser_builds_the_network_and_loads_the_weights(made: Path) -> None:
    parser = ConfigParser()
    parser.read_config(made / "configs/inference.json")
    parser["bundle_root"] = str(made)
    network = parser.get_parsed_content("network_def")
    lacking = network.load_state_dict(torch.load(made / "models/fold0.pt", weights_only=True), strict=False)
    assert not lacking.unexpected_keys
    assert all(name.startswith("skip_layers.") for name in lacking.missing_keys)  # MONAI's second names for the same layers
    theirs = load_weights(build(json.loads((made / "configs/inference.json").read_text())["network_def"]), made / "models/fold0.pt")
    image = torch.rand(1, 2, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(image), theirs.eval()(image))


@pytest.mark.filterwarnings("ignore:parsing config_file", "ignore:NvImgCodecPydicomReader")
def test_monai_alone_runs_the_bundle_on_an_image(made: Path, tmp_path: Path) -> None:
    """On a grid of another pose and spacing: MONAI's answer lies on it, and is what rt4d's networks say there."""
    from monai.bundle.scripts import run

    affine = np.diag([2.5, -2.5, 2.5, 1.0])
    affine[:3, 3] = (-30, 40, -50)
    hu = np.random.default_rng(0).normal(-800, 100, (20, 18, 22)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(hu, affine), tmp_path / "ct.nii.gz")
    run(config_file=str(made / "configs/inference.json"), bundle_root=str(made), input=str(tmp_path / "ct.nii.gz"), output_dir=str(tmp_path / "eval"))
    (path,) = (tmp_path / "eval").iterdir()
    answer = nibabel.load(path)
    np.testing.assert_allclose(answer.affine, affine, atol=1e-5)
    assert answer.shape == hu.shape
    upright = torch.from_numpy(np.clip((hu[::-1].transpose(2, 1, 0) + 1000) / 1400, 0, 1).copy())  # x runs to the right in this file
    image = torch.stack([upright, torch.zeros_like(upright)])[None]
    definition = json.loads((made / "configs/inference.json").read_text())["network_def"]
    networks = [load_weights(build(definition), made / f"models/fold{n}.pt").eval() for n in (0, 1)]
    with torch.no_grad():
        said = [torch.softmax(sliding_window_inference(image, (16,) * 3, 1, network, overlap=0.5, mode="gaussian"), 1) for network in networks]
    expected = (torch.stack(said).mean(0)[0, 1] > 0.5).numpy().transpose(2, 1, 0)[::-1]
    assert 0 < expected.mean() < 1
    assert (np.asarray(answer.dataobj) != expected).mean() < 0.002


def test_metadata_has_what_monais_schema_requires(made: Path) -> None:
    metadata = json.loads((made / "configs/metadata.json").read_text())
    assert metadata.keys() >= REQUIRED
    assert metadata["version"] in metadata["changelog"]
    for tensor in (metadata["network_data_format"]["inputs"]["image"], metadata["network_data_format"]["outputs"]["pred"]):
        assert tensor.keys() >= {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data", "channel_def"}
        assert len(tensor["channel_def"]) == tensor["num_channels"]


def test_the_card_says_what_was_measured_and_takes_figures_later(made: Path) -> None:
    card = (made / "docs/README.md").read_text()
    assert "Held-back scans, by lesion size" in card
    assert "not for clinical use" in card
    assert (made / "docs/curves.csv").read_text().startswith("member,step,")
    assert (made / "LICENSE").read_text().startswith("The licence")
    rewrite_card(made, {"Real CTs": {"lung1_001": {"DSC": 0.71234, "found": "yes"}}, "Known failures": ["Apices"]})
    card = (made / "docs/README.md").read_text()
    assert "| lung1_001 | 0.712 | yes |" in card
    assert "- Apices" in card


def test_the_training_is_written_down(made: Path) -> None:
    told = json.loads((made / "configs/train.json").read_text())
    assert Options.from_dict(told["options"]) == SHORT
    assert sorted(told["members"]["fold0"]["held_back"] + told["members"]["fold0"]["train"]) == [f"case{n}.npz" for n in range(4)]


def test_weights_to_begin_from_are_those_of_bundle_file_or_checkpoint(made: Path, tmp_path: Path) -> None:
    name = "input_block.conv1.conv.weight"
    from_bundle, from_file = (read_start(path, SHORT).weights[name] for path in (made, made / "models/fold0.pt"))
    assert torch.equal(from_bundle, from_file)
    checkpoint = read_start(made.parent / "work/fold0/checkpoint.pt", SHORT).weights[name]
    torch.testing.assert_close(checkpoint.half().float(), from_file)
    with pytest.raises(NotFoundError):
        read_start(tmp_path, SHORT)
    with pytest.raises(InputError, match="another network"):
        read_start(made, replace(SHORT, filters=(8, 8, 8)))


def test_what_a_training_began_from_is_written_down_and_compared_on_resuming(made: Path, tmp_path: Path) -> None:
    cases = write_balls(tmp_path / "cases", 4)
    said: list[str] = []
    bundle = train(request(tmp_path, cases, start=made), say=said.append, workers=0)
    assert bundle is not None
    told = json.loads((bundle / "configs/train.json").read_text())
    assert told["from"]["name"] == "balls/models/fold0.pt"
    assert told["from"]["sha256"] == hashlib.sha256((made / "models/fold0.pt").read_bytes()).hexdigest()
    assert told["from"]["sha256"] in (bundle / "docs/README.md").read_text()
    assert not any("learnt from" in line for line in said)  # the same fold of the same cases is held back
    again = replace(request(tmp_path, cases, resume=True), out=tmp_path / "again")
    with pytest.raises(InputError, match=r"options it began with.*from None, found from [0-9a-f]{64}"):
        train(again, say=quiet, workers=0)
    assert train(replace(again, start=made), say=quiet, workers=0)


def test_held_back_cases_that_the_first_weights_had_learnt_from_are_told(tmp_path: Path) -> None:
    cases = write_balls(tmp_path / "cases", 4)
    everybody = train(replace(request(tmp_path, cases, fold=None), out=tmp_path / "everybody"), say=quiet, workers=0)
    fewer = replace(request(tmp_path, cases, fold=1, start=everybody), out=tmp_path / "fewer", work=tmp_path / "work2")
    said: list[str] = []
    bundle = train(fewer, say=said.append, workers=0)
    assert bundle is not None
    warning = "2 of 2 held-back cases bear the names of cases that everybody/models/all.pt had learnt from: figures on them are too good"
    assert f"fold1: {warning}" in said
    assert warning in (bundle / "docs/README.md").read_text()
    for start, learnt in (
        (bundle, 4),  # by way of what it began from
        (tmp_path / "work2/fold1", 4),
        (tmp_path / "work/all/checkpoint.pt", 4),
    ):
        assert len(read_start(start, SHORT).learnt) == learnt


def test_weights_of_which_nothing_is_known_are_said_to_be_such(made: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.pt"
    alone.write_bytes((made / "models/fold0.pt").read_bytes())
    start = read_start(alone, SHORT)
    assert (start.name, start.learnt) == ("alone.pt", ())
    told = made / "configs/train.json"
    before = told.read_text()
    told.write_text(json.dumps({**json.loads(before), "from": start.told()}))
    try:
        assert "Began from the weights alone.pt" in card(made)
        assert "not written down what they had learnt from" in card(made)
    finally:
        told.write_text(before)


def test_the_card_of_a_bundle_that_tells_nothing_of_its_beginning_says_nothing_of_it() -> None:
    folder = data_folder("models") / "gtv_lung"
    assert "from" not in json.loads((folder / "configs/train.json").read_text())
    training = card(folder).split("## Training\n\n")[1]
    assert training.split("curves: docs/curves.csv.\n\n")[1].startswith("| member |")


def test_a_resume_with_nothing_to_resume_is_refused(tmp_path: Path) -> None:
    cases = write_balls(tmp_path / "cases", 4)
    with pytest.raises(InputError, match=r"no training to go on with.*work.*without --resume"):
        train(request(tmp_path, cases, resume=True), say=quiet, workers=0)
    assert not (tmp_path / "work").exists()
    train(request(tmp_path, cases), say=quiet, workers=0)
    with pytest.raises(InputError, match=r"no training to go on with.*expected checkpoints of fold1, found fold0"):
        train(replace(request(tmp_path, cases, fold=1, resume=True), out=tmp_path / "again"), say=quiet, workers=0)


def test_a_training_does_not_go_on_with_cases_that_changed_under_their_names(tmp_path: Path) -> None:
    cases = write_balls(tmp_path / "cases", 4)
    train(request(tmp_path, cases), say=quiet, workers=0)
    again = replace(request(tmp_path, cases, resume=True), out=tmp_path / "again")
    write_case(cases[2], balls(2, lesions=1))  # written anew, and the same
    assert train(again, say=quiet, workers=0)
    write_case(cases[2], balls(9, lesions=1, patient="P2"))
    with pytest.raises(InputError, match=r"cases it began with.*1 changed: case2\.npz.*another --out.*--from .*checkpoint\.pt"):
        train(replace(again, out=tmp_path / "third"), say=quiet, workers=0)


def test_a_training_begun_when_only_names_were_written_down_goes_on_and_says_so(tmp_path: Path) -> None:
    cases = write_balls(tmp_path / "cases", 4)
    train(request(tmp_path, cases), say=quiet, workers=0)
    path = tmp_path / "work/fold0/cases.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps({role: list(held[role]) for role in ("train", "held_back")}))
    again = replace(request(tmp_path, cases, resume=True), out=tmp_path / "again")
    said: list[str] = []
    assert train(again, say=said.append, workers=0)
    assert any("earlier rt4d" in line for line in said)
    assert json.loads(path.read_text()) == held
    path.write_text(json.dumps({"train": ["a.npz"], "held_back": list(held["held_back"])}))
    with pytest.raises(InputError, match=r"2 new: .*1 missing: a\.npz"):
        train(replace(again, out=tmp_path / "third"), say=quiet, workers=0)
    path.write_text("[]")
    with pytest.raises(InputError, match="list of cases"):
        train(replace(again, out=tmp_path / "third"), say=quiet, workers=0)


def test_an_earlier_training_is_gone_on_with_only_when_asked_and_with_its_cases(tmp_path: Path) -> None:
    cases = write_balls(tmp_path / "cases", 5)
    train(request(tmp_path, cases[:4]), say=quiet, workers=0)
    again = replace(request(tmp_path, cases[:4]), out=tmp_path / "again")
    with pytest.raises(InputError, match="--resume"):
        train(again, say=quiet, workers=0)
    with pytest.raises(InputError, match="cases it began with"):
        train(replace(again, cases=tuple(cases), resume=True), say=quiet, workers=0)
    assert train(replace(again, resume=True), say=quiet, workers=0) == tmp_path / "again"
    assert (tmp_path / "again/models/fold0.pt").read_bytes() == (tmp_path / "balls/models/fold0.pt").read_bytes()


def test_what_cannot_be_trained_is_refused_before_it_begins(tmp_path: Path) -> None:
    cases = write_balls(tmp_path / "cases", 2)
    for changed, said in (
        ({"fold": 2}, "No such fold"),
        ({"options": replace(SHORT, folds=3)}, "Too few patients"),
        ({"options": replace(SHORT, spacing_mm=2.0)}, "other voxels"),
    ):
        with pytest.raises(InputError, match=said):
            train(replace(request(tmp_path, cases), **changed), say=quiet, workers=0)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        train(request(tmp_path, cases, start=tmp_path / "none"), say=quiet, workers=0)
    assert not (tmp_path / "work").exists()


def test_everybody_is_learnt_from_without_a_fold(tmp_path: Path) -> None:
    bundle = train(request(tmp_path, write_balls(tmp_path / "cases", 2), fold=None), say=quiet, workers=0)
    assert bundle is not None
    assert [path.name for path in (bundle / "models").iterdir()] == ["all.pt"]
    assert "nothing was held back" in (bundle / "docs/README.md").read_text()
