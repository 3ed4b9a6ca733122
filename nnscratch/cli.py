"""The command line: `nnscratch demo | train | evaluate | summary`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  nnscratch demo                                            train a classifier and a generator on real digits, in a minute
  nnscratch train cnn --data mnist --out runs/cnn           train on MNIST; pictures and checkpoints go to runs/cnn
  nnscratch train cnn --data mnist --out runs/cnn --resume  continue where it was stopped, or killed
  nnscratch train vae --data folder:photos --size 32 --out runs/photos
  nnscratch evaluate runs/cnn                               its numbers on the test images
  nnscratch summary vae --data mnist                        layers, parameters, multiply-adds

Ctrl-C finishes the step, saves and leaves; pressed twice, it leaves at once.
exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 stopped by SIGTERM
"""


class UsageError(Exception):
    """What was asked for makes no sense; the message says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = _parser().parse_args(argv)
    from .training import Interrupted

    try:
        return args.command(args)
    except KeyboardInterrupt:
        print("\nnnscratch: stopped at once", file=sys.stderr)
        return 130
    except Interrupted as stop:
        print(f"nnscratch: {stop}; the run is saved, continue it with --resume", file=sys.stderr)
        return 128 + stop.signum
    except BrokenPipeError:
        return 1
    except (UsageError, ValueError, OSError, RuntimeError, MemoryError, ImportError) as fault:
        if args.debug:
            raise
        print(f"nnscratch: error: {_one_line(fault)}", file=sys.stderr)
        return 2 if isinstance(fault, UsageError) else 1


def _one_line(fault: BaseException) -> str:
    text = str(fault)
    if isinstance(fault, OSError) and fault.strerror:
        text = fault.strerror if fault.filename is None else f"{fault.filename}: {fault.strerror}"
    return " ".join([*text.split(), *getattr(fault, "__notes__", ())]) or type(fault).__name__


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(
        prog="nnscratch",
        description="Train and look at neural networks written from scratch on NumPy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nnscratch {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Any, help: str, examples: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=help, description=help, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        sub.set_defaults(command=run)
        # Also after the command; without a default here it would undo the one given before it.
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show the full traceback of an error")
        return sub

    demo = command("demo", _demo, "train a small CNN and a small VAE on the embedded digits and draw pictures")
    demo.add_argument("--out", type=Path, default=Path("nnscratch-demo"), help="folder to write to (default: ./nnscratch-demo)")
    demo.add_argument("--quiet", action="store_true", help="print only the pictures")

    train = command("train", _train, "train a model", EXAMPLES)
    train.add_argument("model", choices=("cnn", "vae"), help="cnn: classify images; vae: generate images")
    _data_options(train, default=None, note="; needed unless --resume")
    train.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="run directory: config, metrics, pictures, checkpoints"
    )
    train.add_argument("--epochs", type=_count, metavar="N", help="passes over the training images")
    train.add_argument("--batch-size", type=_count, metavar="N", help="images in a step")
    train.add_argument("--lr", type=_positive, help="learning rate of Adam (default: 0.002 for a CNN on few images, else 0.001)")
    train.add_argument("--seed", type=_natural, help="seed of weights, order and noise (default: 0)")
    train.add_argument("--augment", action="store_true", default=None, help="shift images at random; mirror colour ones")
    train.add_argument("--clip-norm", type=_positive, metavar="X", help="largest norm of the gradient")
    train.add_argument("--ema", type=_decay, metavar="DECAY", help="evaluate and draw with averaged weights, such as 0.999")
    train.add_argument("--patience", type=_count, metavar="N", help="stop after N epochs without improvement on a tenth held out")
    train.add_argument("--save-every", type=_count, metavar="N", help="also save a checkpoint every N steps")
    train.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    train.add_argument("--quiet", action="store_true", help="print nothing but errors and the pictures' names")
    again = train.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue the run in DIR; only --epochs and --save-every may change")
    again.add_argument("--force", action="store_true", help="start again even if DIR holds a run")

    evaluate = command("evaluate", _evaluate, "print the numbers of a trained model on its test images")
    evaluate.add_argument("run", type=Path, metavar="RUN", help="run directory")
    evaluate.add_argument("--best", action="store_true", help="the checkpoint with the lowest loss instead of the latest")
    evaluate.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")

    summary = command("summary", _summary, "print the layers of a model, their shapes and what they cost")
    summary.add_argument("model", metavar="cnn | vae | RUN", help="a kind of model, or the directory of a run")
    _data_options(summary, default="mnist", note=" (default: mnist)")
    return parser


def _data_options(parser: argparse.ArgumentParser, default: str | None, note: str) -> None:
    from .data import NAMES

    parser.add_argument("--data", default=default, metavar="NAME", help=", ".join(NAMES) + note)
    parser.add_argument("--size", type=_count, metavar="N", help="scale the images to N x N pixels (digits, shapes, folders)")
    parser.add_argument("--limit", type=_count, metavar="N", help="use only the first N training and N test images")


def _number(text: str, kind: type, inside: Any, what: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not inside(value):
        raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
    return value


def _count(text: str) -> int:
    return _number(text, int, lambda v: v >= 1, "a whole number of at least 1")


def _natural(text: str) -> int:
    return _number(text, int, lambda v: v >= 0, "a whole number of at least 0")


def _positive(text: str) -> float:
    return _number(text, float, lambda v: 0 < v < float("inf"), "a positive number")


def _decay(text: str) -> float:
    return _number(text, float, lambda v: 0 <= v < 1, "a number from 0 to below 1")


# -------------------------------------------------------------------------------------------------------------- commands


def _train(args: argparse.Namespace) -> int:
    from .training.checkpoint import Run
    from .training.recipe import Session

    run = Run(args.out)
    config, data, checkpoint = _continued(args, run) if args.resume else _fresh(args, run)
    session = Session(config, run, data, device=args.device, quiet=args.quiet)
    if checkpoint is not None:
        session.trainer.resume(checkpoint)
        run.write_config(config)  # the number of epochs may have changed
        if not args.quiet:
            print(f"continuing at step {checkpoint.step}, epoch {session.trainer.epoch + 1} of {session.trainer.epochs}")
    else:
        run.create(config)
    session.trainer.fit()
    _show(session.pictures(), args.out)
    return 0


_TRAINING = ("epochs", "batch_size", "lr", "seed", "augment", "clip_norm", "ema", "patience", "save_every")


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in _TRAINING if getattr(args, name) is not None}


def _fresh(args: argparse.Namespace, run: Any) -> tuple[dict[str, Any], Any, None]:
    """The configuration and the data of a new run in --out, which must not hold anything that would be lost."""
    from .data import NAMES
    from .training.recipe import configure

    if args.data is None:
        raise UsageError(f"--data is needed for a new run: one of {', '.join(NAMES)}")
    if args.data not in NAMES and not args.data.startswith("folder:"):
        raise UsageError(f"unknown data set {args.data!r}: expected one of {', '.join(NAMES)}")
    if run.exists() and not args.force:
        raise UsageError(f"{args.out} already holds a run; continue it with --resume, or start again with --force")
    if not run.exists() and args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise UsageError(f"{args.out} exists and is not a run directory; choose another --out")
    return *configure(args.model, {"name": args.data, "size": args.size, "limit": args.limit}, _given(args)), None


def _continued(args: argparse.Namespace, run: Any) -> tuple[dict[str, Any], None, Any]:
    """The configuration and latest checkpoint of the run in --out. Options other than those that may change must agree."""
    if not run.exists():
        raise UsageError(f"there is no run to resume in {args.out}; leave out --resume to start one")
    config, checkpoint = run.config, run.latest()
    if checkpoint is None:
        raise UsageError(f"the run in {args.out} has no checkpoint yet, so there is nothing to resume; start again with --force")
    asked = {"model": args.model, "--data": args.data, "--size": args.size, "--limit": args.limit}
    was = {
        "model": config["task"],
        "--data": config["data"]["name"],
        "--size": config["data"]["size"],
        "--limit": config["data"]["limit"],
    }
    training = config["training"]
    for name, value in _given(args).items():
        if name in ("epochs", "save_every"):
            training[name] = value
        else:
            asked[f"--{name.replace('_', '-')}"], was[f"--{name.replace('_', '-')}"] = value, training[name]
    for name, value in asked.items():
        if value is not None and value != was[name]:
            raise UsageError(f"the run in {args.out} was started with {name} {was[name]}, which cannot become {value} on the way")
    return config, None, checkpoint


def _show(pictures: dict[Path, str], folder: Path) -> None:
    print(f"pictures in {folder}{'/' if folder.name else ''}:")
    names = {path: str(path.relative_to(folder)) for path in pictures}
    width = max(map(len, names.values()))
    for path, shows in pictures.items():
        print(f"  {names[path]:<{width}}  {shows}")


def _demo(args: argparse.Namespace) -> int:
    from .training.checkpoint import Run
    from .training.recipe import Session, configure

    if args.out.exists() and not args.out.is_dir():
        raise UsageError(f"{args.out} is not a folder")
    pictures: dict[Path, str] = {}
    for task, title in (
        ("cnn", "a convolutional network learns to read digits"),
        ("vae", "a variational autoencoder learns to draw them"),
    ):
        folder = args.out / task
        run = Run(folder)
        if folder.exists() and any(folder.iterdir()) and not run.exists():
            raise UsageError(f"{folder} exists and is not a run directory; choose another --out")
        config, data = configure(task, {"name": "digits", "size": None, "limit": None}, {})
        if not args.quiet:
            print(f"\n{task}: {title}", flush=True)
        session = Session(config, run, data, quiet=args.quiet)
        run.create(config)
        session.trainer.fit()
        pictures |= session.pictures()
    print()
    _show(pictures, args.out)
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from .training.checkpoint import Run
    from .training.recipe import load_data, restore
    from .training.tasks import TASKS

    run = Run(args.run)
    model, checkpoint = restore(run, args.best, args.device)
    config = run.config
    test = load_data(**config["data"])[1]
    numbers = TASKS[config["task"]].evaluate(model, test)
    print(f"{config['task']} of {args.run} at step {checkpoint.step}, on {len(test)} test images of {config['data']['name']}")
    for name, value in numbers.items():
        print(f"  {name:<15} {value:.6g}")
    return 0


def _summary(args: argparse.Namespace) -> int:
    from . import models
    from .nn import summary
    from .training.checkpoint import Run
    from .training.tasks import TASKS

    if args.model in TASKS:
        task, (shape, classes) = args.model, _form_of(args.data, args.size)
        config = TASKS[task].model_config(shape, classes)
    elif Path(args.model).is_dir():
        saved = Run(args.model).config
        task, config = saved["task"], saved["model"]
    else:
        raise UsageError(f"{args.model!r} is neither a kind of model ({', '.join(TASKS)}) nor a run directory")
    model = models.build(task, config)
    shape = config["image_shape"] if task == "vae" else (config["in_channels"], *config["image_size"])
    print(summary(model, (1, *shape)))
    return 0


def _form_of(name: str, size: int | None) -> tuple[tuple[int, ...], int]:
    """The shape of the images of a data set and its number of classes; of the well-known ones without reading them."""
    from .training.recipe import load_data

    if name in ("mnist", "fashion-mnist", "kmnist", "cifar10"):
        channels, side = (3, 32) if name == "cifar10" else (1, 28)
        return (channels, size or side, size or side), 10
    data = load_data(name, size)[0]
    return data[0][0].shape, len(data.classes)


if __name__ == "__main__":
    sys.exit(main())
