"""SGD with momentum and Adam, updating a list of parameter arrays in place."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dfa import loops
from dfa.parallel import for_each

Array = npt.NDArray[np.floating[Any]]

# Elements of a piece; all cores share the pieces.
CHUNK = 2**18
# Fewer elements than these are updated sooner by one core than shared.
SHARED = 2**18


def _require(good: bool, name: str, value: float, rule: str) -> None:
    if not good:
        raise ValueError(f"{name} = {value!r}: must be {rule}")


class Optimizer(ABC):
    """What every optimizer shares: parameters by reference, moments like them, exact checkpoints.

    Parameters
    ----------
    parameters
        C-contiguous floating arrays, updated in place.
    learning_rate
        Step size; the attribute may be changed between steps.
    weight_decay
        L2 coefficient: `weight_decay * p` is added to the gradient of every parameter, biases included.
    decayed
        One flag per parameter; where False there is no weight decay. None decays all.
    """

    def __init__(
        self,
        parameters: Sequence[Array],
        learning_rate: float,
        weight_decay: float,
        decayed: Sequence[bool] | None = None,
    ) -> None:
        _require(0 < learning_rate < math.inf, "learning_rate", learning_rate, "> 0 and finite")
        _require(0 <= weight_decay < math.inf, "weight_decay", weight_decay, ">= 0 and finite")
        if not all(parameter.flags.c_contiguous for parameter in parameters):
            raise ValueError("parameters must be C-contiguous, or a flat view could not update them in place")
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        # Counted per parameter, so that one left out for a while is still corrected for its own age.
        self._steps = np.zeros(len(self.parameters), np.int64)
        self._moments: dict[str, list[Array]] = {}
        self._decays = [True] * len(self.parameters) if decayed is None else list(decayed)
        if len(self._decays) != len(self.parameters):
            raise ValueError(f"decayed has {len(self._decays)} flags: must have {len(self.parameters)}")

    def step(self, gradients: Sequence[Array], trainable: Sequence[bool] | None = None) -> None:
        """Update the parameters once.

        Parameters
        ----------
        gradients
            One C-contiguous array per parameter, of its shape; left unchanged.
        trainable
            One flag per parameter; where False, the parameter, its moments and its step count stay as they
            are (no weight decay either). None trains all.
        """
        mask = [True] * len(self.parameters) if trainable is None else trainable
        pieces: list[tuple[int, slice]] = []
        for index, (parameter, gradient, train) in enumerate(zip(self.parameters, gradients, mask, strict=True)):
            if not train:
                continue
            if gradient.shape != parameter.shape:
                raise ValueError(f"gradient {index} has shape {gradient.shape}: must be {parameter.shape}")
            pieces += [(index, slice(start, start + CHUNK)) for start in range(0, parameter.size, CHUNK)]
        self._steps += mask

        def update(number: int) -> None:
            index, at = pieces[number]
            self._update_piece(index, at, gradients[index].reshape(-1)[at])

        if sum(p.size for p, train in zip(self.parameters, mask, strict=True) if train) < SHARED:
            for number in range(len(pieces)):
                update(number)
        else:
            for_each(len(pieces), update)

    def _update_piece(self, index: int, at: slice, g: Array) -> None:
        p = self.parameters[index].reshape(-1)[at]
        moments = [arrays[index].reshape(-1)[at] for arrays in self._moments.values()]
        decay = self.weight_decay if self._decays[index] else 0.0
        self._update(index, p, g, moments, p.dtype.type(decay))

    @abstractmethod
    def _update(self, index: int, p: Array, g: Array, moments: Sequence[Array], decay: np.floating[Any]) -> None:
        """Update one flat piece of parameter `index` and of its moments; weight decay has the type of `p`."""

    def _named(self) -> dict[str, Array | npt.NDArray[np.int64]]:
        moments = {f"{key}.{i}": a for key, arrays in self._moments.items() for i, a in enumerate(arrays)}
        return {"steps": self._steps, **moments}

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Copy step counts and moments, by name; settings are not state, nor are the parameters."""
        return {name: array.copy() for name, array in self._named().items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` returned, bit for bit.

        Raises
        ------
        ValueError
            Names, shapes or dtypes differ from this optimizer's; nothing is changed then.
        """
        own = self._named()
        if set(state) != set(own):
            raise ValueError(f"optimizer state has {sorted(state)}: must have {sorted(own)}")
        for name, array in own.items():
            saved = state[name]
            if saved.shape != array.shape or saved.dtype != array.dtype:
                found, wanted = f"{saved.dtype}{saved.shape}", f"{array.dtype}{array.shape}"
                raise ValueError(f"optimizer state {name!r} is {found}: must be {wanted}")
        for name, array in own.items():
            array[...] = state[name]


class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum * v + g, then p -= learning_rate * v (as in PyTorch)."""

    def __init__(
        self,
        parameters: Sequence[Array],
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        decayed: Sequence[bool] | None = None,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, decayed)
        _require(0 <= momentum < 1, "momentum", momentum, ">= 0 and < 1")
        self.momentum = momentum
        if momentum:
            self._moments = {"velocity": [np.zeros_like(p) for p in self.parameters]}

    def _update(self, index: int, p: Array, g: Array, moments: Sequence[Array], decay: np.floating[Any]) -> None:
        # Without momentum there is no velocity to keep.
        velocity, scalar = (moments or [np.zeros_like(p)])[0], p.dtype.type
        loops.sgd(p, g, velocity, scalar(self.learning_rate), scalar(self.momentum), decay)


class Adam(Optimizer):
    """Adam, Algorithm 1 of Kingma & Ba (2015): bias-corrected, epsilon outside the square root."""

    def __init__(
        self,
        parameters: Sequence[Array],
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decayed: Sequence[bool] | None = None,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, decayed)
        _require(0 <= beta1 < 1, "beta1", beta1, ">= 0 and < 1")
        _require(0 <= beta2 < 1, "beta2", beta2, ">= 0 and < 1")
        _require(0 < epsilon < math.inf, "epsilon", epsilon, "> 0 and finite")
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        # Memory bound, so passes are saved: with m = (1 - beta1) M and v = (1 - beta2) V the factors leave
        # the running sums M = beta1 M + g, V = beta2 V + g^2 and join the bias corrections as scalars.
        self._moments = {key: [np.zeros_like(p) for p in self.parameters] for key in ("first", "second")}

    def _update(self, index: int, p: Array, g: Array, moments: Sequence[Array], decay: np.floating[Any]) -> None:
        # m_hat = M first_scale, sqrt(v_hat) = sqrt(V) second_scale
        t, scalar = int(self._steps[index]), p.dtype.type
        first_scale = (1 - self.beta1) / (1 - self.beta1**t)
        second_scale = math.sqrt((1 - self.beta2) / (1 - self.beta2**t))
        rate, epsilon = self.learning_rate * first_scale / second_scale, self.epsilon / second_scale
        first, second = moments
        scalars = (scalar(value) for value in (rate, self.beta1, self.beta2, epsilon))
        loops.adam(p, g, first, second, *scalars, decay)


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}


def make_optimizer(
    name: str, parameters: Sequence[Array], decayed: Sequence[bool] | None = None, **settings: float
) -> Optimizer:
    """Build an optimizer by name ("sgd" or "adam"), its settings by keyword.

    Raises
    ------
    ValueError
        Unknown name, or a setting out of range.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer = {name!r}: must be one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name](parameters, decayed=decayed, **settings)


def clip_by_norm(gradients: Sequence[Array], limit: float) -> float:
    """Scale all gradients by one factor so that their joint Euclidean norm is at most `limit`; returns the norm before.

    Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), Algorithm 1.
    """
    squares = (float(np.dot(flat, flat)) for flat in (gradient.reshape(-1) for gradient in gradients))
    norm = math.sqrt(sum(squares))
    if norm > limit:
        for gradient in gradients:
            gradient *= limit / norm
    return norm
