"""The model card of a bundle: what it is, what it was made of, and what was measured, figure by figure. Nothing in it is written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rt4d.segmentation.whole_files import write_file

CARD, FIGURES = "docs/README.md", "docs/figures.json"


def rewrite_card(folder: Path, figures: Mapping[str, Any]) -> Path:
    """Add figures that were measured later (sections by title, as in figures.json) to a bundle and write its card anew; the card's path."""
    held = json.loads((folder / FIGURES).read_text(encoding="utf-8")) if (folder / FIGURES).is_file() else {}
    write_file(folder / FIGURES, (json.dumps({**held, **figures}, indent=2, ensure_ascii=False) + "\n").encode())
    return write_file(folder / CARD, card(folder).encode())


def card(folder: Path) -> str:
    """The card in Markdown, from the bundle's own files.

    figures.json: sections by title; a section is a mapping of row titles to mappings of figures (a table), a list of sentences, or a sentence.
    """
    files = ("configs/metadata.json", "configs/train.json", FIGURES)
    metadata, training, figures = (json.loads((folder / name).read_text(encoding="utf-8")) for name in files)
    own, options = metadata["rt4d"], training["options"]
    low, high = own["window_hu"]
    filters = " ".join(map(str, options["filters"]))
    looks = f", again at {own['coarse']['spacing_mm']:g} mm, for scores and for what is large beside a patch" if own["coarse"] else ""
    looks += f", and at {own['fine']['spacing_mm']:g} mm, for what is smaller than {own['fine']['to_cm3']:g} cm³" if own["fine"] else ""
    facts = [
        f"- Input: CT at {own['spacing_mm']:g} mm (isotropic, upright, LPS; z y x), window {low:g} to {high:g} HU{looks}; and a click, or none",
        "- Output: background and GTV. With a click the lesion there and only that one; without one, all lesions",
        f"- Network: MONAI DynUNet, filters {filters}; {len(own['members'])} member(s), patches of {own['patch'][0]}³ voxels",
        f"- Made with {training['made_with']}, PyTorch {metadata['pytorch_version']}, MONAI {metadata['monai_version']}",
        f"- Licence: {metadata['copyright']}",
    ]
    parts = [f"# {metadata['name']}", metadata["description"], f"**{metadata['intended_use']}.**", "\n".join(facts)]
    parts += ["## Training", _training(training)]
    for title, section in figures.items():
        parts += [f"## {title}", _section(section)]
    return "\n\n".join(parts) + "\n"


def _training(training: Mapping[str, Any]) -> str:
    options = training["options"]
    budget = f"{options['minutes']:g} minutes" if options["minutes"] is not None else f"{options['steps']} steps"
    members = training["members"].items()
    rows = {name: {"cases learnt from": len(each["train"]), "held back": len(each["held_back"])} for name, each in members}
    how = (
        f"AdamW, highest rate {options['rate']:g}, cosine to nothing over {budget} per member, batch {options['batch']}, seed {options['seed']}; "
        "Dice and cross-entropy with soft labels on several levels; averaged weights. Options and the list of cases: configs/train.json; "
        "curves: docs/curves.csv."
    )
    began = "".join(f"\n\n{sentence}" for sentence in (_began(training.get("from")), *_known(training)) if sentence)
    return how + began + "\n\n" + _table("member", rows)


def already_learnt(start: Mapping[str, Any], held_back: Sequence[Path]) -> str:
    """That held-back cases had taught the weights that a member began from, in a sentence; '' where none had. Told by the cases' names."""
    learnt = set(start["learnt"])
    known = sum(path.name in learnt for path in held_back)
    if not known:
        return ""
    return f"{known} of {len(held_back)} held-back cases bear the names of cases that {start['name']} had learnt from: figures on them are too good"


def _began(start: Mapping[str, Any] | None) -> str:
    if start is None:
        return ""
    learnt = f"which had learnt from {len(start['learnt'])} cases" if start["learnt"] else "of which it is not written down what they had learnt from"
    return f"Began from the weights {start['name']} (sha256 {start['sha256']}), {learnt}."


def _known(training: Mapping[str, Any]) -> list[str]:
    start, members = training.get("from"), training["members"].items()
    told = [(name, already_learnt(start, [Path(case) for case in each["held_back"]])) for name, each in members] if start else []
    return [f"**{name}: {sentence}.**" for name, sentence in told if sentence]


def _section(section: object) -> str:
    if isinstance(section, Mapping):
        return _table("", section) if section else "Not measured."
    return "\n".join(f"- {sentence}" for sentence in section) if isinstance(section, list) else str(section)


def _table(corner: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Rows of figures as a Markdown table; what a row lacks is a dash."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| {' | '.join([corner, *columns])} |", "|" + "---|" * (len(columns) + 1)]
    lines += [f"| {' | '.join([title, *(_figure(row.get(name)) for name in columns)])} |" for title, row in rows.items()]
    return "\n".join(lines)


def _figure(value: object) -> str:
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
