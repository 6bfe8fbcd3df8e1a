"""Loss and schedule against closed forms and MONAI's own loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses.dice import DiceLoss

from rt4d.errors import InputError
from rt4d.segmentation.training.loss import SMOOTH_VOXELS, foreground, loss
from rt4d.segmentation.training.options import Options
from rt4d.segmentation.training.patches import Patch
from rt4d.segmentation.training.schedule import Budget, average_in, rate_at

NONE = torch.zeros(1, 1, 1, 1, 1)
"""No lesion counts on its own."""


def inner(share: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.stack([Patch(np.zeros(0), each.numpy(), False).inner for each in share]))


def test_loss_is_monais_squared_dice_and_torchs_cross_entropy_with_soft_labels() -> None:
    torch.manual_seed(0)
    answer, share = torch.randn(2, 2, 4, 4, 4), 0.9 * torch.rand(2, 1, 4, 4, 4)  # none wholly inside
    both = torch.cat([1 - share, share], dim=1)
    theirs = DiceLoss(include_background=False, softmax=True, squared_pred=True, smooth_nr=SMOOTH_VOXELS, smooth_dr=SMOOTH_VOXELS)
    expected = theirs(answer, both) + torch.nn.functional.cross_entropy(answer, both)
    torch.testing.assert_close(loss(answer, share, NONE), expected)
    torch.testing.assert_close(foreground(answer), torch.softmax(answer, 1)[:, 1:])


def test_a_small_lesion_weighs_as_much_as_a_large_one_in_the_same_patch_and_edges_nothing_more() -> None:
    small, large = torch.zeros(1, 1, 24, 24, 24), torch.zeros(1, 1, 24, 24, 24)
    small[0, 0, 2:4, 2:4, 2:4], large[0, 0, 8:20, 8:20, 8:20] = 1, 1
    share = small + large
    missed = torch.zeros(1, 2, 24, 24, 24, requires_grad=True)
    loss(missed + torch.tensor([8.0, 0.0]).view(1, 2, 1, 1, 1), share, inner(share)).backward()  # sure of the miss
    assert missed.grad is not None
    pull = [float(-(missed.grad[:, 1] * lesion[:, 0]).sum()) for lesion in (small, large)]
    assert 0.3 < pull[0] / pull[1] < 1  # by voxels alone it were 0.005
    edge = torch.full((1, 1, 8, 8, 8), 0.9)
    assert not inner(edge).any()


def test_unknown_voxels_count_nowhere() -> None:
    torch.manual_seed(0)
    share = torch.rand(2, 1, 8, 8, 8).round()
    share[:, :, 5:] = -1
    one, other = torch.randn(2, 2, 8, 8, 8), torch.randn(2, 2, 8, 8, 8)
    other[:, :, :5] = one[:, :, :5]
    assert float(loss(one, share, inner(share))) == pytest.approx(float(loss(other, share, inner(share))), rel=1e-6)
    assert float(loss(one, share, inner(share))) == pytest.approx(float(loss(one[:, :, :5], share[:, :, :5], inner(share)[:, :, :5])), rel=1e-6)
    assert torch.isfinite(loss(one, torch.full((2, 1, 8, 8, 8), -1.0), NONE))


def test_deeper_levels_count_half() -> None:
    torch.manual_seed(0)
    answers, share = torch.randn(1, 3, 2, 4, 4, 4), torch.rand(1, 1, 4, 4, 4)
    each = [float(loss(answers[:, level], share, NONE)) for level in range(3)]
    assert float(loss(answers, share, NONE)) == pytest.approx((each[0] + each[1] / 2 + each[2] / 4) / 1.75)


def test_false_marks_cost_where_there_is_no_lesion_and_half_precision_is_summed_in_single() -> None:
    nothing = torch.zeros(1, 1, 8, 8, 8)
    quiet, loud = torch.zeros(1, 2, 8, 8, 8), torch.zeros(1, 2, 8, 8, 8)
    quiet[:, 0] = loud[:, 0] = 8
    loud[:, 1, :3] = 16
    assert float(loss(quiet, nothing, NONE)) < 0.01 < 0.5 < float(loss(loud, nothing, NONE))
    assert loss(quiet.bfloat16(), nothing, NONE).dtype == torch.float32


def test_the_rate_rises_shortly_and_falls_to_nothing() -> None:
    rates = [rate_at(spent / 100, 1e-3) for spent in range(101)]
    assert rates[2] == pytest.approx(1e-3)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[100] == rate_at(1.2, 1e-3) == pytest.approx(0, abs=1e-12)
    assert 0 < rates[0] < rates[1]


def test_a_budget_of_minutes_goes_by_time_and_one_of_steps_by_steps() -> None:
    assert Budget(10, None).spent(seconds=300, steps=9999) == 0.5
    assert Budget(None, 100).spent(seconds=9999, steps=25) == 0.25
    assert Budget(10, None).seconds_left(seconds=150, steps=1) == 450


def test_the_average_of_constant_weights_is_the_weights_and_it_starts_as_they_are() -> None:
    average, weights = {"a": torch.zeros(3)}, {"a": torch.full((3,), 2.0)}
    average_in(average, weights, step=1)
    torch.testing.assert_close(average["a"], weights["a"])
    weights["a"] += 1
    average_in(average, weights, step=40)
    torch.testing.assert_close(average["a"], torch.full((3,), 2.25))


@pytest.mark.parametrize(
    "told",
    [{"minutes": None}, {"minutes": 5, "steps": 5}, {"minutes": 0}, {"rate": -1}, {"patch": 24}, {"patch": 16}, {"filters": (4, 8)}, {"colour": 1}],
)
def test_options_that_cannot_be_are_refused(told: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Options.from_dict(told)


def test_options_come_back_from_their_dictionary() -> None:
    options = Options(minutes=None, steps=7, filters=(4, 8, 8))
    assert Options.from_dict(options.to_dict()) == options
