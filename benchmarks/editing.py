"""Editing, measured: attributes of shapes that an edit changes and keeps, and pictures restored against the obvious baselines.

    python benchmarks/editing.py                      # all parts; what is missing is trained into runs/editing
    python benchmarks/editing.py attributes           # a judge of Shapes and two VAEs
    python benchmarks/editing.py restoration          # autoencoders on CIFAR-10 (NNSCRATCH_DATA)
    python benchmarks/editing.py digits               # a VAE and a row LSTM complete MNIST digits
    python benchmarks/editing.py --quick              # minutes, numbers that mean little: to see that it works

Writes benchmarks/results/editing-PART.md with a strip of examples each. Trained weights are kept
in --runs and used again. All seeds are fixed; the test images are never trained on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nnscratch as nns
from nnscratch import optim, viz
from nnscratch.data import COLOURS, SHAPES, Shapes, load
from nnscratch.data.dataset import gather
from nnscratch.editing import attribute, latents
from nnscratch.editing.judge import ATTRIBUTES, TOLERANCE, ShapeJudge, agrees
from nnscratch.editing.masks import region_mask
from nnscratch.editing.restore import restored
from nnscratch.training import Run, metrics
from nnscratch.training.recipe import Session, configure, restore

HERE = Path(__file__).parent
BATCH = 64


def trained(path: Path, model: Any, loss: Callable[[np.ndarray], Any], n: int, epochs: int, lr: float) -> Any:
    """`model`, with the weights in `path`, or trained by Adam on loss(indices of a batch), its rate falling to 0, and saved."""
    if path.exists():
        model.load_state_dict(nns.load(path))
        return model.eval()
    rng, optimizer = np.random.default_rng(0), optim.Adam(model.parameters(), lr=lr)
    nns.manual_seed(0)
    steps, step, start = epochs * (n // BATCH), 0, time.perf_counter()
    for epoch in range(epochs):
        total = 0.0
        for indices in rng.permutation(n)[: n // BATCH * BATCH].reshape(-1, BATCH):
            optimizer.param_groups[0]["lr"] = lr * 0.5 * (1 + np.cos(np.pi * step / steps))
            optimizer.zero_grad()
            value = loss(indices)
            value.backward()
            optimizer.step()
            total, step = total + value.item(), step + 1
        print(
            f"{path.stem}: epoch {epoch + 1}/{epochs}, loss {total / (n // BATCH):.4g}, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    nns.save(model, path)
    return model.eval()


# ------------------------------------------------------------------------------------------------------------ attributes


def attributes(args: argparse.Namespace) -> str:
    """A judge of the attributes; edits of colour and shape by conditional decoders, and of colour along latent directions."""
    n, judge_epochs, folder = (2_000, 2, "quick") if args.quick else (20_000, 10, "full")
    train, test = Shapes(n, seed=0), Shapes(2_000, seed=1)
    runs = args.runs / folder
    nns.manual_seed(0)
    judge = ShapeJudge()
    images = lambda i: nns.as_tensor(train.batch(i)[0])
    judge_loss = lambda i: judge.loss(images(i), {k: v[i] for k, v in train.attributes.items()})
    judge = trained(runs / "judge.safetensors", judge, judge_loss, n, judge_epochs, 2e-3)
    x, truth = test.images, test.attributes
    own = {name: right.mean() for name, right in agrees(judge.read(x), truth).items()}
    lines = ["| | " + " | ".join(ATTRIBUTES) + " |", "|---|" + "---|" * len(ATTRIBUTES)]
    lines.append("| the judge reads right | " + " | ".join(f"{own[name]:.2%}" for name in ATTRIBUTES) + " |")
    pictures = [x[:12]]
    for name, edit in _attribute_edits(args).items():
        kind = name.split()[0]
        classes = len(COLOURS if kind == "colour" else SHAPES)
        # Another value for each image, all others equally often.
        wanted = (truth[kind] + 1 + np.arange(len(x)) % (classes - 1)) % classes
        edited = edit(x, truth, wanted)
        right = agrees(judge.read(edited), {**truth, kind: wanted})
        cells = []
        for a in ATTRIBUTES:
            undefined = kind == "shape" and a == "rotation"  # each shape has its own period
            cells.append("-" if undefined else f"**{right[a].mean():.1%}**" if a == kind else f"{right[a].mean():.1%}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        pictures.append(edited[:12])
    viz.save_grid(np.concatenate(pictures), args.out / "editing-attributes.png", 12, zoom=2)
    return "\n".join(lines)


def _attribute_edits(args: argparse.Namespace) -> dict[str, Callable[..., np.ndarray]]:
    """name -> edit(images, their attributes, wanted values). Both models are made by nnscratch train with its defaults.

    The direction between two colours is that of their mean codes in the model that is told the shape.
    """
    maps = _by_recipe(args, "colour", "map-vae", "shapes", 16, label="colour")
    window = _by_recipe(args, "shape", "window-vae", "shapes", 80, label="shape")
    examples = load("shapes", train=True)
    codes = latents.encode(window, examples.images, examples.attributes["shape"])
    means = attribute.class_means(codes, examples.attributes["colour"], len(COLOURS))
    return {
        "colour by a conditional decoder of code maps": lambda x, own, to: attribute.relabel(maps, x, own["colour"], to),
        "shape by a conditional decoder with a window": lambda x, own, to: attribute.relabel(window, x, own["shape"], to),
        "colour along a latent direction": lambda x, own, to: attribute.along(
            window, x, means[to] - means[own["colour"]], own["shape"]
        ),
    }


# ----------------------------------------------------------------------------------------------------------- restoration


def _by_recipe(
    args: argparse.Namespace, name: str, system: str, data: str, epochs: int, *, label: str | None = None, **options: Any
) -> Any:
    """The model of nnscratch train SYSTEM --data DATA --limit LIMIT --epochs EPOCHS, trained where it is missing."""
    run = Run(args.runs / ("quick" if args.quick else "full") / name)
    epochs, limit = (1, 1_000) if args.quick else (epochs, args.limit)
    source: dict[str, Any] = {"name": data, "size": None, "limit": limit, "label": label}
    config, sets = configure(system, source, {"epochs": epochs, "seed": 0}, options)
    latest = run.latest()
    if latest is None or latest.state.get("epoch", 0) < epochs:
        session = Session(config, run, sets)
        if latest is None:
            run.create(config)
        else:
            session.trainer.resume(latest)
        session.trainer.fit()
    return restore(run)[0]


def restoration(args: argparse.Namespace) -> str:
    """Mean PSNR in dB and SSIM over held-out CIFAR-10 images, of each operation and of its baselines."""
    test = load("cifar10", train=False)
    x = gather(test, np.arange(100 if args.quick else 2_000))[0]
    rng = np.random.default_rng(0)
    rows: list[tuple[str, str, np.ndarray, np.ndarray | None]] = []
    pictures: list[np.ndarray] = [x[:12]]

    def add(task: str, method: str, y: np.ndarray, hole: np.ndarray | None = None, show: bool = True) -> None:
        rows.append((task, method, np.clip(y, 0, 1), hole))
        if show:
            pictures.append(np.clip(y[:12], 0, 1))

    denoiser = _by_recipe(args, "denoise", "autoencoder", "cifar10", args.epochs, purpose="denoise")
    for sigma in (0.1, 0.2):
        noisy = (x + sigma * rng.standard_normal(x.shape)).astype(np.float32)
        task = f"denoise, Gaussian noise of {sigma}"
        add(task, "nothing", noisy, show=sigma == 0.1)
        add(task, "median filter 3x3", median(np.clip(noisy, 0, 1)), show=sigma == 0.1)
        add(task, "autoencoder", restored(denoiser, noisy), show=sigma == 0.1)
    enlarger = _by_recipe(args, "enhance", "autoencoder", "cifar10", args.epochs, purpose="enhance")
    small = x.reshape(len(x), 3, 16, 2, 16, 2).mean((3, 5))
    add("enhance, 16x16 to 32x32", "bicubic", bicubic(small))
    add("enhance, 16x16 to 32x32", "autoencoder", restored(enlarger, small))
    painter = _by_recipe(args, "inpaint", "autoencoder", "cifar10", args.epochs, purpose="inpaint")
    for region in ("centre", "random", "left", "lower"):
        holes = np.stack([region_mask(region, (32, 32), rng) for _ in x])[:, None]
        mean = (x * ~holes).sum((2, 3), keepdims=True) / (~holes).sum((2, 3), keepdims=True)
        task = f"inpaint, {region}"
        add(task, "mean fill", np.where(holes, mean, x), holes, show=region == "centre")
        add(task, "autoencoder", restored(painter, x * ~holes, ~holes), holes, show=region == "centre")
    viz.save_grid(np.concatenate(pictures), args.out / "editing-restoration.png", 12, zoom=2)
    lines = ["| operation | method | PSNR (dB) | SSIM | PSNR within the hole |", "|---|---|---|---|---|"]
    for task, method, y, hole in rows:
        inside = "" if hole is None else f"{psnr(np.square(y - x).sum((1, 2, 3)) / (3 * hole.sum((1, 2, 3)))):.2f}"
        whole = psnr(np.square(y - x).mean((1, 2, 3)))
        lines.append(f"| {task} | {method} | {whole:.2f} | {metrics.ssim(y, x):.4f} | {inside} |")
    return "\n".join(lines)


def psnr(errors: np.ndarray) -> float:
    """Mean over images of 10 log10(1 / MSE)."""
    return float((-10 * np.log10(np.maximum(errors, 1e-10))).mean())


def median(x: np.ndarray) -> np.ndarray:
    """The median of each pixel's 3x3 neighbourhood, the border repeated."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    h, w = x.shape[2:]
    return np.median([padded[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)], axis=0).astype(x.dtype)


def bicubic(x: np.ndarray) -> np.ndarray:
    """Twice as large, by Pillow."""
    from PIL import Image

    def enlarge(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize((2 * plane.shape[1], 2 * plane.shape[0]), Image.Resampling.BICUBIC))

    return np.stack([[enlarge(plane) for plane in image] for image in x.astype(np.float32)])


# ---------------------------------------------------------------------------------------------------------------- digits


def digits(args: argparse.Namespace) -> str:
    """The lower half of held-out MNIST digits, by a VAE's best fitting image and by a row LSTM's draws, against mean fill."""
    n = 20 if args.quick else 200
    x = gather(load("mnist", train=False), np.arange(n))[0]
    hole = np.broadcast_to(region_mask("lower", (28, 28)), (n, 1, 28, 28))
    mean = (x * ~hole).sum((2, 3), keepdims=True) / (~hole).sum((2, 3), keepdims=True)
    vae = _by_recipe(args, "digits-vae", "vae", "mnist", 10)
    rows = _by_recipe(args, "digits-rows", "row-lstm", "mnist", 10)
    known = nns.as_tensor((~hole).astype(np.float32))
    draws = [nns.to_numpy(rows.complete(nns.as_tensor(x), known, nns.Generator(seed))) for seed in range(16)]
    results = {
        "mean fill": np.where(hole, mean, x),
        "VAE, the image that fits the upper half best": latents.drawn(vae, latents.project(vae, x, ~hole, starts=8)),
        "row LSTM, one draw": draws[0],
        "row LSTM, mean of 16 draws": np.mean(draws, 0),
    }
    lines = ["| method | PSNR (dB) | SSIM | PSNR within the hole |", "|---|---|---|---|"]
    for method, y in results.items():
        y = np.where(hole, y, x)
        inside = psnr(np.square(y - x).sum((1, 2, 3)) / hole.sum((1, 2, 3)))
        lines.append(f"| {method} | {psnr(np.square(y - x).mean((1, 2, 3))):.2f} | {metrics.ssim(y, x):.4f} | {inside:.2f} |")
    shown = [x, *(np.where(hole, y, x) for y in results.values())]
    viz.save_grid(np.concatenate([y[:12] for y in shown]), args.out / "editing-digits.png", 12, zoom=2)
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------------------ main

TEXT = {
    "attributes": """\
# Attribute edits on Shapes

Shares of {n} test images. First row: how often the judge, a CNN, reads the known attribute of an unedited picture rightly. Then:
how often the edited picture shows what was asked for (**bold**), and in the other columns how often the attribute is what it was.
Shape and colour are classes; right is also a size within {size} and a place within {place} of 32 pixels, and a rotation within
{turn} of the angle after which the shape looks the same. Every image is changed to another value than its own. The strip shows
test images, then the same with their colour and shape changed by the conditional decoders, and the colour along the latent
direction. The decoders are those of `nnscratch train map-vae --data shapes --label colour` and `nnscratch train window-vae --data
shapes`, {shapes}; the direction is that between the mean codes of two colours in the latter.
""",
    "restoration": """\
# Restoring held-out pictures of CIFAR-10

Means over {n} test images, PSNR of each image and then averaged. The autoencoders are those of `nnscratch train autoencoder
--data cifar10 --purpose ...` with the defaults, {epochs}. Mean fill takes the mean
of the known pixels of each channel. The strip shows originals, then what the rows of denoising at 0.1, enhancing and the central
hole give.
""",
    "digits": """\
# The lower half of held-out MNIST digits, completed

Means over {n} test images. VAE and row LSTM are those of `nnscratch train vae` and `nnscratch train row-lstm`, with `--data
mnist`, {digits}. A single draw of zeros and ones is a guess and pays for it in PSNR; the mean of
draws is a forecast. The strip shows the originals and then the rows of the table.
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="attributes, restoration, digits (default: all)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--epochs", type=int, default=4, help="passes of each autoencoder over its training images (default: 4)")
    parser.add_argument(
        "--limit", type=int, default=10_000, help="training images of CIFAR-10 to use, of 50,000 (default: 10000)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/editing"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    parts = {"attributes": attributes, "restoration": restoration, "digits": digits}
    if unknown := set(args.parts) - parts.keys():
        parser.error(f"unknown part {', '.join(unknown)}: expected {', '.join(parts)}")
    args.out.mkdir(parents=True, exist_ok=True)
    values = {
        "size": f"{TOLERANCE['size'] * 32:g}",
        "place": f"{TOLERANCE['x'] * 32:g}",
        "turn": f"{TOLERANCE['rotation']:g}",
        "epochs": f"{1 if args.quick else args.epochs} epochs and the first {1_000 if args.quick else args.limit} images",
        "shapes": "1 epoch and 1000 images each" if args.quick else "with the defaults",
        "digits": f"{1 if args.quick else 10} epochs and the first {1_000 if args.quick else args.limit} images",
    }
    for name in args.parts or parts:
        body = parts[name](args)
        n = {"attributes": 2_000, "restoration": 100 if args.quick else 2_000, "digits": 20 if args.quick else 200}[name]
        command = f"python benchmarks/editing.py {name}{' --quick' if args.quick else ''}"
        text = f"{TEXT[name].format(n=n, **values)}\n{body}\n\nMade by `{command}`.\n"
        print(text)
        (args.out / f"editing-{name}.md").write_text(text)


if __name__ == "__main__":
    main()
