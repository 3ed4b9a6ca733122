"""The weight of a VAE's KL term over the course of training."""

from __future__ import annotations

SHAPES = ("none", "linear", "cyclic", "late", "drop")
EARLY = 1 / 40  # of beta, before a late rise


def kl_weight(
    step: int, shape: str = "linear", *, beta: float = 1.0, steps: int = 5000, cycles: int = 4, ramp: float = 0.5
) -> float:
    """The weight of the KL term after `step` training steps; from `steps` on it is `beta`.

        none     beta
        linear   beta min(1, step / steps)                               (Bowman et al. 2016, with a straight ramp)
        cyclic   beta min(1, t / ramp),  t = (step mod period) / period,  period = steps / cycles       (Fu et al. 2019)
        late     beta / 40, from steps / 2 straight up to beta
        drop     1

    While it is small the code is free to carry information, and the decoder comes to rely on it. 'late' leaves it free for long:
    what is hard to find, such as how an outline is turned, is not found once information is dear, but is kept. 'drop' is for a
    small beta and a decoder that is told the label: at first information is dear, and what the label says is left to it; then
    outlines become sharp. Raises ValueError.
    """
    if shape not in SHAPES or steps < 1 or cycles < 1 or not 0 < ramp <= 1:
        raise ValueError(
            f"kl_weight: expected one of {', '.join(SHAPES)}, steps and cycles >= 1 and ramp in (0, 1], "
            f"got {shape!r}, {steps}, {cycles}, {ramp}"
        )
    if shape == "none" or step >= steps:
        return beta
    if shape == "drop":
        return 1.0
    if shape == "linear":
        return beta * (step / steps)
    if shape == "late":
        return beta * (EARLY + (1 - EARLY) * max(0.0, 2 * step / steps - 1))
    period = steps / cycles
    return beta * min(1.0, (step % period) / period / ramp)
