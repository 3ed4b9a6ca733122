"""`nnscratch generate`: new images from a trained run, as files, sheets and animations."""

from __future__ import annotations

import argparse
from typing import Any

from .cli_options import UsageError
from .cli_trained import class_names, class_number, kind, trained


def _generate(args: argparse.Namespace) -> int:
    import numpy as np

    from . import viz
    from .backend import Generator
    from .editing import latents
    from .editing.interpolate import path
    from .tensor import to_numpy

    model, config = trained(args)
    if config["task"] == "conv-lstm":
        return _continue_films(args, model, config)
    walks = args.gif or args.interpolate
    if not latents.draws(model) and not (hasattr(model, "sample") and not walks):
        what = "has no latent space to walk through" if hasattr(model, "sample") else "draws no images"
        raise UsageError(f"{args.run} is a run of {kind(model, config)}, which {what}; a vae or a dcgan does")
    if args.steps and not walks:
        raise UsageError("--steps is for --gif and --interpolate")
    classes = getattr(model, "classes", 0)
    label = None
    if args.attribute is not None:
        if not classes:
            raise UsageError(
                f"--attribute needs a conditional run: nnscratch train vae --conditional, or map-vae; {args.run} is not one"
            )
        label = class_number(args.attribute, class_names(config, classes), "--attribute")
    out = args.out or args.run / "generated"
    out.mkdir(parents=True, exist_ok=True)
    generator, steps = Generator(args.seed), args.steps or 8

    def labels(n: int) -> Any:
        if not classes:
            return None
        return np.full(n, label) if label is not None else np.arange(n) % classes

    if args.interpolate:
        rows = args.n or 8
        ends = latents.noise(model, 2 * rows, generator).reshape(rows, 2, -1)
        ways = np.concatenate([path(pair, steps, args.interpolate) for pair in ends])
        asked = None if not classes else np.repeat(labels(rows), steps + 1)
        print(viz.save_grid(latents.drawn(model, ways, asked), out / "interpolations.png", columns=steps + 1))
    if args.gif:
        z = latents.noise(model, max(2, args.n or 6), generator)
        ways = path(z, steps, closed=True)
        asked = None if not classes else np.full(len(ways), label or 0)
        print(viz.save_gif(viz.magnified(latents.drawn(model, ways, asked)), out / "walk.gif"))
    if walks and not args.grid:
        return 0
    n = args.n or 64
    if latents.draws(model):
        images = latents.drawn(model, latents.noise(model, n, generator), labels(n))
    else:
        images = to_numpy(model.sample(n, generator))
    if args.grid:
        print(viz.save_grid(images, out / "samples.png"))
    else:
        for k, image in enumerate(images):
            viz.save_image(image, out / f"sample-{k:0{len(str(n - 1))}d}.png")
        print(f"{n} images: {out}/sample-{'0' * len(str(n - 1))}.png ...")
    return 0


def _continue_films(args: argparse.Namespace, model: Any, config: dict[str, Any]) -> int:
    """Test films, drawn by --seed, whose second half the model makes up: as an animation, with --grid a row of pictures each."""
    import numpy as np

    from . import viz
    from .data.dataset import gather
    from .training.recipe import load_data
    from .training.tasks.prediction import continued, save_films

    for option in ("interpolate", "attribute", "steps"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option} is not for a conv-lstm, which continues films: -n, --seed, --gif and --grid are")
    test = load_data(**config["data"])[1]
    n = min(args.n or 6, len(test))
    true = gather(test, np.sort(np.random.default_rng(args.seed).choice(len(test), n, replace=False)))[0]
    films, out = continued(model, true), args.out or args.run / "generated"
    out.mkdir(parents=True, exist_ok=True)
    if args.grid:
        print(viz.save_grid(films.reshape(-1, *films.shape[2:]), out / "films.png", films.shape[1]))
    if args.gif or not args.grid:
        print(save_films(true, films, out / "films.gif"))
    return 0


COMMANDS = {"generate": _generate}
