"""A page as one file: template, style, scripts and pictures go into it, and nothing is fetched when it is opened."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt4d import __version__
from rt4d.figures import GRID, INK, QUIET

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

THEMED = {INK: "var(--ink)", QUIET: "var(--quiet)", GRID: "var(--line)", "#0072b2": "var(--itv)"}
"""What of a figure's colours follows the page into the dark."""
_NOT_DRAWN = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|\sxmlns(?::xlink)?=\"[^\"]*\"", re.DOTALL)


def write_page(path: Path, template: str, *, scripts: tuple[str, ...] = (), **values: Any) -> Path:
    """Render a template of this folder into one file; its path. Text is escaped.

    scripts: files of this folder that become the page's one script. The page forbids the browser everything else: no other script, no
    request to anywhere.
    """
    from markupsafe import Markup

    script = "\n".join(['"use strict";', *(_text(name) for name in scripts)]) if scripts else ""
    page = environment().get_template(template).render(
        **values,
        style=Markup(_text("style.css")),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704  our own files
        policy=_policy(script),
        version=__version__,
    )
    path.write_text(page, encoding="utf8")
    return path


def environment() -> Environment:
    """How pages are made: everything is escaped, and a value that is not there is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


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
