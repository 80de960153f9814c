"""Figures of matplotlib as inline SVG: colours follow the page's theme, text stays text."""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Colours that no figure uses for itself; each becomes a variable of the page's style sheet.
INK, MUTED, LINE, SURFACE = "#0101a1", "#0101a2", "#0101a3", "#0101a4"
#: Of series and categories that must be told apart.
SERIES = tuple(f"#0101b{k}" for k in range(8))
#: From low to high.
STEPS = tuple(f"#0101c{k}" for k in range(5))
OTHER = "#0101d0"

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    SURFACE: "--surface",
    OTHER: "--other",
    **{colour: f"--series-{k}" for k, colour in enumerate(SERIES)},
    **{colour: f"--step-{k}" for k, colour in enumerate(STEPS)},
}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Give a figure of the report's style, in inches; nothing global stays changed."""
    with mpl.rc_context(_STYLE):
        yield Figure((width, height), layout="constrained")


def with_grid(axes: Axes, axis: Literal["both", "x", "y"] = "both") -> Axes:
    """Return the axes with grid lines along ``x``, ``y`` or ``both``."""
    axes.grid(visible=True, axis=axis)
    axes.tick_params(length=0)
    return axes


def inline_svg(figure: Figure, name: str, alt: str) -> str:
    """Return a figure as an SVG element for an HTML page; to be called inside ``drawing``.

    Args:
        figure: The figure.
        name: Makes the element's ids differ from those of other figures of the page.
        alt: What it shows, for those who do not see it.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    drawn = buffer.getvalue()
    body = drawn[drawn.index(">", drawn.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    body = body.replace("url(#", f"url(#{name}-")
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    width, height = figure.get_size_inches() * 72
    text = html.escape(alt, quote=True)
    return (
        f'<svg role="img" aria-label="{text}" viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width:{width * 1.25:g}px">{body.strip()}'
    )
