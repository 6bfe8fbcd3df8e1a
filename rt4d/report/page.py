"""A page as one file: template, style, scripts and pictures go into it, and nothing is fetched when it is opened."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt4d import __version__, provenance
from rt4d.errors import InputError
from rt4d.figures import GRID, INK, QUIET
from rt4d.segmentation.whole_files import write_file

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

THEMED = {INK: "var(--ink)", QUIET: "var(--quiet)", GRID: "var(--line)", "#0072b2": "var(--itv)", "#d55e00": "var(--machine)"}
"""What of a figure's colours follows the page into the dark."""
CSS_PER_INCH, PNG_DPI = 104.0, 150
SMALL = 250_000
"""Characters of an SVG up to which it stays one, so that its ink follows the page into the dark; beyond, the smaller of SVG and PNG is taken."""
_NOT_DRAWN = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|\sxmlns(?::xlink)?=\"[^\"]*\"", re.DOTALL)


def require_new_page(path: str | Path, *, beside: Path | None = None) -> Path:
    """The absolute path of a page that is to be written, refused before a long job begins: no HTML file, there already, no folder for it.

    beside: a folder of results that will be there by then.
    """
    path = Path(path).absolute()
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError("A report is an HTML file", where=path.name, expected="FILE.html")
    if path.exists():
        raise InputError("A report is there already", where=path, do="Give a new file name")
    if not path.parent.is_dir() and (beside is None or path.parent != beside.absolute()):
        raise InputError("The folder for the report is not there", where=path.parent, do="Make it first")
    return path


def write_new_page(path: str | Path, template: str, **values: Any) -> Path:
    """A page on its own, as `require_new_page` wants it: there whole or not at all (OutputError where the disk is full)."""
    return write_file(require_new_page(path), _page(template, (), values).encode("utf8"))


def write_page(path: Path, template: str, *, scripts: tuple[str, ...] = (), **values: Any) -> Path:
    """Render a template of this folder into one file of a folder of results; its path. Text is escaped.

    scripts: files of this folder that become the page's one script. The page forbids the browser everything else: no other script, no
    request to anywhere.
    """
    path.write_text(_page(template, scripts, values), encoding="utf8")
    return path


def _page(template: str, scripts: tuple[str, ...], values: dict[str, Any]) -> str:
    from markupsafe import Markup

    script = "\n".join(['"use strict";', *(_text(name) for name in scripts)]) if scripts else ""
    return environment().get_template(template).render(
        **values,
        style=Markup(_text("style.css")),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704  our own files
        policy=_policy(script),
        version=__version__,
    )


def environment() -> Environment:
    """How pages are made: everything is escaped, and a value that is not there is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["number"] = number_text
    return made


def number_text(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """A number as it is read beside others: so many decimals, a true minus, no sign of what rounds to zero; a dash where there is none."""
    if value is None or value != value:
        return "–"
    rounded = round(float(value), decimals) + 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.{decimals}f}".replace("-", "−")


def inline_svg(figure: Figure) -> Markup:
    """A figure as SVG for the page: text stays text, images lie within, and ink takes the page's colour."""
    from markupsafe import Markup
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "rt4d"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawn = buffer.getvalue()
    drawn = _NOT_DRAWN.sub("", drawn[drawn.index("<svg") :])
    for colour, themed in THEMED.items():
        drawn = drawn.replace(colour, themed)
    return Markup(re.sub(r"font-family: [^;\"]*", "font-family: inherit", drawn))  # noqa: S704  matplotlib escapes its text


def minus_text(text: str) -> str:
    """A sentence with true minus signs before its numbers."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", text)


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as the page holds it: as SVG, or as the address of a PNG. says: what stands beneath it.

    width: on the screen, in CSS pixels, at which its writing is as large as the page's.
    """

    says: str
    width: int
    svg: Markup | None = None
    png: str = ""


def picture(figure: Figure, says: str) -> Picture:
    """A figure for a page: SVG, whose ink follows the page into the dark, unless it is large and a PNG smaller (thousands of points)."""
    width = round(float(figure.get_figwidth()) * CSS_PER_INCH)
    svg = inline_svg(figure)
    if len(svg) <= SMALL:
        return Picture(says, width, svg=svg)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    png = data_uri(buffer.getvalue())
    return Picture(says, width, svg=svg) if len(svg) <= len(png) else Picture(says, width, png=png)


def made_with(made_of: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a page was made with: rt4d and the libraries that computed, then inputs by name."""
    versions = provenance.versions()
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("python", "numpy", "scipy", "SimpleITK"))
    return [("rt4d", f"{versions['rt4d']}, page made {provenance.now()}"), ("with", libraries), *made_of.items()]


def data_uri(picture: bytes) -> str:
    """A PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def _policy(script: str) -> str:
    """What the browser may do with the page (Content Security Policy): run its one script, known by its hash, and show what lies in it."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf8")).digest()).decode("ascii")
    scripts = f"'sha256-{digest}'" if script else "'none'"
    return f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def _text(name: str) -> str:
    return resources.files("rt4d.report").joinpath(name).read_text(encoding="utf8")
