"""The figure of `opu device fit`: accuracy against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from benchmarks.fit.tables import Document, of, text
from dfa.plots import save_png

FILE = "fit.png"
_BLUE, _ORANGE, _GREY, _RED, _GREEN = "#1f5fa8", "#d9731a", "#777777", "#c0272d", "#2b7a3d"
_TICKS = (0, 20, 40, 60, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 99, 100)
_SLACK = 0.5
"""Percent beyond 100 where the axis of accuracy ends."""


def draw(document: Document, path: Path) -> None:
    """Accuracy against cost: trials, front, the accuracy asked for, the card itself and the winner; a PNG."""
    cost = document["cost"]
    done = [trial for trial in document["trials"] if trial["status"] == "done"]
    figure = Figure(figsize=(8.0, 5.6), layout="constrained")
    panel = figure.subplots()
    for wanted, face, words in ((True, _BLUE, "reaches it"), (False, "none", "too low")):
        _points(panel, [t for t in done if t["feasible"] is wanted], cost, face, f"trial, {words}")
    front = [document["trials"][number] for number in document["front"]]
    panel.plot(
        [trial[cost] for trial in front],
        [100.0 * trial["accuracy_mean"] for trial in front],
        color=_BLUE,
        lw=1.0,
        alpha=0.7,
        drawstyle="steps-post",
        zorder=2,
        label="front",
    )
    wanted = 100.0 * document["accuracy"]
    panel.axhline(wanted, color=_GREY, lw=1.0, ls="--", zorder=1, label=f"asked for: {wanted:g} %")
    _marks(panel, document, cost)
    costs = [trial[cost] for trial in done]
    if max(costs) > 5.0 * min(costs):
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
    _scale_accuracy(panel)
    panel.set(xlabel=_axis(cost), ylabel="test accuracy, mean over seeds [%]")
    panel.grid(alpha=0.25, which="both")
    panel.set_axisbelow(True)
    failed = len(document["trials"]) - len(done)
    title = f"{document['experiment']['name']} through {document['device']}: {len(document['trials'])} trials"
    panel.set_title(
        f"{title}{f', {failed} failed' if failed else ''}, {of(len(document['seeds']), 'seed')} each", fontsize=11
    )
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    save_png(figure, path)


def _scale_accuracy(panel: Any) -> None:
    """By ratios of the error, so that cards that are good are told apart beside some that do not learn."""
    low, high = panel.dataLim.y0, min(panel.dataLim.y1, 100.0)
    panel.set_yscale(
        "function",
        functions=(
            lambda percent: -np.log10(np.maximum(100.0 + _SLACK - percent, 0.1)),
            lambda place: 100.0 + _SLACK - 10.0**-place,
        ),
    )
    errors = 100.0 + _SLACK - np.array([low, high])
    panel.set_ylim(100.0 + _SLACK - errors[0] * 1.15, 100.0 + _SLACK - errors[1] / 1.15)
    panel.yaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if low - 5.0 <= tick <= high + 1.0]))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))


def _axis(cost: str) -> str:
    words = {
        "joules": "device energy of the training [J]",
        "watts": "device power [W]",
        "device_s": "device time of the training [s]",
        "joules_per_op": "device energy an operation delivered [J]",
        "frames": "frames of the training",
    }
    return words[cost]


def _points(panel: Any, trials: Sequence[Mapping[str, Any]], cost: str, face: str, words: str) -> None:
    if not trials:
        return
    panel.errorbar(
        [trial[cost] for trial in trials],
        [100.0 * trial["accuracy_mean"] for trial in trials],
        [100.0 * (trial["accuracy_se"] or 0.0) for trial in trials],
        fmt="o",
        ms=5,
        color=_BLUE,
        mfc=face,
        elinewidth=0.8,
        alpha=0.8,
        zorder=3,
        label=f"{words} (bar: standard error)",
    )


def _marks(panel: Any, document: Document, cost: str) -> None:
    """The card itself, the winner with its parameters, and what fresh seeds said."""
    at = document["trials"]
    if document["base"] is not None and at[document["base"]]["status"] == "done":
        base = at[document["base"]]
        panel.plot(base[cost], 100.0 * base["accuracy_mean"], "s", ms=11, mfc="none", mec=_ORANGE, mew=1.6, zorder=4)
        panel.plot([], [], "s", ms=8, mfc="none", mec=_ORANGE, mew=1.6, ls="", label="the card itself")
    for trial in at:
        said = trial.get("confirmation")
        if said is None or said["status"] == "failed":
            continue
        won = trial["number"] == document["winner"]
        name, colour = f"trial {trial['number']}", _GREEN if won else _RED
        panel.errorbar(
            said[cost],
            100.0 * said["accuracy_mean"],
            100.0 * (said["accuracy_se"] or 0.0),
            fmt="D",
            ms=6,
            color=colour,
            capsize=3,
            zorder=5,
            label=f"{'winner' if won else name}, {of(len(document['fresh_seeds']), 'fresh seed')}",
        )
    if document["winner"] is not None:
        winner = at[document["winner"]]
        panel.plot(winner[cost], 100.0 * winner["accuracy_mean"], "o", ms=12, mfc="none", mec=_RED, mew=1.8, zorder=6)
        words = "\n".join(f"{key}: {text(value)}" for key, value in winner["parameters"].items())
        panel.text(
            0.98, 0.03, f"winner\n{words}", transform=panel.transAxes, ha="right", va="bottom", color=_RED, fontsize=9
        )
