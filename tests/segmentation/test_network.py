"""The network of the segmenter: what may be built, and weights that go to a file and come back."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets.dynunet import DynUNet

from rt4d.errors import InputError, NotFoundError
from rt4d.segmentation.network import build, definition, load_weights, save_weights

SMALL = (4, 6, 8)


def small(*, deep_supervision: bool = False, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build(definition(deep_supervision=deep_supervision, filters=SMALL))


def test_the_shipped_network_has_some_four_million_weights_and_two_channels_either_end() -> None:
    network = build(definition())
    assert 3e6 < sum(weight.numel() for weight in network.parameters()) < 5e6
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 2, 32, 32, 32)).shape == (1, 2, 32, 32, 32)


def test_monai_itself_builds_the_same_network_from_the_definition() -> None:
    theirs = ConfigParser({"network_def": definition(filters=SMALL)}).get_parsed_content("network_def")
    assert {name: value.shape for name, value in theirs.state_dict().items()} == {name: v.shape for name, v in small().state_dict().items()}


def test_deep_supervision_answers_on_three_levels_in_training_only() -> None:
    network = build(definition(deep_supervision=True, filters=(4, 6, 8, 8)))
    assert network.train()(torch.zeros(2, 2, 16, 16, 16)).shape == (2, 3, 2, 16, 16, 16)
    assert network.eval()(torch.zeros(2, 2, 16, 16, 16)).shape == (2, 2, 16, 16, 16)


@pytest.mark.parametrize(
    "change",
    [
        {"_target_": "os.system"},
        {"_target_": "monai.networks.nets.UNet"},
        {"norm_name": {"_target_": "os.system", "command": "true"}},
        {"norm_name": "$__import__('os').system('true')"},
        {"filters": ["$print(1)"]},
        {"in_channels": 1},
        {"filters": [4]},
        {"unknown": 1},
    ],
)
def test_a_definition_of_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        build(definition(filters=SMALL) | change)


def test_weights_come_back_in_half_precision_without_the_heads_of_training(tmp_path: Path) -> None:
    trained = small(deep_supervision=True)
    path = save_weights(trained, tmp_path / "member.pt")
    read = load_weights(small(seed=1), path)
    theirs = dict(trained.named_parameters())
    for name, value in read.named_parameters():
        torch.testing.assert_close(value, theirs[name].half().float())
    assert path.stat().st_size < 2.2 * sum(v.numel() for v in read.parameters()) + 20_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["member.pt"]


def test_equal_weights_make_equal_files(tmp_path: Path) -> None:
    assert save_weights(small(), tmp_path / "a.pt").read_bytes() == save_weights(small(), tmp_path / "b.pt").read_bytes()


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    path = save_weights(build(definition(filters=(4, 6, 10))), tmp_path / "other.pt")
    with pytest.raises(InputError, match="Weights of another network"):
        load_weights(small(), path)


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"weight": Evil()}, tmp_path / "zip.pt")
    for name in ("evil.pt", "zip.pt"):
        with pytest.raises(InputError, match="weights only"):
            load_weights(small(), tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_no_file_half_a_file_and_infinite_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_weights(small(), tmp_path / "none.pt")
    whole = save_weights(small(), tmp_path / "whole.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        load_weights(small(), tmp_path / "half.pt")
    wild = small()
    with torch.no_grad():
        next(wild.parameters()).fill_(1e9)  # beyond half precision
    with pytest.raises(InputError, match="finite"):
        save_weights(wild, tmp_path / "wild.pt")
    assert not (tmp_path / "wild.pt").exists()


@pytest.mark.parametrize("batch", [1, 2])
def test_quickened_it_answers_and_learns_as_monais_own(batch: int) -> None:
    told = definition(deep_supervision=True, filters=SMALL)
    ours, theirs = small(deep_supervision=True), DynUNet(**{name: value for name, value in told.items() if name != "_target_"})
    theirs.load_state_dict(ours.state_dict())
    image = torch.rand(batch, 2, 16, 16, 16)
    answers = [network.train()(image.to(memory_format=torch.channels_last_3d)) for network in (ours, theirs)]
    torch.testing.assert_close(*answers, atol=1e-5, rtol=1e-4)
    for answer in answers:
        (answer**2).mean().backward()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-3)
