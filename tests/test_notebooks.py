"""Notebooks tell a story: no long functions, no stored results; .ci/run executes them."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf8"))["cells"])


def functions(cell: dict[str, Any]) -> list[ast.FunctionDef]:
    lines = [line for line in cell["source"] if not line.startswith("%")]
    return [node for node in ast.walk(ast.parse("".join(lines))) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_function_of_a_notebook_is_longer_than_ten_lines(path: Path) -> None:
    found = {each.name: (each.end_lineno or 0) - each.lineno + 1 for cell in cells(path) if cell["cell_type"] == "code" for each in functions(cell)}
    assert {name: length for name, length in found.items() if length > 10} == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_stores_no_results_and_its_cells_have_names(path: Path) -> None:
    whole = json.loads(path.read_text(encoding="utf8"))
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in whole["cells"]]
    assert len(set(names)) == len(names)
    assert not [cell["id"] for cell in whole["cells"] if cell.get("outputs") or cell.get("execution_count")]
