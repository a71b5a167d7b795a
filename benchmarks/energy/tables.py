"""Tables and closing lines of an `energy.measure` document, for the terminal and for README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Table = tuple[list[str], list[list[str]]]


def shown(document: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """Tables of the terminal, each under a title."""
    size = document["workload"]
    workload = f"{size['vectors']:,} vectors {size['n_in']:,} → {size['n_out']:,}"
    out = [(workload, rows(document)), ("Where the joules go", stages(document))]
    if document["crossovers"]:
        title = f"D → D projections, {document['sweep']['vectors']:,} in a call, {document['precision']} precision"
        out.append((title, crossovers(document)))
    if document["training"]["devices"]:
        out += [
            ("Training a Transformer, a model: parameters from which on optics is ahead", training(document)),
            ("The same, deeper or wider", families(document)),
            ("One assumption changed at a time, an error vector a token", sensitivity(document)),
        ]
        out.append(("What the model assumes", assumptions(document)))
    return [*out, ("Electronic cards", sources(document))]


def rows(document: Mapping[str, Any]) -> Table:
    """The workload on each device."""
    header = ["device", "operation", "s", "J", "W", "TeraOPS delivered", "optical", "peak", "utilisation", "J/op"]
    lines = []
    for row in document["rows"]:
        name = [_label(row), row["operation"]]
        if row["seconds"] is None:
            lines.append([*name, "does not fit", *[""] * 7])
            continue
        keys = ("seconds", "joules", "watts", "teraops_delivered", "teraops_optical", "teraops_peak")
        lines.append([*name, *(_number(row[key]) for key in keys), *(f"{row[k]:.2g}" for k in _RATIOS)])
    return header, lines


_RATIOS = ("utilisation", "joules_per_op")


def stages(document: Mapping[str, Any]) -> Table:
    """Joules by stage of the optical devices."""
    lines = []
    for row in document["rows"]:
        if row.get("stage_joules"):
            parts = sorted(row["stage_joules"].items(), key=lambda part: -part[1])
            text = ", ".join(f"{name} {_number(joules)}" for name, joules in parts)
            lines.append([_label(row), row["operation"], text])
    return ["device", "operation", "joules by stage"], lines


def crossovers(document: Mapping[str, Any]) -> Table:
    """Sizes D from which on a device needs less time, and less energy, than each card: one line a device."""
    found: dict[tuple[str, str], dict[tuple[str, str], dict[str, str]]] = {}
    columns: list[tuple[str, str]] = []
    for entry in document["crossovers"]:
        column = entry["against"], entry["basis"].partition(",")[0]
        if column not in columns:
            columns.append(column)
        cell = found.setdefault((_label(entry), entry["operation"]), {}).setdefault(column, {})
        text = _sizes(entry)
        before = cell.get(entry["quantity"])
        cell[entry["quantity"]] = text if before is None else before if before == text else f"{before} ({text})"
    names = [against if basis == "roofline" else f"{against}, {basis}" for against, basis in columns]
    lines = []
    for (label, operation), cells in found.items():
        texts = [f"{cells[c]['time']} / {cells[c]['energy']}" if c in cells else "" for c in columns]
        lines.append([label, operation, *texts])
    return ["time / energy from D =", "operation", *names], lines


def training(document: Mapping[str, Any], device: str | None = None) -> Table:
    """Parameters from which on optical training is ahead of backpropagation on each card."""
    header = ["device, card", "optimiser off-loaded", "weights off-loaded", "ahead in time / energy, an error a token"]
    header += ["an error a sequence", "at 2.7 B: backpropagation s a step", "optical s a step", "µs an error, needed"]
    lines = []
    for part in _parts(document, device):
        for card in part["cards"]:
            token, sequence = card["token"], card["sequence"]
            at = token["at_published"]
            lines.append(
                [
                    f"{part['device']}, {card['against']}",
                    count(card["optimiser_off_loaded_from"]),
                    count(card["weights_off_loaded_from"]),
                    f"{count(token['time'])} / {count(token['energy'])}",
                    f"{count(sequence['time'])} / {count(sequence['energy'])}",
                    f"{at['bp']['seconds']:.3g}",
                    f"{at['odfa']['seconds']:.3g}",
                    f"{1e6 * at['device_s_per_vector']:,.0f}, {1e6 * at['needed_s_per_vector']:.3g}",
                ]
            )
    return header, lines


def families(document: Mapping[str, Any], device: str | None = None) -> Table:
    """The same crossing in depth and in width, an error vector a token and a sequence; times alone."""
    lines: dict[tuple[str, str], list[str]] = {}
    cards: list[str] = []
    for part in _parts(document, device):
        for entry in part["families"]:
            if entry["against"] not in cards:
                cards.append(entry["against"])
            line = lines.setdefault((part["device"], entry["family"]), [])
            line.append(f"{count(entry['token']['time'])} / {count(entry['sequence']['time'])}")
    return ["ahead in time, an error a token / a sequence", *cards], [
        [f"{name}, {kind}", *cells] for (name, kind), cells in lines.items()
    ]


def sensitivity(document: Mapping[str, Any], device: str | None = None) -> Table:
    """What one change of the assumptions does to the crossing in time, an error vector a token."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    cards: list[str] = []
    for part in _parts(document, device):
        base = {card["against"]: card["token"] for card in part["cards"]}
        changes = [{"against": name, "change": "as assumed", "time": card["time"]} for name, card in base.items()]
        for entry in [*changes, *part["sensitivity"]]:
            if entry["against"] not in cards:
                cards.append(entry["against"])
            lines.setdefault((part["device"], entry["change"]), {})[entry["against"]] = count(entry["time"])
    return ["ahead in time from", *cards], [
        [f"{name}: {change}", *(cells.get(card, "no such link") for card in cards)]
        for (name, change), cells in lines.items()
    ]


def notes(document: Mapping[str, Any]) -> list[str]:
    """What no table says: why rows are empty, where measured figures come from, the published crossing."""
    out = [
        document["conventions"],
        "In the tables: * the card's memory cannot hold the matrix; in brackets by a power law through the measured "
        "points; – nowhere that was looked.",
    ]
    out += [f"{_label(row)}: {row['reason']}" for row in document["rows"] if row.get("reason")]
    out += [f"measured: {table['source']}. {table['note']}" for table in document["measurements"]]
    published = document["training"]["published"]
    out.append(f"published crossing near {count(published['parameters'])} parameters: {published['source']}")
    return out


def assumptions(document: Mapping[str, Any]) -> Table:
    """What the training model takes for granted."""
    given = document["training"]["assumptions"]
    return ["assumption", "value", "source"], [[a["key"], str(a["value"]), a["source"]] for a in given]


def sources(document: Mapping[str, Any]) -> Table:
    """Every figure of the electronic cards."""
    lines = [
        [f"{card['name']} {figure['key']}", f"{figure['value']:g}", figure["source"]]
        for card in document["accelerators"]
        for figure in card["figures"]
    ]
    return ["figure on the card", "value", "source"], lines


def _parts(document: Mapping[str, Any], device: str | None) -> Sequence[Mapping[str, Any]]:
    return [part for part in document["training"]["devices"] if device in (None, part["device"])]


def _label(entry: Mapping[str, Any]) -> str:
    return f"{entry['device']} ({entry['variant']})" if entry.get("variant") else str(entry["device"])


def _sizes(entry: Mapping[str, Any]) -> str:
    start, end = entry["size"], entry["until"]
    if start is None:
        return "–"
    if start == entry["looked_at"][0]:
        text = "all" if end is None else f"up to {count(end)}"
    else:
        text = count(start) if end is None else f"{count(start)} to {count(end)}"
    return text if entry["fits"] else f"{text}*"


def count(value: float | None) -> str:
    """A size or a number of parameters: 47.2 k, 2.7 B; a dash for none."""
    if value is None:
        return "–"
    for scale, unit in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}" if value < 1e6 else f"{value:.3g}"
