"""What a page calls files: people name folders after patients, and a page leaves the folder that it was made in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def page_names(contours: Sequence[tuple[Path, str]]) -> list[str]:
    """A name for each contour, the file's and its part's; those that several files share are numbered as the contours were given."""
    names = [f"{path.name}:{part}" if part else path.name for path, part in contours]
    files: dict[str, set[Path]] = {}
    for name, (path, _) in zip(names, contours, strict=True):
        files.setdefault(name, set()).add(path.absolute())
    return [f"{name} (contour {n})" if len(files[name]) > 1 else name for n, name in enumerate(names, start=1)]


def without_folders(text: str, *, files: Iterable[Path] = (), folders: Iterable[Path] = (), renamed: Mapping[str, str] | None = None) -> str:
    """A text in which files are told without the folders that they lie in, and folders, such as a CT's, not at all.

    renamed: other names to be replaced, such as those of `distinct_names` by those of the page.
    """
    told = {each: "the folder" for folder in folders for each in _written(folder)}
    told |= {each: file.name for file in files for each in _written(file)} | dict(renamed or {})
    for before in sorted(told, key=len, reverse=True):
        text = text.replace(before, told[before])
    return text


def _written(path: Path) -> set[str]:
    """The ways in which a message may write a path; not one that is a bare name."""
    ways = {str(path), str(path.absolute()), str(path.resolve())}
    return {way for way in ways if len(Path(way).parts) > 1}
