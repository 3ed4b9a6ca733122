"""A training step as a benchmark: the same weights, data and noise in both libraries, then one step compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from .case import Subject
from .library import Library, array, sample

# Sums of float32 in another order, or by Winograd's algorithm, differ in the sixth digit. Where that decides which element is
# the largest of a window, or on which side of 0 an activation lies, its gradient differs altogether: PyTorch's own two settings
# are 2e-3 apart for a CNN. So does Adam's first update, lr * sign(g), where a gradient is about zero.
TOLERANCE = {"loss": 1e-5, "gradient": 1e-2, "update": 0.2, "buffer": 1e-4}


class Training(Subject):
    """`step` makes one training step of `networks` and returns its loss; calling the object makes one."""

    def __init__(self, L: Library, networks: list[Any], step: Callable[[], Any]):
        super().__init__(step, self._outputs)
        self.L, self.networks = L, networks

    def __call__(self) -> Any:
        return self.run()

    def _outputs(self) -> Mapping[str, Any]:
        """Loss, gradients, and the changes of parameters and buffers in one step from weights that NumPy draws."""
        for seed, network in enumerate(self.networks):
            self.L.fill(network, seed)
        before = self._state("parameters")
        self.L.replay(seed=0)
        with Counter(self.networks) as counter:
            loss = self.run()
        self.L.replay(None)
        self.products = counter.products
        updates = {f"update of {name}": after - before[name] for name, after in self._state("parameters").items()}
        buffers = {f"buffer {name}": values for name, values in self._state("buffers").items()}
        return {"loss": array(loss), **self._gradients(), **updates, **buffers}

    def _state(self, kind: str) -> dict[str, np.ndarray]:
        return {
            f"{i}.{name}": sample(t) for i, network in enumerate(self.networks) for name, t in getattr(network, f"named_{kind}")()
        }

    def _gradients(self) -> dict[str, np.ndarray]:
        return {
            f"gradient of {i}.{name}": sample(p.grad)
            for i, network in enumerate(self.networks)
            for name, p in network.named_parameters()
        }


class Counter:
    """Counts the multiply-adds of the linear, convolutional and recurrent modules that run inside a `with` block.

    Each product appears in the forward pass, in the weight's gradient and, if that is needed, in the input's.
    """

    def __init__(self, networks: list[Any]):
        self.products = 0
        modules = [m for network in networks for m in network.modules()]
        self._handles = [m.register_forward_hook(self._after) for m in modules if hasattr(m, "register_forward_hook")]

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _after(self, module: Any, args: tuple, output: Any) -> None:
        for products, feeds_input in products_of(module, args[0], output):
            self.products += products * (3 if feeds_input else 2)


def products_of(module: Any, x: Any, output: Any) -> list[tuple[int, bool]]:
    """(multiply-adds of a forward pass, whether an input's gradient repeats them) for each weight matrix of a module."""
    kind = type(module).__name__
    if kind == "Linear":
        return [(prod(output.shape) * module.in_features, x.requires_grad)]
    if kind.startswith("Conv"):
        # Each output of a convolution, and each input of a transposed one, meets one filter of every channel of its group.
        positions = x if kind.startswith("ConvTranspose") else output
        return [(prod(positions.shape) * prod(module.weight.shape[1:]), x.requires_grad)]
    if kind in ("LSTM", "GRU", "RNN"):
        steps = prod(x.shape) // module.input_size
        weights = [(name, p) for name, p in module.named_parameters() if name.startswith("weight")]
        return [(steps * prod(p.shape), x.requires_grad or not name.startswith("weight_ih_l0")) for name, p in weights]
    return []
