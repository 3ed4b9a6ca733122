"""What a classifier looks at: saliency, integrated gradients, Grad-CAM; of images (N, C, H, W) and a target class for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import nn
from .autograd import grad, no_grad
from .data.resample import resize
from .ops import take_along_dim
from .tensor import Tensor, as_tensor, to_numpy

Model = Callable[[Tensor], Tensor]


def _scores(model: Model, x: Tensor, targets: np.ndarray) -> Tensor:
    """The scores (N,) of the target classes."""
    return take_along_dim(model(x), as_tensor(targets[:, None]).to(x.device), 1).squeeze(1)


def targets_of(model: Model, x: Any, target: Any = None) -> np.ndarray:
    """Target classes (N,) int64: those given (one number for all, or one an image), or by default the predicted ones."""
    if target is None:
        with no_grad():
            return to_numpy(model(as_tensor(x))).argmax(1)
    target = np.broadcast_to(np.asarray(target), (len(x),))
    if target.dtype.kind not in "iu":
        raise TypeError(f"target: expected class numbers, got {target.dtype}")
    return target.astype(np.int64)


def _gradient(model: Model, x: Any, targets: np.ndarray) -> np.ndarray:
    """d score / d x for every image; images do not influence each other, so one backward pass of the sum gives all of them."""
    leaf = as_tensor(x).detach().requires_grad_()
    return to_numpy(grad(_scores(model, leaf, targets).sum(), [leaf])[0])


def saliency(model: Model, x: Any, target: Any = None) -> np.ndarray:
    """How much each pixel would change the target's score: max over channels of |d score / d x|, shape (N, H, W).

    Simonyan, Vedaldi and Zisserman (2014), "Deep inside convolutional networks", section 3. The score is the logit, not the
    probability: the latter could also grow by making the other classes less likely.
    """
    return np.abs(_gradient(model, x, targets_of(model, x, target))).max(1)


def integrated_gradients(
    model: Model, x: Any, target: Any = None, *, baseline: Any = 0.0, steps: int = 64, batch: int = 64
) -> np.ndarray:
    """The share of each input value in score(x) - score(baseline), shape (N, C, H, W).

        IG_i = (x_i - x'_i) * integral over a in 0..1 of d score / d x_i at x' + a (x - x')

    Sundararajan, Taly and Yan (2017), "Axiomatic attribution for deep networks", equation 1. Completeness: the shares sum to the
    difference of the scores, up to the error of the integral, a midpoint sum of `steps` terms. `baseline` x' is a number or
    anything that broadcasts to x; black by default.
    """
    if steps < 1:
        raise ValueError(f"integrated_gradients: steps must be at least 1, got {steps}")
    x = to_numpy(x)
    targets = targets_of(model, x, target)
    try:
        difference = x - np.broadcast_to(np.asarray(baseline, x.dtype), x.shape)
    except ValueError:
        raise ValueError(
            f"integrated_gradients: baseline of shape {np.shape(baseline)} does not broadcast to {x.shape}"
        ) from None
    places = ((np.arange(steps) + 0.5) / steps).astype(x.dtype)
    share = np.zeros(x.shape, np.float64)
    for i, (end, way) in enumerate(zip(x, difference)):
        for a in np.array_split(places, -(-steps // batch)):
            path = end - (1 - a)[:, None, None, None] * way
            share[i] += _gradient(model, path, np.repeat(targets[i], len(a))).sum(0)
    return (share / steps * difference).astype(x.dtype)


def grad_cam(model: Any, x: Any, target: Any = None, *, layer: nn.Module | None = None) -> np.ndarray:
    """Where in the image the features lie that speak for the target: (N, H, W), at least 0.

        alpha_k = mean over places of d score / d A_k,    map = relu(sum_k alpha_k A_k)

    Selvaraju et al. (2017), "Grad-CAM", equations 1 and 2; A are the outputs (N, K, h, w) of `layer`, by default the last
    rectified convolution of the model; the map is resized to the image (bilinear). Raises ValueError for a model without
    convolutions.
    """
    targets = targets_of(model, x, target)
    with _output_of(_last_convolution(model) if layer is None else layer) as seen:
        score = _scores(model, as_tensor(x), targets).sum()
    if not seen or seen[-1].ndim != 4:
        raise ValueError("grad_cam: expected a layer that the model runs, with outputs (N, K, h, w)")
    features = seen[-1]
    weights = to_numpy(grad(score, [features])[0]).mean((2, 3), keepdims=True)
    heat = np.maximum((weights * to_numpy(features)).sum(1), 0)
    return resize(heat, (x.shape[2], x.shape[3]))


@contextmanager
def _output_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Inside the block: the outputs of `layer` are collected, as parts of the graph whatever requires a gradient."""
    seen: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        seen.append(output if output.requires_grad else output.detach().requires_grad_())
        return seen[-1]

    handle = layer.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def _last_convolution(model: Any) -> nn.Module:
    """The last convolution, or the activation that follows it at once."""
    layers = list(model.modules())
    found = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    if not found:
        raise ValueError(f"grad_cam: {type(model).__name__} has no convolutions; give the layer to look at")
    following = layers[found[-1] + 1] if found[-1] + 1 < len(layers) else None
    return following if isinstance(following, (nn.ReLU, nn.LeakyReLU)) else layers[found[-1]]


def overlay(image: Any, heat: Any, strength: float = 0.6) -> np.ndarray:
    """An image (C, H, W) in 0..1 with a map (H, W) over it, float32 (3, H, W): the grey image tinted from blue to red.

    The map's largest absolute value is the reddest; a map of zeros leaves the grey image. Colours: the jet-like ramp
    clip(1.5 - |4 h - c|, 0, 1) with c = 3, 2, 1 for red, green, blue.
    """
    image, heat = to_numpy(image), np.abs(to_numpy(heat)).astype(np.float32)
    if image.ndim != 3 or heat.shape != image.shape[1:]:
        raise ValueError(f"overlay: expected an image (C, H, W) and a map (H, W), got shapes {image.shape} and {heat.shape}")
    heat = heat / max(float(heat.max()), 1e-12)
    ramp = np.clip(1.5 - np.abs(4 * heat - np.array([3, 2, 1], np.float32)[:, None, None]), 0, 1)
    grey = image.mean(0, dtype=np.float32)[None].repeat(3, 0)
    weight = strength * np.sqrt(heat)
    return ((1 - weight) * grey + weight * ramp).astype(np.float32)
