"""The commands about pictures and trained runs: `nnscratch edit | explain | anonymize | runs`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .cli_options import UsageError

# ------------------------------------------------------------------------------------------------------------- pictures


def _expand(images: Sequence[Path]) -> list[Path]:
    """Files as they are, folders by the pictures in them. Raises DataError where something is not there."""
    from .data import DataError
    from .data.folder import EXTENSIONS

    paths: list[Path] = []
    for image in images:
        if image.is_dir():
            inside = sorted(p for p in image.iterdir() if p.suffix.lower() in EXTENSIONS and not p.name.startswith("."))
            if not inside:
                raise DataError(f"{image}: no pictures found ({', '.join(EXTENSIONS)})")
            paths += inside
        elif image.exists():
            paths.append(image)
        else:
            raise DataError(f"{image}: no such file")
    return paths


Work = Callable[[Any, Path], tuple[list[tuple[Any, Path]], str]]  # (picture, target) -> ([(picture, name), ...], a remark)


def _for_each(args: argparse.Namespace, ending: str, work: Work) -> int:
    """Call `work` for every picture and write what it returns; a bad one is reported and the others go on."""
    from .data import DataError
    from .editing.image_io import destinations, read_picture, write_picture

    paths = _expand(args.images)
    args.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for path, target in zip(paths, destinations(paths, args.out, ending, getattr(args, "format", None))):
        try:
            with _quiet_about_size():
                picture = read_picture(path)
            results, remark = work(picture, target)
        except (DataError, ValueError, MemoryError) as fault:
            failed += 1
            text = " ".join(str(fault).split()) or "not enough memory"
            print(f"nnscratch: error: {text if str(path) in text else f'{path}: {text}'}", file=sys.stderr)
            continue
        written = [write_picture(result, name) for result, name in results]
        print(f"{path} -> {written[0]}{''.join(f', {name.name}' for name in written[1:])}{remark}", flush=True)
    if failed and len(paths) > 1:
        print(f"nnscratch: error: {failed} of {len(paths)} pictures were left out", file=sys.stderr)
    return 1 if failed else 0


@contextmanager
def _quiet_about_size() -> Iterator[None]:
    """Without Pillow's warning about large pictures: those that are too large are refused."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


_STRIP = 768  # pixels that the height of a strip has at most


def _strip_name(target: Path) -> Path:
    return target.with_name(f"{target.stem}-strip.png")


# ----------------------------------------------------------------------------------------------------------------- runs


def trained(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The model of --run and its configuration."""
    from .training.checkpoint import Run
    from .training.recipe import restore, saved_config

    run = Run(args.run)
    return restore(run, args.best, args.device)[0], saved_config(run)


def data_of(run: Path, config: dict[str, Any], new: str | None) -> dict[str, Any]:
    """The arguments of `load_data` for a run: those it was trained with, or `new` (--data) in the place of its folder.

    Raises UsageError where neither is there.
    """
    data = config["data"]
    name = str(data["name"])
    was = Path(name.removeprefix("folder:")) if name.startswith("folder:") else None
    if was is None:
        if new is not None:
            raise UsageError(f"--data is for runs on a folder of pictures; {run} is one on {name}")
        return data
    gone = f"{run} was trained on the pictures in {was}, and there is no folder {was.absolute()}"
    if new is None:
        if not was.is_dir():
            raise UsageError(f"{gone}; if they have been moved, say where to: --data FOLDER")
        return data
    now = Path(new.removeprefix("folder:"))
    if not now.is_dir():
        raise UsageError(f"--data {new}: no such folder" + ("" if was.is_dir() else f"; {gone} either"))
    return {**data, "name": f"folder:{now}"}


def class_names(config: dict[str, Any], classes: int) -> list[str]:
    """The names of the classes of a run, which its configuration holds; of an older run those of its data, or their numbers."""
    from .training.recipe import load_data

    names = config.get("classes")
    if names is None:
        try:
            names = [str(name) for name in load_data(**config["data"])[1].classes]
        except (ValueError, OSError, RuntimeError):
            names = []
    fits = isinstance(names, list) and len(names) == classes and all(isinstance(name, str) for name in names)
    return names if fits else [str(k) for k in range(classes)]


def class_number(text: str, names: Sequence[str], option: str) -> int:
    """By name, or by number where no class has that name."""
    if text in names:
        return list(names).index(text)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    raise UsageError(f"{option} {text}: expected one of {', '.join(names)}, or a number from 0 to {len(names) - 1}")


# ----------------------------------------------------------------------------------------------------------------- edit


def _edit(args: argparse.Namespace) -> int:
    from .editing.image_io import strip
    from .editing.operations import OPERATIONS, able

    operation = OPERATIONS[args.op]
    every = dict.fromkeys(name for o in OPERATIONS.values() for name in o.options)
    given = {name: getattr(args, name) for name in every if getattr(args, name) is not None}
    for name in given.keys() - set(operation.options):
        takers = " and ".join(op for op, o in OPERATIONS.items() if name in o.options)
        raise UsageError(f"{_flag(name)} is for {takers}, not for {args.op}")
    for name in operation.requires:
        if name not in given:
            raise UsageError(f"{args.op} needs {_flag(name)}: see nnscratch edit --help")
    model, config = trained(args)
    if not operation.able(model):
        could = able(model)
        instead = f"this run can do: {', '.join(could)}" if could else "this run can do none of the operations"
        raise UsageError(f"{args.run} is a run of {kind(model, config)}; {args.op} needs {operation.needs}; {instead}")
    options = _prepared(args.op, given, model, config)
    if args.op == "interpolate":
        return _interpolate(args, model, options)

    def work(picture: Any, target: Path) -> tuple[list[tuple[Any, Path]], str]:
        chosen = dict(options)
        if args.op == "inpaint":
            chosen["mask"] = _mask_for(options, picture.size)
        panels = operation.edit(model, picture, chosen)
        height = min(_STRIP, max(panel.size[0] for panel in panels))
        return [(panels[-1], target), (strip(panels, height), _strip_name(target))], ""

    return _for_each(args, args.op, work)


def _flag(name: str) -> str:
    return {"source": "--from"}.get(name, f"--{name}")


def kind(model: Any, config: dict[str, Any]) -> str:
    purpose = getattr(model, "purpose", None)
    return f"{config['task']}{f' trained to {purpose}' if purpose else ''}"


def _prepared(op: str, given: dict[str, Any], model: Any, config: dict[str, Any]) -> dict[str, Any]:
    """The options with files read and classes found."""
    from .backend import Generator
    from .editing.image_io import read_picture
    from .editing.masks import REGIONS

    options = dict(given)
    if "style" in options:
        options["style"] = read_picture(options["style"])
    if op == "inpaint":
        if options["mask"] not in REGIONS and not Path(options["mask"]).is_file():
            raise UsageError(f"--mask {options['mask']}: expected a picture, white where to fill in, or {', '.join(REGIONS)}")
        options["random"] = Generator(options.get("seed", 0))
    if op == "attribute":
        classes = getattr(model, "classes", 0)
        by_label = classes and "examples" not in options
        if by_label and "strength" in options:
            raise UsageError(
                "--strength is for ways between --examples, or unconditional runs; this run has learned its classes and changes "
                "the label"
            )
        names = class_names(config, classes) if by_label else _learn_classes(options, model, config)
        for name in ("to", "source"):
            if name in options:
                options[name] = class_number(options[name], names, _flag(name))
    return options


def _mask_for(options: dict[str, Any], size: tuple[int, int]) -> Any:
    from .editing.masks import REGIONS, read_mask, region_mask

    mask = options["mask"]
    return region_mask(mask, size, options["random"]) if mask in REGIONS else read_mask(mask, size)


def _learn_classes(options: dict[str, Any], model: Any, config: dict[str, Any], most: int = 5000) -> list[str]:
    """The mean code of each class of the labelled examples, as options['means']; returns the names of the classes.

    The classes of examples in a folder need not be those of a conditional model: it is told its likeliest ones.
    """
    import numpy as np

    from .data import ImageFolder
    from .data.dataset import gather
    from .editing.attribute import class_means, likely_labels
    from .editing.latents import encode
    from .training.recipe import load_data

    channels, *sides = model.image_shape
    if "examples" in options:
        data: Any = ImageFolder(options.pop("examples"), size=tuple(sides), mode="RGB" if channels == 3 else "L")
    else:
        data = load_data(**config["data"])[0]
    names = [str(name) for name in data.classes]
    if len(names) < 2:
        raise UsageError("an attribute needs examples of two classes or more: --examples FOLDER, with a sub-folder for each")
    images, labels = gather(data, np.arange(min(len(data), most)))
    told = likely_labels(model, images) if getattr(model, "classes", 0) else None
    options["means"] = class_means(encode(model, images, told), labels, len(names))
    return names


def _interpolate(args: argparse.Namespace, model: Any, options: dict[str, Any]) -> int:
    import numpy as np

    from . import viz
    from .editing.image_io import Picture, read_picture, write_picture
    from .editing.operations import interpolated

    paths = _expand(args.images)
    if len(paths) < 2:
        raise UsageError("interpolate needs at least two pictures")
    args.out.mkdir(parents=True, exist_ok=True)
    images = interpolated(model, [read_picture(p) for p in paths], options.get("steps", 8), options.get("way", "spherical"))
    name, steps = f"{paths[0].stem}-{paths[-1].stem}-interpolate", options.get("steps", 8)
    rows = np.concatenate([images[k : k + steps + 1] for k in range(0, len(images) - 1, steps)])  # from each picture to the next
    sheet = viz.grid(rows, columns=steps + 1)
    print(write_picture(Picture(np.ascontiguousarray(sheet.transpose(2, 0, 1))), args.out / f"{name}.{args.format or 'png'}"))
    if options.get("gif"):
        print(viz.save_gif(viz.magnified(np.concatenate([images, images[-2:0:-1]])), args.out / f"{name}.gif"))
    return 0


# -------------------------------------------------------------------------------------------------------------- explain


def _explain(args: argparse.Namespace) -> int:
    from .editing.explanation import explained, is_classifier

    model, config = trained(args)
    if not is_classifier(model):
        raise UsageError(f"{args.run} is a run of {kind(model, config)}; explain needs a run of a cnn: nnscratch train cnn")
    names = class_names(config, model.config["classes"])
    target = None if args.target is None else class_number(args.target, names, "--target")

    def work(picture: Any, name: Path) -> tuple[list[tuple[Any, Path]], str]:
        sheet, shares, shown = explained(model, picture, target)
        best = shares.argsort()[::-1][:3]
        remark = f": {', '.join(f'{names[k]} {shares[k]:.1%}' for k in best)}; explained: {names[shown]}"
        return [(sheet, name.with_suffix(".png"))], remark

    return _for_each(args, "explained", work)


# ------------------------------------------------------------------------------------------------------------ anonymize


def _anonymize(args: argparse.Namespace) -> int:
    from .editing.anonymize import METHODS, anonymize, parse_region

    asked = [(method, text) for method in METHODS for text in getattr(args, method)]
    if not asked:
        raise UsageError("nothing to hide: give regions by --mask, --pixelate or --blur, such as --mask 40,25,60,80")
    for _, text in asked:
        try:
            parse_region(text, (1 << 40, 1 << 40))
        except ValueError as fault:
            raise UsageError(str(fault)) from None

    def work(picture: Any, target: Path) -> tuple[list[tuple[Any, Path]], str]:
        regions = [(method, parse_region(text, picture.size)) for method, text in asked]
        masked = [region for method, region in regions if method == "mask"]
        picture = anonymize(picture, "mask", masked)  # first: no average may be taken of what is to be gone
        for method, region in regions:
            picture = anonymize(picture, method, [region])
        picture = anonymize(picture, "mask", masked)  # last: masks are black throughout
        return [(picture, target)], ""

    return _for_each(args, "anonymized", work)


# ----------------------------------------------------------------------------------------------------------------- runs


def _runs(args: argparse.Namespace) -> int:
    from .training.overview import find_runs, table

    if not args.folder.is_dir():
        raise UsageError(f"{args.folder}: no such folder; give the one that holds the runs")
    entries = list(find_runs(args.folder))
    if not entries:
        print(f"no runs in {args.folder}; nnscratch train ... --out {args.folder / 'NAME'} makes one")
        return 0
    print(table(entries, args.folder))
    return 0


COMMANDS = {"edit": _edit, "explain": _explain, "anonymize": _anonymize, "runs": _runs}
