"""Text for language models: the characters of tinyshakespeare, the words of WikiText-2, as integers in three parts.

Files are where `dfa.sources` looks for them. Text has no header that could tell a truncated file from a whole one, so
its SHA-256 is compared with the one of the published file.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dfa.sources import SOURCES, Source, source_file
from opu_sim.errors import ConfigError

Tokens = NDArray[np.int32]

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text in three parts that follow each other, int32 [token] each; a token is an index into `vocabulary`."""

    name: str
    vocabulary: tuple[str, ...]
    train: Tokens
    validation: Tokens
    test: Tokens


def load_text(name: str, *, vocabulary: int | None = None) -> Corpus:
    """Load a text, cut into tokens.

    Parameters
    ----------
    name
        "tinyshakespeare": characters, see `characters`. "wikitext-2": words, see `words`. A path that ends in ".txt":
        the characters of any text in UTF-8.
    vocabulary
        Number of words to keep; None keeps all. Perplexities over another vocabulary cannot be compared.

    Raises
    ------
    ConfigError
        Unknown name, a file that is missing or not the published one, or a vocabulary that cannot be had.
    """
    if name.endswith(".txt"):
        if vocabulary is not None:
            raise ConfigError(f"data.vocabulary = {vocabulary}: must be left out for {name}")
        return characters(name, _decoded(Path(name)))
    texts = [source.name for source in SOURCES.values() if source.kind == "text"]
    if name not in texts:
        raise ConfigError(f"{name!r}: no such text; there are {', '.join(texts)}; or give the path of a .txt file")
    source = SOURCES[name]
    if vocabulary is not None and (name == "tinyshakespeare" or not 2 <= vocabulary <= source.classes):
        allowed = f"2 to {source.classes}" if name == "wikitext-2" else "left out"
        raise ConfigError(f"data.vocabulary = {vocabulary}: must be {allowed} for {name}")
    contents = [_read(source, file) for file in source.files]
    return characters(name, contents[0]) if name == "tinyshakespeare" else words(name, contents, vocabulary)


def characters(name: str, text: str) -> Corpus:
    """Characters in code point order; the first nine tenths train, the last tenth is halved: validation, test."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    distinct, tokens = np.unique(codes, return_inverse=True)
    validation_start, test_start = len(tokens) * 18 // 20, len(tokens) * 19 // 20
    train, validation, test = np.split(tokens.astype(np.int32), [validation_start, test_start])
    return Corpus(name, tuple(chr(code) for code in distinct), train, validation, test)


def words(name: str, texts: Sequence[str], vocabulary: int | None = None) -> Corpus:
    """Words between blanks, and `<eos>` after each line; three texts: train, validation, test.

    The vocabulary is that of the training text with `<unk>`, most frequent first and equals in code point order; any
    other word is `<unk>`, and so are the rarest where `vocabulary` says how many to keep, `<unk>` among them.
    """
    # Not splitlines, which also breaks at characters that the text has inside its lines.
    lines = [text.removesuffix("\n").split("\n") for text in texts]
    parts = [list(chain.from_iterable((*line.split(), END_OF_LINE) for line in text)) for text in lines]
    counts = Counter(parts[0])
    counts[UNKNOWN] += 0
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    kept = ranked[:vocabulary]
    if UNKNOWN not in kept:
        kept[-1] = UNKNOWN
    index = {word: token for token, word in enumerate(kept)}
    unknown = index[UNKNOWN]
    train, validation, test = (
        np.fromiter((index.get(w, unknown) for w in part), np.int32, len(part)) for part in parts
    )
    return Corpus(name, tuple(kept), train, validation, test)


def windows(tokens: Tokens, context: int, offset: int = 0) -> Tokens:
    """Neighbouring windows [window, context + 1] of a text, as a read-only view: inputs w[:, :-1], targets w[:, 1:].

    The last token of a window is the first of the next, so each token from `offset` + 1 on is a target once. Fewer
    than `context` tokens are left over at the end, and in front where `offset` (below `context`) is not 0; an offset
    of its own for each epoch shows every token in every position.

    Raises
    ------
    ValueError
        The text is shorter than one window, or `offset` is out of range.
    """
    if not 0 <= offset < context:
        raise ValueError(f"offset = {offset}: must be 0 to context - 1 = {context - 1}")
    if len(tokens) < offset + context + 1:
        raise ValueError(f"context = {context}: must be below {len(tokens) - offset}, the tokens of the text")
    view: Tokens = sliding_window_view(tokens, context + 1)[offset::context]
    return view


def _read(source: Source, file: str) -> str:
    path = source_file(source, file)
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != source.files[file]:
        raise ConfigError(
            f"{path}: {len(data)} bytes with SHA-256 {found[:16]}..., expected {source.files[file][:16]}...: "
            "truncated or changed"
        )
    return data.decode()


def _decoded(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; must be a text in UTF-8") from None
