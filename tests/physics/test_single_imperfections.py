"""Turning a single imperfection off changes what its physics says, and nothing else.

Two tables over all keys of imperfections. `TOUCHES`: the parts of the device's physics that a key may change; all
others must stay the same to the last bit, because every noise source has a stream of its own. `LAWS`: one figure a
key, with the value that its closed form says. A last test reads the cards' models, so that no key is missing here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from opu_sim import load_device
from opu_sim.cards import CameraCard, DmdCard, FaultsCard, LaserCard, MediumCard, RecoveryCard
from opu_sim.opu import Opu

N_IN, N_OUT = 32, 300
HOUR_S = 3600.0

# A device without any imperfection that has a switch.
PERFECT: dict[str, Any] = {
    "laser.rin_db_per_hz": None,
    "dmd.contrast": None,
    "medium.frame_decorrelation": 0.0,
    "camera.prnu": 0.0,
    "camera.dsnu_e": 0.0,
    "camera.read_noise_e": 0.0,
    "camera.dark_current_e_per_s": 0.0,
    "camera.dark_current_doubling_c": None,
    "camera.dark_reference_c": None,
    "recovery.calibration_frames": 2,
}
HOLOGRAPHIC: dict[str, Any] = {"recovery.reference_fill": 0.2}
STEPPING: dict[str, Any] = {"recovery.method": "phase-stepping", "recovery.reference_fill": 0.2}

# Key -> (card, what it is switched on with, further keys that it needs in either case).
ON: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "laser.rin_db_per_hz": ("lighton-aurora", -90.0, {}),
    "laser.linewidth_mhz": ("lighton-aurora", 3000.0, {"medium.path_spread_mm": 5.0}),
    "dmd.contrast": ("lighton-aurora", 100.0, {}),
    "dmd.flatness_waves": ("lighton-aurora", 0.3, {}),
    "dmd.warm_up_decorrelation": ("lighton-aurora", 0.1, {}),
    "dmd.temperature_control": (
        "lighton-aurora",
        0.3,
        {"dmd.warm_up_decorrelation": 0.1, "dmd.warm_up_time_s": 1080.0},
    ),
    "dmd.warm_up_rate_per_s": (
        "lighton-aurora",
        1e-6,
        {"dmd.warm_up_decorrelation": 0.1, "dmd.warm_up_time_s": 1080.0},
    ),
    "medium.frame_decorrelation": ("lighton-aurora", 0.01, {}),
    "medium.polarisation_degree": ("lighton-aurora", 0.5, {}),
    "medium.path_spread_mm": ("lighton-aurora", 5.0, {"laser.linewidth_mhz": 3000.0}),
    "medium.drift_time_s": ("lighton-aurora", 2e4, {}),
    "camera.prnu": ("lighton-aurora", 0.02, {}),
    "camera.dsnu_e": ("lighton-aurora", 20.0, {}),
    "camera.read_noise_e": ("lighton-aurora", 13.0, {}),
    "camera.dark_current_e_per_s": ("lighton-aurora", 1e5, {}),
    "camera.temperature_c": (
        "lighton-aurora",
        41.0,
        {
            "camera.dark_current_e_per_s": 1e5,
            "camera.dark_reference_c": 25.0,
            "camera.dark_current_doubling_c": 8.0,
        },
    ),
    "camera.hot_pixels": ("lighton-aurora", 0.05, {}),
    "camera.dead_pixels": ("lighton-aurora", 0.05, {}),
    "recovery.filter_edge": ("light-in-the-loop", 0.3, HOLOGRAPHIC),
    "recovery.reference_edge_intensity": ("light-in-the-loop", 0.5, HOLOGRAPHIC),
    "recovery.reference_roughness": ("light-in-the-loop", 0.1, HOLOGRAPHIC),
    "recovery.reference_phase_noise_rad": ("lighton-aurora", 0.5, STEPPING),
    "recovery.reference_phase_jitter_rad": ("lighton-aurora", 0.2, STEPPING),
    "faults.gain_jump": ("lighton-aurora", 0.08, {"timing.pass_patterns": 10}),
    "faults.dropped_frames": ("lighton-aurora", 0.1, {}),
    "faults.duplicated_frames": ("lighton-aurora", 0.1, {}),
    "faults.stuck_on_mirrors": ("lighton-aurora", 0.02, {}),
    "faults.stuck_off_mirrors": ("lighton-aurora", 0.05, {}),
    "faults.vibration_rad": ("lighton-aurora", 0.3, STEPPING),
}
# Keys that go with another one and switch nothing by themselves.
COMPANIONS = {
    "camera.hot_pixels": {"camera.hot_pixel_current_e_per_s": 1e6},
    "dmd.warm_up_decorrelation": {"dmd.warm_up_time_s": 1080.0},
}

# What a key may change beside its own figures. The effective matrix follows whatever shapes the speckle or the gain.
TOUCHES: dict[str, set[str]] = {
    "laser.rin_db_per_hz": {"energy", "frames", "matrix"},
    "laser.linewidth_mhz": {"contrast", "speckle", "frames", "matrix"},
    "dmd.contrast": {"leakage", "speckle", "frames", "matrix"},
    "dmd.flatness_waves": {"transmission", "later", "speckle", "frames", "matrix"},
    "dmd.warm_up_decorrelation": {"later"},
    "dmd.temperature_control": {"later"},
    "dmd.warm_up_rate_per_s": {"later"},
    "medium.frame_decorrelation": {"jitter", "speckle", "frames", "matrix"},
    "medium.polarisation_degree": {"contrast", "speckle", "frames", "matrix"},
    "medium.path_spread_mm": {"contrast", "speckle", "frames", "matrix"},
    "medium.drift_time_s": {"later"},
    "camera.prnu": {"responsivity", "counts", "frames", "matrix"},
    "camera.dsnu_e": {"dark signal", "counts", "frames", "matrix"},
    "camera.read_noise_e": {"counts", "frames", "matrix"},
    "camera.dark_current_e_per_s": {"counts", "frames", "matrix"},
    "camera.temperature_c": {"counts", "frames", "matrix"},
    "camera.hot_pixels": {"hot", "counts", "frames", "matrix"},
    "camera.dead_pixels": {"responsivity", "counts", "frames", "matrix"},
    "recovery.filter_edge": {"matrix"},
    "recovery.reference_edge_intensity": {"matrix"},
    "recovery.reference_roughness": {"matrix"},
    "recovery.reference_phase_noise_rad": {"reference", "matrix"},
    "recovery.reference_phase_jitter_rad": {"reference", "matrix"},
    "faults.gain_jump": {"energy", "frames", "matrix"},
    "faults.dropped_frames": {"repeated frames"},
    "faults.duplicated_frames": {"frames", "matrix"},
    "faults.stuck_on_mirrors": {"transmission", "later", "leakage", "speckle", "frames", "matrix"},
    "faults.stuck_off_mirrors": {"transmission", "later", "speckle", "frames", "matrix"},
    "faults.vibration_rad": {"reference", "matrix"},
}


def device(key: str, value: Any, **overrides: Any) -> Opu:
    card, _, needed = ON[key]
    companions = COMPANIONS.get(key, {}) if value is not None and value != 0.0 else {}
    keys = PERFECT | needed | {key: value} | companions | overrides
    opu = load_device(card, n_in=N_IN, n_out=N_OUT, seed=11, **keys)
    assert isinstance(opu, Opu)
    return opu


def off(key: str) -> Any:
    return PERFECT.get(key)


def interference(opu: Opu, frames: int) -> np.ndarray:
    """What the reference's phase leaves of the fringes, frame by frame; without a reference, all of nothing."""
    reference = getattr(opu.recovery, "reference", None)
    return np.ones(frames) if reference is None else reference.interference(0, frames)


def parts(opu: Opu) -> dict[str, Any]:
    """The device's physics, part by part."""
    pattern = np.tile(np.arange(N_IN, dtype=np.uint8) % 2, (6, 1))
    fields, on = opu.arm.fields(pattern), pattern.sum(axis=1)
    imager = opu.imager
    even = np.full((4, N_OUT), 2000.0, dtype=np.float32)
    out = {
        "light": opu.arm.photons_per_intensity,
        "transmission": opu.arm.medium.matrix(),
        "leakage": np.array(opu.arm.off_field),
        "contrast": imager.modes.modes,
        "jitter": imager.decorrelation,
        "energy": opu.arm.laser_energy(0, 40),
        "speckle": imager.photons(fields, on, 3) / opu.arm.laser_energy(3, 6)[:, None],
        "responsivity": imager.responsivity,
        "dark signal": imager.dsnu_e,
        "hot": imager.hot,
        "counts": imager.expose(even, 5),
        "frames": imager.counts(fields, on, 20),
        "reference": interference(opu, 50),
        "repeated frames": opu.camera.repeats(0, 200) if hasattr(opu.camera, "repeats") else 0,
        "matrix": opu.matrix(),
        "clock": (opu.clock.period_s, opu.clock.rate_hz, opu.clock.pixels),
        "watts": opu.budget.watts,
        "levels": (opu.card.timing.exposure_us, opu.card.recovery.reference_fill),
    }
    opu.arm.move_to(HOUR_S)
    out["later"] = opu.arm.medium.matrix()
    return out


def same(name: str, a: Any, b: Any) -> bool:
    if name == "speckle":  # divided by each frame's energy, which rounds
        return np.allclose(a, b, rtol=1e-5)
    return np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("key", ON)
def test_it_changes_its_own_parts_and_nothing_else(key: str) -> None:
    with_it, without = parts(device(key, ON[key][1])), parts(device(key, off(key)))
    changed = {name for name in with_it if not same(name, with_it[name], without[name])}
    assert changed <= TOUCHES[key]
    # What it is there for does change: all that is listed, but for knock-on effects that may round away.
    assert changed >= TOUCHES[key] - {"matrix", "later", "frames"} or changed == {"later"}
    assert changed


def photons(opu: Opu, patterns: int = 40) -> np.ndarray:
    b = np.random.default_rng(0).integers(0, 2, (patterns, N_IN)).astype(np.uint8)
    return opu.imager.photons(opu.arm.fields(b), b.sum(axis=1), 0).astype(np.float64)


def correlation_after_an_hour(opu: Opu) -> float:
    """|<T(0) T(t)*>|^2, of 300 x 32 entries."""
    before = opu.arm.medium.matrix()[1:-1].astype(np.complex128)
    opu.arm.move_to(HOUR_S)
    after = opu.arm.medium.matrix()[1:-1].astype(np.complex128)
    power = np.sqrt(np.sum(np.abs(before) ** 2) * np.sum(np.abs(after) ** 2))
    return float(abs(np.vdot(before, after) / power) ** 2)


def flat_counts(opu: Opu, level: float, frames: int = 400) -> np.ndarray:
    """Electrons [frame, output] of pixels under even light, at 12 bits."""
    light = np.full((frames, N_OUT), level, dtype=np.float32)
    card = opu.camera.card
    return (opu.imager.expose(light, 0).astype(np.float64) - card.offset_dn) / card.gain


FINE: dict[str, Any] = {"camera.adc_bits": 16, "camera.offset_dn": 1000.0}
SAMPLES = 400 * N_OUT
ENTRIES = N_OUT * N_IN


def law(key: str) -> Callable[[Callable[[], tuple[float, float, float]]], Callable[[], tuple[float, float, float]]]:
    def keep(function: Callable[[], tuple[float, float, float]]) -> Callable[[], tuple[float, float, float]]:
        LAWS[key] = function
        return function

    return keep


LAWS: dict[str, Callable[[], tuple[float, float, float]]] = {}
"""Key -> (measured, closed form, tolerance), the imperfection being on."""


@law("laser.rin_db_per_hz")
def intensity_noise() -> tuple[float, float, float]:
    energy = device("laser.rin_db_per_hz", -90.0).arm.laser_energy(0, 4000).astype(np.float64)
    expected = (1e-9 / (2 * 400e-6)) ** 0.5
    return energy.std(), expected, 4.5 * expected * (2 * 4000) ** -0.5


@law("laser.linewidth_mhz")
@law("medium.path_spread_mm")
def contrast_of_a_wide_line() -> tuple[float, float, float]:
    """C^2 = 1 / (1 + 2 s / L_c), L_c = c / (pi linewidth) = 32 mm, beside the pixel's own."""
    of_line = photons(device("laser.linewidth_mhz", 3000.0))
    of_none = photons(device("laser.linewidth_mhz", None))
    ratio = (of_line.var() / of_line.mean() ** 2) / (of_none.var() / of_none.mean() ** 2)
    return ratio, 1 / (1 + 2 * 5e-3 / (299_792_458 / (np.pi * 3e9))), 0.05  # the same speckle: most sampling cancels


@law("medium.polarisation_degree")
def contrast_of_two_polarisations() -> tuple[float, float, float]:
    mixed, pure = (photons(device("medium.polarisation_degree", p)) for p in (0.5, None))
    ratio = (mixed.var() / mixed.mean() ** 2) / (pure.var() / pure.mean() ** 2)
    return ratio, (1 + 0.5**2) / 2, 0.05


@law("dmd.contrast")
def leaking_mirrors() -> tuple[float, float, float]:
    """All OFF: 1 / contrast of the light of all mirrors, an exponential speckle over 300 outputs."""
    opu = device("dmd.contrast", 100.0)
    dark = np.zeros((1, N_IN), np.uint8)
    light = opu.imager.photons(opu.arm.fields(dark), dark.sum(axis=1), 0).astype(np.float64).mean()
    expected = N_IN * opu.arm.photons_per_intensity / 100
    return light, expected, 4.5 * expected * N_OUT**-0.5


@law("dmd.flatness_waves")
def a_phase_per_input() -> tuple[float, float, float]:
    """Columns turn by a phase and keep their power."""
    bent, flat = (device("dmd.flatness_waves", w).arm.medium.matrix().astype(np.complex128) for w in (0.3, None))
    turned = np.sum(bent * flat.conj(), axis=0) / np.sum(np.abs(flat) ** 2, axis=0)
    assert np.ptp(np.angle(turned)) > 0.5
    return float(np.abs(turned).mean()), 1.0, 1e-3


def warm(**overrides: Any) -> float:
    return correlation_after_an_hour(device("dmd.warm_up_decorrelation", 0.1, **overrides))


@law("dmd.warm_up_decorrelation")
def warming_up() -> tuple[float, float, float]:
    from opu_sim.dmd.warm_up import intensity_correlation

    opu = device("dmd.warm_up_decorrelation", 0.1)
    expected = intensity_correlation(opu.card.dmd, HOUR_S)
    assert 0.85 < expected < 0.95
    return correlation_after_an_hour(opu), expected, 4.5 * (0.1 / ENTRIES) ** 0.5 + 2e-3


@law("dmd.temperature_control")
def warming_up_under_control() -> tuple[float, float, float]:
    """The loss goes with the square of the temperature's change: 0.3^2 of what it was."""
    lost = 1 - warm(**{"dmd.temperature_control": 0.3})
    return -np.log(1 - lost), -np.log(warm()) * 0.3**2, 2e-3


@law("dmd.warm_up_rate_per_s")
def going_on_warming_up() -> tuple[float, float, float]:
    return np.log(warm(**{"dmd.warm_up_rate_per_s": 1e-5}) / warm()), -1e-5 * HOUR_S, 5e-3


@law("medium.drift_time_s")
def drifting() -> tuple[float, float, float]:
    """exp(-2 t / tau), of 9664 entries."""
    expected = np.exp(-2 * HOUR_S / 2e4)
    return correlation_after_an_hour(device("medium.drift_time_s", 2e4)), expected, 4.5 * 2 * (0.3 / ENTRIES) ** 0.5


@law("medium.frame_decorrelation")
def new_light_in_each_frame() -> tuple[float, float, float]:
    """Relative variance of a pixel's light: 2 d of the mean square for exponential light, in M modes 2 d / M^2 ..."""
    opu = device("medium.frame_decorrelation", 0.01)
    b = np.ones((800, N_IN), np.uint8)
    light = opu.imager.photons(opu.arm.fields(b), b.sum(axis=1), 0).astype(np.float64)
    d = opu.imager.decorrelation
    mean = light.mean(axis=0)
    # |F + g|^2: variance 2 |F|^2 E|g|^2 + (E|g|^2)^2, E|g|^2 = d of the mean brightness.
    fresh = d * N_IN * opu.arm.photons_per_intensity
    expected = np.mean(2 * (mean - fresh) * fresh + fresh**2)
    return light.var(axis=0, ddof=1).mean(), expected, 4.5 * expected * (2 / 800 / N_OUT) ** 0.5 * 2


@law("camera.prnu")
def unequal_pixels() -> tuple[float, float, float]:
    relative = device("camera.prnu", 0.02).imager.responsivity / 0.6 - 1
    return relative.std(), 0.02, 4.5 * 0.02 * (2 * N_OUT) ** -0.5


@law("camera.dsnu_e")
def unequal_dark_signal() -> tuple[float, float, float]:
    return device("camera.dsnu_e", 20.0).imager.dsnu_e.std(), 20.0, 4.5 * 20 * (2 * N_OUT) ** -0.5


@law("camera.read_noise_e")
def read_noise() -> tuple[float, float, float]:
    variance = flat_counts(device("camera.read_noise_e", 13.0, **FINE), 0.0).var()
    return variance, 169.0, 4.5 * 169 * (2 / SAMPLES) ** 0.5 + 0.1  # rounding to 0.2 e- and to whole electrons


@law("camera.dark_current_e_per_s")
def dark_charge() -> tuple[float, float, float]:
    return flat_counts(device("camera.dark_current_e_per_s", 1e5, **FINE), 0.0).mean(), 40.0, 0.1


@law("camera.temperature_c")
def dark_charge_when_warm() -> tuple[float, float, float]:
    """16 C above the reference, doubling every 8 C: four times."""
    return flat_counts(device("camera.temperature_c", 41.0, **FINE), 0.0).mean(), 160.0, 0.3


@law("camera.hot_pixels")
def hot_pixels() -> tuple[float, float, float]:
    """1e6 e-/s for 400 us: 400 e- in the hot ones."""
    opu = device("camera.hot_pixels", 0.05, **FINE)
    means = flat_counts(opu, 0.0).mean(axis=0)
    assert 1 <= len(opu.imager.hot) <= 40
    return means[opu.imager.hot].mean(), 400.0, 4.5 * (400 / 400 / len(opu.imager.hot)) ** 0.5 + 0.2


@law("camera.dead_pixels")
def dead_pixels() -> tuple[float, float, float]:
    dead = np.mean(device("camera.dead_pixels", 0.05).imager.responsivity == 0)
    return float(dead), 0.05, 3.5 * (0.05 * 0.95 / N_OUT) ** 0.5


def field_gain(key: str) -> float:
    """Root of the matrix's power over that without the imperfection: what is lost is made good by the recovery."""
    return float(np.linalg.norm(device(key, ON[key][1]).matrix()) / np.linalg.norm(device(key, None).matrix()))


@law("recovery.filter_edge")
def apodised_filter() -> tuple[float, float, float]:
    return field_gain("recovery.filter_edge"), 1.0, 0.05


@law("recovery.reference_edge_intensity")
def uneven_reference() -> tuple[float, float, float]:
    return field_gain("recovery.reference_edge_intensity"), 1.0, 0.02


@law("recovery.reference_roughness")
def rough_reference() -> tuple[float, float, float]:
    return field_gain("recovery.reference_roughness"), 1.0, 0.03


@law("recovery.reference_phase_noise_rad")
def lost_visibility() -> tuple[float, float, float]:
    phasor = interference(device("recovery.reference_phase_noise_rad", 0.5), 10)
    return float(np.abs(phasor).mean()), float(np.exp(-0.125)), 1e-9


@law("recovery.reference_phase_jitter_rad")
def unsteady_reference() -> tuple[float, float, float]:
    phasor = interference(device("recovery.reference_phase_jitter_rad", 0.2), 4000)
    return float(np.angle(phasor).std()), 0.2, 4.5 * 0.2 * (2 * 4000) ** -0.5


@law("faults.vibration_rad")
def vibration() -> tuple[float, float, float]:
    phasor = interference(device("faults.vibration_rad", 0.3), 4000)
    return float(np.angle(phasor).std()), 0.3 / 2**0.5, 4.5 * 0.3 * (8 * 4000) ** -0.5


@law("faults.gain_jump")
def gain_jumps() -> tuple[float, float, float]:
    energy = device("faults.gain_jump", 0.08).arm.laser_energy(0, 8000)[::20]
    return float(energy.std()), 0.08, 4.5 * 0.08 * (2 * 400) ** -0.5


@law("faults.dropped_frames")
def dropped_frames() -> tuple[float, float, float]:
    camera: Any = device("faults.dropped_frames", 0.1).camera
    return camera.repeats(0, 10_000) / 10_000, 0.1 / 0.9, 4.5 * (0.1 / 10_000) ** 0.5 / 0.9


@law("faults.duplicated_frames")
def duplicated_frames() -> tuple[float, float, float]:
    b = np.random.default_rng(0).integers(0, 2, (2000, N_IN)).astype(np.uint8)
    with device("faults.duplicated_frames", 0.1) as opu, device("faults.duplicated_frames", None) as whole:
        stale = np.any(opu.intensity(b) != whole.intensity(b), axis=1)
    return float(stale.mean()), 0.1, 4.5 * (0.1 * 0.9 / 2000) ** 0.5


@law("faults.stuck_on_mirrors")
def mirrors_stuck_on() -> tuple[float, float, float]:
    return device("faults.stuck_on_mirrors", 0.02).arm.mirrors.stuck_on, 0.02 * N_IN, 0.01 * N_IN * 0.02 * 4.5


@law("faults.stuck_off_mirrors")
def mirrors_stuck_off() -> tuple[float, float, float]:
    return device("faults.stuck_off_mirrors", 0.05).arm.mean_illumination, 0.95, 1e-3


@pytest.mark.parametrize("key", ON)
def test_its_closed_form(key: str) -> None:
    measured, expected, tolerance = LAWS[key]()
    assert abs(measured - expected) <= tolerance
    # Control: the tolerance tells the law from no effect, unless the law is that power is kept.
    if expected != 1.0:
        nothing = {"laser.linewidth_mhz": 1.0, "medium.path_spread_mm": 1.0, "medium.polarisation_degree": 1.0}
        kept = ("warm_up_decorrelation", "drift_time_s", "phase_noise", "stuck_off")
        none = nothing.get(key, 1.0 if any(name in key for name in kept) else 0.0)
        assert abs(none - expected) > tolerance


def test_no_key_is_missing() -> None:
    """Optional keys of the cards are imperfections, or stand for something else, named here."""
    something_else = {
        "dmd.tilt_deg",
        "dmd.incidence_deg",
        "dmd.diffraction_efficiency",
        "dmd.cell_mirrors",
        "dmd.warm_up_time_s",
        "medium.thickness_um",
        "camera.model",
        "camera.gain_dn_per_e",
        "camera.roi_rows",
        "camera.dark_current_doubling_c",
        "camera.dark_reference_c",
        "camera.hot_pixel_current_e_per_s",
        "recovery.reference_fill",
        "faults.vibration_hz",
    }
    roots: dict[str, type[BaseModel]] = {
        "laser": LaserCard,
        "dmd": DmdCard,
        "medium": MediumCard,
        "camera": CameraCard,
        "recovery": RecoveryCard,
        "faults": FaultsCard,
    }
    optional = {
        f"{root}.{key}"
        for root, model in roots.items()
        for key, field in model.model_fields.items()
        if field.default is None
    }
    screens = {key for key in optional if key.startswith(("medium.screen", "medium.grid", "medium.lit", "medium.over"))}
    assert optional - screens - something_else <= set(ON)
    assert set(ON) == set(TOUCHES) == set(LAWS)
