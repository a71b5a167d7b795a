"""Figures of a report: one pair of axes each, as SVG within the page, in colours that the page sets (light or dark)."""

from __future__ import annotations

import hashlib
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.report.page import number

# The page's light colours; in the SVG each gives way to the CSS variable of its name, which knows dark mode, too.
COLOURS = {
    "ink": "#1c2733",
    "muted": "#5a6673",
    "line": "#d8dee5",
    "paper": "#ffffff",
    "blue": "#1f5fa8",
    "orange": "#c55a11",
    "green": "#2b7a3d",
    "violet": "#7a4aa8",
    "red": "#b9282f",
    "teal": "#0d7c86",
}
SERIES = tuple(COLOURS[name] for name in ("blue", "orange", "green", "violet", "teal", "red"))
INK, MUTED, LINE, PAPER, BLUE, ORANGE, GREEN = (
    COLOURS[name] for name in ("ink", "muted", "line", "paper", "blue", "orange", "green")
)

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "opu report",
    "svg.fonttype": "path",
    "font.size": 11.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.titlesize": 12.0,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 10.0,
    "lines.markersize": 4.0,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}
_WIDTH, _HEIGHT = 5.2, 3.5  # inches; 1 pt of it is about 1 px of a telephone's width


@contextmanager
def _quiet() -> Iterator[None]:
    """A name in a script that the figures' font lacks is shown in the tables; here it becomes empty boxes."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # whatever the user's matplotlibrc says
        mpl.rcParams.update(_STYLE)
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def drawn(paint: Callable[[Axes], None], height: float = _HEIGHT, width: float = _WIDTH) -> str:
    """SVG of what `paint` puts on a pair of axes; the same input gives the same text."""
    with _quiet():
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.subplots())
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    return _for_the_page(file.getvalue())


def _for_the_page(svg: str) -> str:
    """Without what a page has no use for: size in points, comments, name spaces; identifiers made unique."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<style.*?</style>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    head, _, body = svg.partition(">")
    view = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"\n\s*", "\n", body)
    own = hashlib.sha256(body.encode()).hexdigest()[:8]
    body = re.sub(r'\bid="', f'id="{own}-', body)
    body = body.replace('href="#', f'href="#{own}-').replace("url(#", f"url(#{own}-")
    for name, colour in COLOURS.items():
        body = body.replace(f": {colour}", f": var(--{name})")
    return f'<svg {view[0] if view else ""} aria-hidden="true">{body}'.strip()


def plain(text: str, longest: int = 46) -> str:
    """A name for a figure: no mathematics in it, and not longer than an axis."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return (shown if len(shown) <= longest else f"{shown[: longest - 1]}…").replace("$", r"\$")


def is_wide(values: Sequence[float]) -> bool:
    """Whether positive values span so much that they need a logarithmic axis."""
    known = [value for value in values if math.isfinite(value)]
    return len(known) > 1 and min(known) > 0 and max(known) >= 30 * min(known)


def whole_epochs(axes: Axes) -> None:
    """Whole numbers on the axis of epochs."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")


def bars(axes: Axes, names: Sequence[str], values: Sequence[float], label: str, of: float | None = None) -> None:
    """Horizontal bars from the top down, each with its figure and its share of their sum, or `of` something else."""
    total = sum(values) if of is None else of
    at = range(len(values))
    axes.barh(at, values, color=BLUE, height=0.65)
    for place, value in zip(at, values, strict=True):
        share = f" ({value / total:.0%})" if total else ""
        axes.annotate(f"{number(value, 3)}{share}", (value, place), (4, 0), textcoords="offset points", va="center",
                      fontsize=10)  # fmt: skip
    axes.set_yticks(at, [plain(name, 20) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(values, default=0.0) or 1.0)
    axes.set_xlabel(label)


def heat(axes: Axes, x: Sequence[Any], y: Sequence[Any], z: Any, labels: tuple[str, str, str]) -> None:
    """Map of z [y, x] over two keys, NaN left empty; its figures in the cells where they fit."""
    shown = np.ma.masked_invalid(np.asarray(z, dtype=np.float64))
    mesh = axes.pcolormesh(shown, cmap="viridis", edgecolors=PAPER, linewidth=1.0)
    axes.figure.colorbar(mesh, ax=axes, label=labels[2]).outline.set_visible(False)
    for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
        step = max(math.ceil(len(values) / 10), 1)
        names = [plain(f"{v:g}" if isinstance(v, float) else str(v), 14) for v in values]
        axis.set_ticks(np.arange(len(values))[::step] + 0.5, names[::step])
    axes.tick_params(length=0)
    if max(map(len, (str(v) for v in x)), default=0) > 6:
        axes.tick_params(axis="x", rotation=35)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=plain(labels[0]), ylabel=plain(labels[1]))
    if shown.shape[1] <= 8 and shown.shape[0] <= 12 and shown.count():
        low, high = float(shown.min()), float(shown.max())
        for (row, column), value in np.ndenumerate(shown):
            if not np.ma.is_masked(value):
                dark = (value - low) < 0.6 * (high - low) or high == low
                axes.text(column + 0.5, row + 0.5, number(value, 3), ha="center", va="center", fontsize=9.5,
                          color="#fdfdfd" if dark else "#111111")  # fmt: skip


def front(axes: Axes, cost: Sequence[float], gain: Sequence[float], best: Sequence[int], knee: int | None) -> None:
    """All points, and the Pareto front among them as steps, its knee ringed."""
    axes.plot(cost, gain, "o", color=MUTED, alpha=0.55, label="points")
    x, y = [cost[i] for i in best], [gain[i] for i in best]
    axes.step(x, y, where="post", color=BLUE, lw=1.2)
    axes.plot(x, y, "o", color=BLUE, ms=6, label="front")
    if knee is not None:
        axes.plot(cost[knee], gain[knee], "o", ms=13, mfc="none", mec=ORANGE, mew=2.0, label="knee")
    if is_wide(cost):
        axes.set_xscale("log")
    axes.legend(loc="lower right")
