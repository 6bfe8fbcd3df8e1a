"""From cases to a bundle that rt4d and MONAI read."""

from __future__ import annotations

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
from rt4d.segmentation.bundle import bundle_digest, read_bundle
from rt4d.segmentation.network import build, load_weights
from rt4d.segmentation.training.card import rewrite_card
from rt4d.segmentation.training.options import Options
from rt4d.segmentation.training.training import ALL_FOLDS, Request, starting_weights, train
from tests.segmentation.training.make import TINY, write_balls

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
    from_bundle, from_file = (starting_weights(path, SHORT)[name] for path in (made, made / "models/fold0.pt"))
    assert torch.equal(from_bundle, from_file)
    checkpoint = starting_weights(made.parent / "work/fold0/checkpoint.pt", SHORT)[name]
    torch.testing.assert_close(checkpoint.half().float(), from_file)
    with pytest.raises(NotFoundError):
        starting_weights(tmp_path, SHORT)
    with pytest.raises(InputError, match="another network"):
        starting_weights(made, replace(SHORT, filters=(8, 8, 8)))


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
    assert not (tmp_path / "work").exists()


def test_everybody_is_learnt_from_without_a_fold(tmp_path: Path) -> None:
    bundle = train(request(tmp_path, write_balls(tmp_path / "cases", 2), fold=None), say=quiet, workers=0)
    assert bundle is not None
    assert [path.name for path in (bundle / "models").iterdir()] == ["all.pt"]
    assert "nothing was held back" in (bundle / "docs/README.md").read_text()
