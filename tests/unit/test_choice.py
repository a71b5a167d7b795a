"""Which medium a shape gets where the card leaves it open."""

import os
from pathlib import Path

import numpy as np
import pytest

from opu_sim import DeviceError, load_device
from opu_sim.cards import load_card
from opu_sim.medium import make_medium, transmission
from opu_sim.medium.choice import choose, options
from opu_sim.medium.planes import Planes
from opu_sim.medium.transmission import half_of_memory

CARD = load_card("lighton-aurora")
GIB = 2.0**30


@pytest.mark.parametrize(
    ("shape", "changes", "memory", "kind"),
    [
        ((10, 2048), False, 8 * GIB, "stored"),
        ((784, 10_000), False, 8 * GIB, "stored"),
        ((784, 10_000), True, 8 * GIB, "stored"),
        ((10_000, 10_000), False, 8 * GIB, "wave-optics"),
        ((1_039_680, 2_228_224), False, 8 * GIB, "wave-optics"),
        # 10 columns of two million outputs: 160 MB of entries are quicker than any transform, made again each time too.
        ((10, 2_000_000), False, 8 * GIB, "stored"),
        ((10, 2_000_000), False, 0.1 * GIB, "streamed"),
        # What is streamed cannot change with time.
        ((10, 2_000_000), True, 0.1 * GIB, "stored"),  # nothing fits: it takes least, and will say what it lacks
    ],
)
def test_fastest_that_fits(shape: tuple[int, int], changes: bool, memory: float, kind: str) -> None:
    assert choose(CARD.medium, *shape, changes=changes, memory=memory) == kind


def test_options_are_ordered_and_say_what_they_keep() -> None:
    found = {option.kind: option for option in options(CARD.medium, 2000, 3000, changes=False)}
    assert list(found) == sorted(found, key=lambda kind: found[kind].seconds)
    assert found["stored"].bytes == 8 * 2000 * 3000
    assert found["wave-optics"].bytes == Planes.of(CARD.medium, 2000, 3000).bytes()
    assert found["streamed"].bytes < found["wave-optics"].bytes < found["stored"].bytes


def test_planes_take_what_they_are_said_to() -> None:
    medium = make_medium(
        CARD.model_copy(update={"medium": CARD.medium.model_copy(update={"kind": "wave-optics"})}), 0, 9000, 4000
    )
    kept = medium._memory.nbytes + sum(mask.nbytes for mask in medium._masks)
    said = medium.planes.bytes(len(medium._memory)) - 8 * medium.modes  # the phases of one screen are gone by now
    # The first screen covers the copies of the inputs alone, half of its plane.
    assert 0.75 * said < kept <= said


def test_a_card_has_its_way_and_an_open_one_says_what_it_got() -> None:
    for kind in ("stored", "streamed", "wave-optics"):
        assert load_device("lighton-aurora", n_in=20, n_out=30, **{"medium.kind": kind}).report()["medium"] == kind
    chosen = load_device("lighton-aurora", n_in=20, n_out=30)
    stored = load_device("lighton-aurora", n_in=20, n_out=30, **{"medium.kind": "stored"})
    assert chosen.report()["medium"] == "stored"
    assert np.array_equal(chosen.matrix(), stored.matrix())


def test_a_container_s_limit_counts_as_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = 0.5 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(transmission, "_CONTAINER_LIMIT", limit)
    assert half_of_memory() == whole  # no control groups
    limit.write_text("max\n")
    assert half_of_memory() == whole
    limit.write_text(f"{2**28}\n")
    assert half_of_memory() == 2**27
    with pytest.raises(DeviceError, match=r"takes 0\.7 GiB; allowed: 0\.1 GiB"):
        load_device("lighton-aurora", n_in=10_000, n_out=10_000, **{"medium.kind": "stored"})
