"""Where the data folders lie: inside the wheel as `rt4d/_resources/<name>`, in a source tree beside the package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rt4d.errors import NotFoundError

PACKAGE = Path(__file__).resolve().parent


def data_folder(name: Literal["registration", "models"]) -> Path:
    """The folder of registration recipes or of models; NotFoundError where neither place has it."""
    places = (PACKAGE / "_resources" / name, PACKAGE.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise NotFoundError(f"rt4d's data folder '{name}' is missing", expected=f"at {places[0]}", do="Install rt4d again: the installation is not whole")
