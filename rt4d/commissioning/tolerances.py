"""Tolerances: what each figure must keep to and who says so, read strictly from a small TOML file that a clinic can replace."""

from __future__ import annotations

import difflib
import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rt4d.commissioning.measures import MEASURES
from rt4d.errors import InputError, NotFoundError

DEFAULT = Path(__file__).with_name("tolerances.toml")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A bound of one measure in its unit, and its source. What lies exactly on it passes; the size of a figure counts, not its sign."""

    measure: str
    bound: Literal["at_least", "at_most"]
    value: float
    unit: str
    source: str

    def verdict(self, figure: float | None) -> Literal["pass", "fail"]:
        """Whether a figure keeps to it; one that is not there or not finite does not."""
        if figure is None or not math.isfinite(figure):
            return "fail"
        return "pass" if (figure >= self.value if self.bound == "at_least" else abs(figure) <= self.value) else "fail"

    def to_dict(self) -> dict[str, Any]:
        return {self.bound: self.value, "unit": self.unit, "source": self.source}


@dataclass(frozen=True, slots=True)
class Tolerances:
    """One tolerance for every measure. sha256: of the file that they were read from."""

    title: str
    by_measure: Mapping[str, Tolerance]
    sha256: str

    def __getitem__(self, measure: str) -> Tolerance:
        return self.by_measure[measure]

    def to_dict(self) -> dict[str, Any]:
        return {"title": self.title, "sha256": self.sha256, "measures": {name: each.to_dict() for name, each in self.by_measure.items()}}


def read_tolerances(path: str | Path | None = None) -> Tolerances:
    """The tolerances in a TOML file, rt4d's own where none is given.

    Refused: a file that is not there (NotFoundError); a measure or key that does not exist (with the nearest one that does), a measure that is
    missing, another unit than the measure's, a bound on the wrong side, no source (InputError).
    """
    file = Path(path) if path is not None else DEFAULT
    try:
        content = file.read_bytes()
        said = tomllib.loads(content.decode("utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError("No such file of tolerances", where=file) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("A file of tolerances is TOML", where=file, found=error) from error
    _require_known(said, ["title", *MEASURES], "A file of tolerances has no such measure", where=str(file))
    if missing := [name for name in ("title", *MEASURES) if name not in said]:
        raise InputError("A file of tolerances lacks a measure", where=file, expected=", ".join(missing), do=f"Begin with a copy of {DEFAULT}")
    if not isinstance(said["title"], str) or not said["title"].strip():
        raise InputError("A file of tolerances has a title", where=file, found=repr(said["title"]))
    by_measure = {name: _tolerance(name, said[name], where=f"{file}, [{name}]") for name in MEASURES}
    return Tolerances(said["title"].strip(), by_measure, hashlib.sha256(content).hexdigest())


def _tolerance(name: str, said: object, *, where: str) -> Tolerance:
    measure = MEASURES[name]
    if not isinstance(said, dict):
        raise InputError("A tolerance is a table", where=where, expected=f"[{name}] with {measure.bound}, unit and source", found=repr(said))
    _require_known(said, ["at_least", "at_most", "unit", "source"], "A tolerance has no such key", where=where)
    if set(said) != {measure.bound, "unit", "source"}:
        found = ", ".join(said) or "nothing"
        raise InputError("A tolerance states one bound, its unit and its source", where=where, expected=f"{measure.bound}, unit, source", found=found)
    value, unit, source = said[measure.bound], said["unit"], said["source"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise InputError("A tolerance is a number", where=where, expected="at least 0", found=repr(value))
    if unit != measure.unit:
        raise InputError("A tolerance has its measure's unit", where=where, expected=repr(measure.unit), found=repr(unit))
    if not isinstance(source, str) or not source.strip():
        raise InputError("A tolerance states its source", where=where, found=repr(source))
    return Tolerance(name, measure.bound, float(value), unit, source.strip())


def _require_known(said: Mapping[str, object], known: Iterable[str], what: str, *, where: str) -> None:
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1)
            raise InputError(what, where=where, found=key, do=f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}")
