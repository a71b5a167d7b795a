"""What `opu device fit` shows: the space, the trials with the best first, the verdict, cost against accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from benchmarks.fit import COSTS
from benchmarks.sweep.tables import kinds
from dfa.plots import save_png

Document = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]

_BLUE, _ORANGE, _GREY, _RED, _GREEN = "#1f5fa8", "#d9731a", "#777777", "#c0272d", "#2b7a3d"
_TICKS = (0, 20, 40, 60, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 99, 100)
_SLACK = 0.5
"""Percent beyond 100 where the axis of accuracy ends."""
_ALWAYS = ("joules", "watts", "device_s")
_MOST_COMPLAINTS = 4


def space_table(document: Document) -> Table:
    """The keys that were searched, and those that were set."""
    rows = []
    for entry in document["space"]:
        if "values" in entry:
            words = ", ".join(str(value) for value in entry["values"])
        elif isinstance(entry["low"], Mapping):
            words = ", ".join(f"{low:g} .. {entry['high'][name]:g} ({name})" for name, low in entry["low"].items())
        else:
            words = f"{entry['low']:g} .. {entry['high']:g}"
        rows.append([entry["key"], words + (", by ratios" if entry.get("log") else ""), entry["why"]])
    rows += [[entry["key"].removeprefix("device."), str(entry["value"]), entry["why"]] for entry in document["fixed"]]
    return ["key", "searched in", "why"], rows


def table(document: Document) -> Table:
    """A line a configuration, best first: feasible ones by cost, then the others by accuracy, then failed ones."""
    keys = [entry["key"] for entry in document["space"]]
    costs = list(dict.fromkeys([document["cost"], *_ALWAYS]))
    by_number = {trial["number"]: trial for trial in document["trials"]}
    rows = []
    for number in document["ranking"]:
        trial = by_number[number]
        cells = [str(number), *(_text(trial["parameters"][key]) for key in keys)]
        if trial["status"] == "failed":
            rows.append([*cells, *["–"] * (len(costs) + 2), "failed"])
            continue
        numbers = [f"{trial[name]:.4g}" for name in costs]
        rows.append([*cells, percent(trial), *numbers, f"{trial['frame_rate_hz']:.0f}", _verdict(trial, document)])
    heads = [f"{COSTS[name]} (cost)" if name == document["cost"] else COSTS[name] for name in costs]
    return ["trial", *(key.partition(".")[2] for key in keys), "accuracy, %", *heads, "frames, Hz", ""], rows


def short_table(document: Document) -> Table:
    """The winner beside the card that the search began with."""
    keys = [entry["key"] for entry in document["space"]]
    names = {"winner": document["winner"], f"{document['device']}, free-running": document["base"]}
    rows = []
    for name, number in names.items():
        if number is None or document["trials"][number]["status"] == "failed":
            continue
        trial = document["trials"][number]
        fresh = trial["confirmation"]
        rows.append(
            [
                name,
                *(_text(trial["parameters"][key]) for key in keys),
                percent(trial),
                percent(fresh) if fresh is not None and fresh["status"] == "done" else "",
                *(f"{trial[quantity]:.4g}" for quantity in _ALWAYS),
                f"{trial['frame_rate_hz']:.0f}",
            ]
        )
    seeds, fresh_seeds = len(document["seeds"]), len(document["fresh_seeds"])
    accuracies = [f"accuracy [%], {seeds} seeds", f"{fresh_seeds} fresh seeds"]
    heads = [*accuracies, *(COSTS[quantity] for quantity in _ALWAYS), "frames [Hz]"]
    return ["card", *(f"`{key}`" for key in keys), *heads], rows


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def percent(summary: Mapping[str, Any]) -> str:
    """Mean accuracy and its standard error."""
    mean, error = 100.0 * summary["accuracy_mean"], summary["accuracy_se"]
    return f"{mean:.2f}" if error is None else f"{mean:.2f} ± {100.0 * error:.2f}"


def _verdict(trial: Mapping[str, Any], document: Document) -> str:
    words = ["the card itself"] if trial["number"] == document["base"] else []
    if trial["number"] == document["winner"]:
        words.append("winner")
    elif trial["confirmation"] is not None:
        words.append("not confirmed")
    else:
        words.append("feasible" if trial["feasible"] else "too low")
    return ", ".join(words)


def verdict(document: Document) -> list[str]:
    """Lines that close the table: the winner, and what fresh seeds said of it and of those before it."""
    lines = []
    count = len(document["fresh_seeds"])
    for number in document["ranking"]:
        trial = document["trials"][number]
        said = trial.get("confirmation")
        if said is None:
            continue
        what = said["error"] if said["status"] == "failed" else f"{percent(said)} %, {_cost(said, document)}"
        kind = "confirmed" if said["feasible"] else "not confirmed"
        lines.append(f"trial {number}: {kind} by {count} fresh seeds: {what}")
    if document["winner"] is not None:
        winner = document["trials"][document["winner"]]
        parameters = ", ".join(f"{key} = {_text(value)}" for key, value in winner["parameters"].items())
        lines.append(
            f"winner: trial {document['winner']}: {parameters}; {percent(winner)} %, {_cost(winner, document)}"
        )
        base = document["base"]
        if base is not None and base != document["winner"] and document["trials"][base]["status"] == "done":
            own = document["trials"][base]
            ratio = winner[document["cost"]] / own[document["cost"]]
            lines.append(
                f"the card itself: {percent(own)} %, {_cost(own, document)}; the winner costs {ratio:.3g} of it"
            )
    return lines


def nothing_found(document: Document) -> str:
    """The one line where no configuration was confirmed: the best accuracy, and how near it came."""
    done = [trial for trial in document["trials"] if trial["status"] == "done"]
    best = max(done, key=lambda trial: (trial["accuracy_mean"], -trial["number"]))
    wanted = f"{100.0 * document['accuracy']:g} %"
    parameters = ", ".join(f"{key} = {_text(value)}" for key, value in best["parameters"].items())
    reached = f"best {percent(best)} % (trial {best['number']}: {parameters})"
    if any(trial["feasible"] for trial in done):
        return f"no card of {len(document['trials'])} trials reaches {wanted} with fresh seeds, too; {reached}"
    return f"no card of {len(document['trials'])} trials reaches {wanted}; {reached}"


def warned(texts: Sequence[str]) -> list[str]:
    """What devices warned of: an example of each kind, and the number of runs."""
    return [f"warning, {count} runs, such as: {text}" for text, count in kinds(texts)][:_MOST_COMPLAINTS]


def failures(document: Document) -> list[str]:
    """Why trials failed, at most some lines."""
    lines = [f"trial {t['number']} failed: {t['error']}" for t in document["trials"] if t["status"] == "failed"]
    rest = len(lines) - _MOST_COMPLAINTS
    return lines if rest <= 0 else [*lines[:_MOST_COMPLAINTS], f"{rest} more trials failed, see fit.json"]


def _cost(summary: Mapping[str, Any], document: Document) -> str:
    return f"{summary[document['cost']]:.4g} {COSTS[document['cost']]}"


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
        f"{title}{f', {failed} failed' if failed else ''}, {len(document['seeds'])} seeds each", fontsize=11
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
            label=f"{'winner' if won else name}, {len(document['fresh_seeds'])} fresh seeds",
        )
    if document["winner"] is not None:
        winner = at[document["winner"]]
        panel.plot(winner[cost], 100.0 * winner["accuracy_mean"], "o", ms=12, mfc="none", mec=_RED, mew=1.8, zorder=6)
        words = "\n".join(f"{key}: {_text(value)}" for key, value in winner["parameters"].items())
        panel.text(
            0.98, 0.03, f"winner\n{words}", transform=panel.transAxes, ha="right", va="bottom", color=_RED, fontsize=9
        )
