"""Texts: vocabulary, parts, windows; the published files where they are at hand; what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest

from dfa.sources import SOURCES
from dfa.text import Corpus, characters, load_text, windows, words
from opu_sim.errors import ConfigError

DATA = Path(os.environ.get("OPU_DATA_DIR") or "no such folder")


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (DATA / name).is_dir(), reason=f"OPU_DATA_DIR has no {name}")


def spelt(corpus: Corpus, tokens: np.ndarray) -> list[str]:
    return [corpus.vocabulary[token] for token in tokens]


def test_characters_spell_the_text_in_three_parts() -> None:
    text = "To be, or not to be\n" * 5 + "é\u2028\U0001f600"
    corpus = characters("text", text)
    assert corpus.vocabulary == tuple(sorted(set(text)))
    parts = (corpus.train, corpus.validation, corpus.test)
    assert "".join(spelt(corpus, np.concatenate(parts))) == text
    assert [len(part) for part in parts] == [92, 5, 6]  # of 103
    assert all(part.dtype == np.int32 for part in parts)


def test_words_with_an_end_to_each_line() -> None:
    corpus = words("text", ["a b a\n\n b\u2028c a \n", "a d\n", "<unk> e\n"])
    assert spelt(corpus, corpus.train) == ["a", "b", "a", "<eos>", "<eos>", "b", "c", "a", "<eos>"]
    # Falling frequency, then code points: <eos> and a thrice, b twice, c once, <unk> never.
    assert corpus.vocabulary == ("<eos>", "a", "b", "c", "<unk>")
    assert spelt(corpus, corpus.validation) == ["a", "<unk>", "<eos>"]
    assert spelt(corpus, corpus.test) == ["<unk>", "<unk>", "<eos>"]


def test_the_rarest_words_are_unknown_in_a_smaller_vocabulary() -> None:
    texts = ["a b a\n\n b c a \n", "a c\n", "d\n"]
    corpus = words("text", texts, vocabulary=3)
    assert corpus.vocabulary == ("<eos>", "a", "<unk>")
    assert spelt(corpus, corpus.train) == ["a", "<unk>", "a", "<eos>", "<eos>", "<unk>", "<unk>", "a", "<eos>"]
    assert words("text", texts, vocabulary=5).vocabulary == words("text", texts).vocabulary


@pytest.mark.parametrize("offset", [0, 1, 3])
def test_windows_have_each_token_as_a_target_once(offset: int) -> None:
    tokens = np.arange(50, dtype=np.int32)
    cut = windows(tokens, 4, offset)
    inputs, targets = cut[:, :-1], cut[:, 1:]
    np.testing.assert_array_equal(targets, inputs + 1)
    np.testing.assert_array_equal(targets.ravel(), np.arange(offset + 1, offset + 1 + targets.size))
    assert 50 - (offset + 1 + targets.size) < 4
    assert windows(tokens[: offset + 5], 4, offset).shape == (1, 5)


def test_windows_that_cannot_be_had() -> None:
    tokens = np.arange(10, dtype=np.int32)
    for context, offset, message in ((10, 0, "context = 10: must be below 10"), (8, 2, "must be below 8")):
        with pytest.raises(ValueError, match=message):
            windows(tokens, context, offset)
    for offset in (-1, 4):
        with pytest.raises(ValueError, match=f"offset = {offset}: must be 0 to context - 1 = 3"):
            windows(tokens, 4, offset)


@needs("tinyshakespeare")
def test_tinyshakespeare() -> None:
    corpus = load_text("tinyshakespeare")
    assert len(corpus.vocabulary) == SOURCES["tinyshakespeare"].classes == 65
    parts = (corpus.train, corpus.validation, corpus.test)
    assert sum(map(len, parts)) == 1115394
    assert len(corpus.train) == 1003854  # nine tenths, by position
    assert abs(len(corpus.validation) - len(corpus.test)) <= 1
    assert "".join(spelt(corpus, corpus.train[:14])) == "First Citizen:"


@needs("wikitext-2")
def test_wikitext_2() -> None:
    corpus = load_text("wikitext-2")
    # The counts that everyone who reads these files reports, with <eos> after each line.
    assert [len(part) for part in (corpus.train, corpus.validation, corpus.test)] == [2088628, 217646, 245569]
    assert len(corpus.vocabulary) == SOURCES["wikitext-2"].classes == 33278
    assert spelt(corpus, corpus.validation[:6]) == ["<eos>", "=", "Homarus", "gammarus", "=", "<eos>"]


def one_line(info: pytest.ExceptionInfo[ConfigError], *parts: object) -> None:
    message = str(info.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPU_DATA_DIR", str(tmp_path))
    with pytest.raises(ConfigError) as info:
        load_text("tinyshakespeare")
    one_line(info, tmp_path / "tinyshakespeare" / "input.txt", "no such file", "OPU_DATA_DIR is set")
    monkeypatch.delenv("OPU_DATA_DIR")
    monkeypatch.setenv("OPU_CACHE_DIR", str(tmp_path))
    with pytest.raises(ConfigError) as info:
        load_text("wikitext-2")
    one_line(info, tmp_path / "wikitext-2" / "wiki.train.tokens", "set OPU_DATA_DIR")


@needs("tinyshakespeare")
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"f" + data[1:], lambda data: b""])
def test_truncated_or_changed_file(damage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (DATA / "tinyshakespeare" / "input.txt").read_bytes()
    path = tmp_path / "tinyshakespeare" / "input.txt"
    path.parent.mkdir()
    monkeypatch.setenv("OPU_DATA_DIR", str(tmp_path))
    path.write_bytes(damage(whole))
    with pytest.raises(ConfigError) as info:
        load_text("tinyshakespeare")
    one_line(info, path, f"{len(damage(whole))} bytes with SHA-256", "truncated or changed")
    # Control: the whole file is taken.
    path.write_bytes(whole)
    assert load_text("tinyshakespeare").name == "tinyshakespeare"


def test_unknown_name_and_vocabulary() -> None:
    with pytest.raises(ConfigError) as info:
        load_text("enwik8")
    one_line(info, "'enwik8'", "tinyshakespeare", "wikitext-2")
    for name, vocabulary, allowed in (("wikitext-2", 1, "2 to 33278"), ("wikitext-2", 33279, "2 to 33278")):
        with pytest.raises(ConfigError) as info:
            load_text(name, vocabulary=vocabulary)
        one_line(info, f"vocabulary = {vocabulary}", allowed)
    with pytest.raises(ConfigError) as info:
        load_text("tinyshakespeare", vocabulary=65)
    one_line(info, "vocabulary = 65", "left out")
