"""The weight of a VAE's KL term over the course of training."""

from __future__ import annotations

SHAPES = ("none", "linear", "cyclic")


def kl_weight(step: int, shape: str = "linear", *, steps: int = 5000, cycles: int = 4, ramp: float = 0.5) -> float:
    """The weight in 0..1 of the KL term after `step` training steps.

        none     1
        linear   min(1, step / steps)                                    (Bowman et al. 2016, with a straight ramp)
        cyclic   min(1, t / ramp),  t = (step mod period) / period,  period = steps / cycles;  1 after `steps`  (Fu et al. 2019)

    While it is small the code is free to carry information, and the decoder comes to rely on it. Raises ValueError.
    """
    if shape not in SHAPES or steps < 1 or cycles < 1 or not 0 < ramp <= 1:
        raise ValueError(
            f"kl_weight: expected one of {', '.join(SHAPES)}, steps and cycles >= 1 and ramp in (0, 1], "
            f"got {shape!r}, {steps}, {cycles}, {ramp}"
        )
    if shape == "none" or step >= steps:
        return 1.0
    if shape == "linear":
        return step / steps
    period = steps / cycles
    return min(1.0, (step % period) / period / ramp)
