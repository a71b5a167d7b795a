"""Citation graphs with the Planetoid split: 20 labelled nodes a class, 500 for validation, 1000 for the test.

A node is a paper, its features say which words of a dictionary occur in it, an edge is a citation. One file a graph, in
`planetoid/` below the data folder: a `.npz` of plain arrays with the features as CSR.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dfa.sources import SOURCES, source_file
from opu_sim.errors import ConfigError

_KEYS = ("x_data", "x_indices", "x_indptr", "x_shape", "y", "edges", "train_idx", "val_idx", "test_idx", "num_classes")


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph with features and with labels on some of its nodes; `*_x` are numbers of nodes, `*_y` their classes.

    `features` is float32 CSR [node, feature], each row divided by its sum; `adjacency` is float32 CSR [node, node],
    D^-1/2 (A + I) D^-1/2 with D the row sums of A + I, symmetric.
    """

    name: str
    classes: int
    features: Any
    adjacency: Any
    train_x: NDArray[np.int64]
    train_y: NDArray[np.int64]
    validation_x: NDArray[np.int64]
    validation_y: NDArray[np.int64]
    test_x: NDArray[np.int64]
    test_y: NDArray[np.int64]


def normalised_adjacency(edges: NDArray[np.integer[Any]], nodes: int) -> Any:
    """D^-1/2 (A + I) D^-1/2 as float32 CSR [node, node], for undirected edges.

    Parameters
    ----------
    edges : integers [2, edge]; a pair may stand in either order, or in both, and counts once, as a self-loop does.
    """
    a, b = np.asarray(edges, np.int64)
    loops = np.arange(nodes)
    rows, columns = np.concatenate([a, b, loops]), np.concatenate([b, a, loops])
    matrix = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(nodes, nodes))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    scale = sparse.diags_array(1.0 / np.sqrt(matrix.sum(axis=1)))
    return sparse.csr_array(scale @ matrix @ scale, dtype=np.float32)


def row_normalised(features: Any) -> Any:
    """Each row divided by its sum, float32 CSR; rows without an entry stay empty."""
    total = np.asarray(features.sum(axis=1), np.float64).ravel()
    scale = sparse.diags_array(np.divide(1.0, total, out=np.zeros_like(total), where=total != 0))
    return sparse.csr_array(scale @ features, dtype=np.float32)


def load_graph(name: str, *, validation: int) -> Graph:
    """Load a citation graph; its split is fixed, and `validation` must be the size of its validation part.

    Raises
    ------
    ConfigError
        A file that is missing, damaged or not whole, or another size of the validation part: one line.
    """
    source = SOURCES[name]
    (file,) = source.files
    path = source_file(source, file)
    arrays = _arrays(path)
    held = len(arrays["val_idx"])
    if validation != held:
        raise ConfigError(f"data.validation = {validation}: must be {held} for {name}, whose split is fixed")
    nodes, features = (int(size) for size in arrays["x_shape"])
    x = sparse.csr_array((arrays["x_data"], arrays["x_indices"], arrays["x_indptr"]), shape=(nodes, features))
    labels = arrays["y"].astype(np.int64)
    parts = [arrays[key].astype(np.int64) for key in ("train_idx", "val_idx", "test_idx")]
    (train, held_out, test), (train_y, held_y, test_y) = parts, [labels[part] for part in parts]
    return Graph(
        name=name,
        classes=int(arrays["num_classes"]),
        features=row_normalised(x),
        adjacency=normalised_adjacency(arrays["edges"], nodes),
        train_x=train,
        train_y=train_y,
        validation_x=held_out,
        validation_y=held_y,
        test_x=test,
        test_y=test_y,
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a graph's file, checked against each other."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files if key in _KEYS}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{path}: cannot be read: {reason}; expected one whole .npz file") from None
    if missing := [key for key in _KEYS if key not in arrays]:
        raise ConfigError(f"{path}: {missing[0]} is missing; expected {', '.join(_KEYS)}")
    if fault := _fault(arrays):
        raise ConfigError(f"{path}: {fault}")
    return arrays


def _fault(arrays: dict[str, NDArray[Any]]) -> str:
    """The first thing that does not fit, or nothing."""
    shape, y = arrays["x_shape"], arrays["y"]
    if shape.shape != (2,) or min(shape) < 1:
        return f"x_shape = {shape.tolist()}: expected the numbers of nodes and of features"
    nodes, features = (int(size) for size in shape)
    if y.shape != (nodes,) or arrays["x_indptr"].shape != (nodes + 1,):
        return f"{y.shape} labels and {arrays['x_indptr'].shape} row pointers: expected {nodes} and {nodes + 1}"
    count = int(arrays["x_indptr"][-1])
    if arrays["x_data"].shape != (count,) or arrays["x_indices"].shape != (count,):
        return f"{arrays['x_data'].shape} features at {arrays['x_indices'].shape} places: expected {count}"
    if arrays["edges"].ndim != 2 or len(arrays["edges"]) != 2:
        return f"edges of shape {arrays['edges'].shape}: expected [2, edge]"
    for key, top in (("x_indices", features), ("edges", nodes), ("train_idx", nodes), ("val_idx", nodes)):
        if arrays[key].size and not 0 <= arrays[key].min() <= arrays[key].max() < top:
            return f"{key} spans {arrays[key].min()}..{arrays[key].max()}: expected 0 to {top - 1}"
    classes = int(arrays["num_classes"])
    for key in ("train_idx", "val_idx", "test_idx"):
        part = arrays[key]
        if part.ndim != 1 or not len(part) or len(np.unique(part)) != len(part) or part.max() >= nodes:
            return f"{key}: expected distinct numbers of nodes below {nodes}"
        labels = y[part]
        if labels.min() < 0 or labels.max() >= classes:
            return f"{key}: labels span {labels.min()}..{labels.max()}, expected 0 to {classes - 1}"
    return ""
