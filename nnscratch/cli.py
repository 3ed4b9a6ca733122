"""The command line: `nnscratch demo | train | evaluate | summary | gradcheck`."""

from __future__ import annotations

import argparse
import shlex
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
  nnscratch gradcheck 'conv|pool' --order 2                 check the library's own derivatives against numeric ones

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
        print(f"nnscratch: {'; '.join([str(stop), *getattr(stop, '__notes__', ())])}", file=sys.stderr)
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
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder to write to (default: runs/demo)")
    demo.add_argument("--quiet", action="store_true", help="print only the pictures")

    train = command("train", _train, "train a model", EXAMPLES)
    train.add_argument("model", choices=("cnn", "vae"), help="cnn: classify images; vae: generate images")
    _data_options(train, default=None, note="; needed unless --resume")
    train.add_argument("--limit", type=_count, metavar="N", help="use only the first N training and N test images")
    train.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="run directory: config, metrics, pictures, checkpoints"
    )
    passes = "passes over the training images (default: cnn 5, vae 10; 15 and 40 for up to 5000)"
    train.add_argument("--epochs", type=_count, metavar="N", help=passes)
    train.add_argument("--batch-size", type=_count, metavar="N", help="images in a step (default: 128; 32 for up to 5000 images)")
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

    check = command("gradcheck", _gradcheck, "hold the derivatives of every op, layer and loss against numeric ones")
    check.add_argument("pattern", nargs="?", default="", help="regular expression for the entries wanted (default: all)")
    check.add_argument("--order", type=_count, default=1, metavar="N", help="check derivatives of orders 1 to N (default: 1)")
    check.add_argument("--html", type=Path, metavar="FILE", help="write a page with every error-against-step curve")
    check.add_argument("--seed", type=_natural, default=0, help="seed of the inputs and of the directions (default: 0)")
    check.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="of the inputs (default: float64)")
    return parser


def _data_options(parser: argparse.ArgumentParser, default: str | None, note: str) -> None:
    from .data import NAMES

    parser.add_argument("--data", default=default, metavar="NAME", help=", ".join(NAMES) + note)
    parser.add_argument("--size", type=_count, metavar="N", help="scale the images to N x N pixels (digits, shapes, folders)")


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
        _resume(session.trainer, checkpoint, run, args.quiet)
        run.write_config(config)  # the number of epochs may have changed
    else:
        run.create(config)
    _fit(session)
    _show(session.pictures(), args.out)
    return 0


def _resume(trainer: Any, checkpoint: Any, run: Any, quiet: bool) -> None:
    from .training import CheckpointError

    try:
        trainer.resume(checkpoint)
    except CheckpointError as fault:
        if older := [c for c in run.checkpoints() if c.step < checkpoint.step]:
            fault.add_note(f"(without the folder {checkpoint.folder} the run continues from step {older[-1].step})")
        raise
    if quiet:
        return
    if trainer.epoch >= trainer.epochs:
        print(f"all {trainer.epoch} epochs are done; --epochs {trainer.epoch + 5} would add 5")
    else:
        print(f"continuing at step {checkpoint.step}, epoch {trainer.epoch + 1} of {trainer.epochs}")


def _fit(session: Any) -> None:
    """Train, and let a signal that ends it say how to go on."""
    from .training import Interrupted

    try:
        session.trainer.fit()
    except Interrupted as stop:
        folder = shlex.quote(str(session.run.folder))
        stop.add_note(f"the run is saved, continue it with: nnscratch train {session.task.name} --out {folder} --resume")
        raise


_TRAINING = ("epochs", "batch_size", "lr", "seed", "augment", "clip_norm", "ema", "patience", "save_every")


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in _TRAINING if getattr(args, name) is not None}


def _fresh(args: argparse.Namespace, run: Any) -> tuple[dict[str, Any], Any, None]:
    """The configuration and the data of a new run in --out, which must not hold anything that would be lost."""
    from .training.recipe import configure

    _check_data_name(args.data)
    if run.exists() and not args.force:
        raise UsageError(f"{args.out} already holds a run; continue it with --resume, or start again with --force")
    if not run.exists() and args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise UsageError(f"{args.out} exists and is not a run directory; choose another --out")
    return *configure(args.model, {"name": args.data, "size": args.size, "limit": args.limit}, _given(args)), None


def _check_data_name(name: str | None) -> None:
    from .data import NAMES

    expected = f"one of {', '.join(NAMES)}"
    if name is None:
        raise UsageError(f"--data is needed for a new run: {expected}")
    if name == "folder:":
        raise UsageError("--data folder: needs the path of a folder of pictures, such as folder:photos")
    if name not in NAMES and not name.startswith("folder:"):
        folder = f"; for the pictures in that folder write folder:{name}" if Path(name).is_dir() else ""
        raise UsageError(f"unknown data set {name!r}: expected {expected}{folder}")


def _continued(args: argparse.Namespace, run: Any) -> tuple[dict[str, Any], None, Any]:
    """The configuration and latest checkpoint of the run in --out. Options other than those that may change must agree."""
    from .training.recipe import saved_config

    if not run.exists():
        raise UsageError(f"there is no run to resume in {args.out} (no config.json); leave out --resume to start one")
    config, checkpoint = saved_config(run), run.latest()
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
        _fit(session)
        pictures |= session.pictures()
    print()
    _show(pictures, args.out)
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from .training.checkpoint import Run
    from .training.recipe import load_data, restore, saved_config
    from .training.tasks import TASKS

    run = Run(args.run)
    model, checkpoint = restore(run, args.best, args.device)
    config = saved_config(run)
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
    from .training.recipe import saved_config
    from .training.tasks import TASKS

    if args.model in TASKS:
        _check_data_name(args.data)
        task = args.model
        shape, classes = _form_of(args.data, args.size or TASKS[task].sizes.get(args.data))
        config = TASKS[task].model_config(shape, classes)
    elif Path(args.model).is_dir():
        saved = saved_config(Run(args.model))
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


def _gradcheck(args: argparse.Namespace) -> int:
    from .gradcheck.audit import command

    try:
        command.entries(args.pattern)
    except ValueError as fault:
        raise UsageError(str(fault)) from None
    return command.run(args.pattern, order=args.order, seed=args.seed, dtype=args.dtype, html=args.html)


if __name__ == "__main__":
    sys.exit(main())
