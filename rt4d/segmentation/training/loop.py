"""One member's training, from its first step or from where it was stopped, to the end of its budget."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rt4d.errors import InputError, TrainingError
from rt4d.segmentation.network import build, definition, save_state
from rt4d.segmentation.training.checkpoint import FROM, NAME, Progress, Weights, read_checkpoint, weights_of, write_checkpoint
from rt4d.segmentation.training.devices import Place
from rt4d.segmentation.training.folds import Split
from rt4d.segmentation.training.loading import Feed, workers_for
from rt4d.segmentation.training.loss import loss
from rt4d.segmentation.training.options import Options
from rt4d.segmentation.training.patches import Patches
from rt4d.segmentation.training.schedule import Budget, average_in, rate_at
from rt4d.segmentation.training.start import Start
from rt4d.segmentation.training.validation import by_stratum, chosen_lesions, look_at_patches, score
from rt4d.segmentation.whole_files import write_file

Say = Callable[[str], None]

LONGEST_GRADIENT = 1.0
SKIPPED_AT_MOST = 20
"""Steps in a row whose gradient is not finite (half precision on a GPU, once in a while) before the training is given up."""
FEW = 0.03
"""Share of a patch's voxels that are tumour, roughly."""
SAY_SECONDS, SAVE_SECONDS = 10.0, 60.0


@dataclass(slots=True)
class _Run:
    """What a training holds while it runs."""

    network: torch.nn.Module
    learner: torch.nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress
    options: Options
    where: Place
    folder: Path
    start: Start | None = None
    skipped: int = 0
    loss: float = math.nan
    is_between_steps: bool = True
    board: Any = None
    stepped: int = 0
    stepping: float = 0.0

    @property
    def spent(self) -> float:
        return Budget(self.options.minutes, self.options.steps).spent(seconds=self.progress.seconds, steps=self.progress.step)

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent, or nothing has become better for long."""
        return self.spent >= 1 or self.progress.since_best >= self.options.patience


def train_member(
    split: Split, folder: Path, *, options: Options, where: Place, say: Say, start: Start | None = None, workers: int | None = None
) -> Progress:
    """Train on a split's cases, with checkpoint and curve in `folder`, going on from a checkpoint that is there; its progress at the end.

    `start`: weights to begin from. Stopped by an exception (Ctrl-C, a full disk), the checkpoint is the last finished step's or an earlier one.
    Raises TrainingError where the loss is no number any more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _begin(folder, options=options, where=where, start=start)
    if not run.is_over:
        _go_on(run, split, say, workers)
    if where.is_first:
        save_state(run.progress.chosen, folder / f"{split.member}.pt")
    return run.progress


def _go_on(run: _Run, split: Split, say: Say, workers: int | None) -> None:
    options, where = run.options, run.where
    patches = Patches(split.train, space=options.space, edge=options.patch, seed=options.seed)
    beside = workers_for(where.device.type) if workers is None else workers
    feed = Feed(patches, batch=options.batch, first=run.progress.step, rank=where.rank, devices=where.count, workers=beside)
    try:
        _learn(run, feed, split, say)
    except BaseException:
        if run.stepped and run.is_between_steps and where.is_first:
            _save(run)
        raise
    finally:
        feed.close()
        if run.board is not None:
            run.board.close()
    if where.is_first:
        _save(run)


def _begin(folder: Path, *, options: Options, where: Place, start: Start | None) -> _Run:
    torch.manual_seed(options.seed)
    network = build(definition(deep_supervision=True, filters=options.filters))
    _expect_background(network)
    if start is not None:
        network.load_state_dict(start.weights, strict=False)
    network = network.to(where.device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload] # missing in torch's own types
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=options.decay)
    scaler = torch.amp.GradScaler(where.device.type, enabled=where.precision is torch.float16)
    progress = read_checkpoint(folder, options=_told(options, start))
    if progress is None:
        progress = Progress(weights=_weights(network), average={name: value.clone() for name, value in _weights(network).items()}, optimiser={})
    else:
        network.load_state_dict(progress.weights, strict=False)
        optimiser.load_state_dict(progress.optimiser)
        scaler.load_state_dict(progress.scaler)
        progress.average = {name: value.to(where.device) for name, value in progress.average.items()}
        spent = Budget(options.minutes, options.steps).spent(seconds=progress.seconds, steps=progress.step)
        progress.validated = min(progress.validated, int(spent * options.validations))  # a longer budget's validations lie elsewhere
    board = _tensorboard(folder / "tensorboard", progress.step) if where.is_first else None
    return _Run(network, where.spread(network.train()), optimiser, scaler, progress, options, where, folder, start, board=board)


def _told(options: Options, start: Start | None) -> dict[str, Any]:
    """What a training must go on with, as its checkpoints tell it."""
    return options.to_dict() | {FROM: start.sha256 if start else None}


@torch.no_grad()
def _expect_background(network: torch.nn.Module) -> None:
    """Untrained, call few voxels GTV (Lin et al., focal loss, 2017): else the first hundred steps only teach that most are not."""
    surely = math.log(FEW / (1 - FEW)) / 2
    for name, value in network.named_parameters():
        if name.startswith(("output_block", "deep_supervision_heads")) and name.endswith("bias"):
            value.copy_(torch.tensor([-surely, surely]))


def _tensorboard(folder: Path, step: int) -> Any:
    """TensorBoard's writer, where that package is installed (extra `train`), else None."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=step)


def _weights(network: torch.nn.Module) -> Weights:
    """The network's parameters, each under one name; they change as it learns."""
    return {name: value.detach() for name, value in network.named_parameters()}


def _learn(run: _Run, feed: Feed, split: Split, say: Say) -> None:
    progress, first = run.progress, run.where.is_first
    lesions = chosen_lesions(split.held_back, count=run.options.validation_patches, seed=run.options.seed) if first else []
    said = saved = ticked = time.monotonic()
    while not run.where.told(float(run.is_over)):
        began = time.monotonic()
        _step(run, feed, run.where.told(run.spent))
        now = time.monotonic()
        run.stepped, run.stepping = run.stepped + 1, run.stepping + now - began
        progress.seconds, ticked = progress.seconds + now - ticked, now
        if not first:
            continue
        if now - said > SAY_SECONDS:
            say(_line(run, feed, split.member))
            said = now
        if lesions and run.spent * run.options.validations >= progress.validated + 1:
            _validate(run, lesions, feed, split.member, say)
            ticked = time.monotonic() if run.options.minutes is None else ticked
            saved = -math.inf
        if now - saved > SAVE_SECONDS:
            _note(run, feed)
            _save(run)
            saved = time.monotonic()
    if first:
        _note(run, feed)
        say(_line(run, feed, split.member))


def _step(run: _Run, feed: Feed, spent: float) -> None:
    """One step down the gradient, and the average moved along. A gradient that is not finite is stepped over."""
    batch = next(feed)
    image = batch.image.to(run.where.device, memory_format=torch.channels_last_3d, non_blocking=True)
    with run.where.mixed():
        answers = run.learner(image)
    lost = loss(answers, *(each.to(run.where.device, non_blocking=True) for each in (batch.share, batch.inner)))
    run.is_between_steps = False
    for group in run.optimiser.param_groups:
        group["lr"] = rate_at(spent, run.options.rate)
    run.optimiser.zero_grad(set_to_none=True)
    run.scaler.scale(lost).backward()  # type: ignore[no-untyped-call]
    run.scaler.unscale_(run.optimiser)
    length = torch.nn.utils.clip_grad_norm_(run.network.parameters(), LONGEST_GRADIENT)
    _require_finite(run, float(lost.detach()), float(length))
    if math.isfinite(float(length)):
        run.scaler.step(run.optimiser)
    run.scaler.update()
    run.progress.step += 1
    average_in(run.progress.average, _weights(run.network), step=run.progress.step)
    run.is_between_steps = True


def _require_finite(run: _Run, lost: float, length: float) -> None:
    run.skipped = 0 if math.isfinite(length) else run.skipped + 1
    if not math.isfinite(lost) or run.skipped > SKIPPED_AT_MOST:
        raise TrainingError(
            "The loss is no number any more",
            where=f"step {run.progress.step + 1}",
            found=f"loss {lost:g}, gradient {length:g}",
            do=f"Train with a lower --rate and another --out{_from_checkpoint(run.folder)}",
        )
    run.loss = lost if math.isnan(run.loss) else 0.98 * run.loss + 0.02 * lost


def _from_checkpoint(folder: Path) -> str:
    """How to take along what was learnt before, where there is something: with another rate a training cannot be resumed."""
    try:
        weights = weights_of(folder / NAME)
    except InputError:
        return ""
    is_finite = all(bool(torch.isfinite(value).all()) for value in weights.values())
    return f"; --from {folder / NAME} begins from what was learnt before" if is_finite else ""


def _validate(run: _Run, lesions: list[tuple[Path, int]], feed: Feed, member: str, say: Say) -> None:
    """Look at the held-back lesions with the averaged weights, and keep these where they are the best so far."""
    progress, own = run.progress, {name: value.clone() for name, value in _weights(run.network).items()}
    try:
        run.network.load_state_dict(progress.average, strict=False)
        looked = look_at_patches(run.network, lesions, options=run.options, where=run.where)
    finally:
        run.network.load_state_dict(own, strict=False)
        run.network.train()
    progress.validated = int(run.spent * run.options.validations)
    found = score(looked)
    _note(run, feed, dice=found)
    progress.since_best += progress.best_score > 0  # before the first lesion is met, nothing can become better
    if found > progress.best_score:
        progress.since_best = 0
    if found >= progress.best_score:  # of several as good the latest, which has learnt longest
        progress.best_score = found
        progress.best = {name: value.clone() for name, value in progress.average.items()}
    rows = by_stratum(looked).items()
    sizes = "; ".join(f"{name} {row['dice']:.2f}, clicked {row['dice_clicked']:.2f} (n {row['lesions']:.0f})" for name, row in rows)
    say(f"{member} step {progress.step}: Dice of held-back lesions {found:.3f}: {sizes}")


def _note(run: _Run, feed: Feed, **more: float) -> None:
    """A row of the curve."""
    row = {"step": float(run.progress.step), "seconds": round(run.progress.seconds, 2), "rate": rate_at(run.spent, run.options.rate)}
    row |= {"loss": run.loss, "idle": round(feed.idle, 4)} | more
    run.progress.curve.append(row)
    if run.board is not None:
        for name, value in row.items():
            run.board.add_scalar(name, value, run.progress.step)


def _line(run: _Run, feed: Feed, member: str) -> str:
    progress = run.progress
    left = Budget(run.options.minutes, run.options.steps).seconds_left(seconds=progress.seconds, steps=progress.step)
    pace = run.stepped / max(run.stepping, 1e-9)
    done = f"{member} step {progress.step} ({100 * min(run.spent, 1):.0f} %): loss {run.loss:.3f}"
    return f"{done}, {pace:.2f} steps/s, waiting {100 * feed.idle:.0f} %, {max(left, 0.0) / 60:.1f} min left"


def _save(run: _Run) -> None:
    progress = run.progress
    progress.weights, progress.optimiser, progress.scaler = _weights(run.network), run.optimiser.state_dict(), run.scaler.state_dict()
    write_checkpoint(run.folder, progress, options=_told(run.options, run.start))
    write_file(run.folder / "curves.csv", curve_csv(progress.curve).encode())


def curve_csv(curve: list[dict[str, Any]]) -> str:
    """The curve as CSV; `dice` is empty where nothing was validated."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ("step", "seconds", "rate", "loss", "idle", "dice"), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in curve)
    return text.getvalue()
