"""What `opu device fit` prints: the space, the trials with the best first, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.fit.task import COSTS
from benchmarks.sweep.tables import kinds

Document = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]

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
        cells = [str(number), *(text(trial["parameters"][key]) for key in keys)]
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
                *(text(trial["parameters"][key]) for key in keys),
                percent(trial),
                percent(fresh) if fresh is not None and fresh["status"] == "done" else "",
                *(f"{trial[quantity]:.4g}" for quantity in _ALWAYS),
                f"{trial['frame_rate_hz']:.0f}",
            ]
        )
    seeds, fresh_seeds = len(document["seeds"]), len(document["fresh_seeds"])
    accuracies = [f"accuracy [%], {of(seeds, 'seed')}", of(fresh_seeds, "fresh seed")]
    heads = [*accuracies, *(COSTS[quantity] for quantity in _ALWAYS), "frames [Hz]"]
    return ["card", *(f"`{key}`" for key in keys), *heads], rows


def text(value: Any) -> str:
    """A value of a key, short."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def of(count: int, noun: str) -> str:
    """A number of them, in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


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
        lines.append(f"trial {number}: {kind} by {of(count, 'fresh seed')}: {what}")
    if document["winner"] is not None:
        winner = document["trials"][document["winner"]]
        parameters = ", ".join(f"{key} = {text(value)}" for key, value in winner["parameters"].items())
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
    parameters = ", ".join(f"{key} = {text(value)}" for key, value in best["parameters"].items())
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
