"""The command line; the commands about pictures and trained runs are in `cli_trained` and `cli_generate`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import cli_generate, cli_trained
from .cli_options import UsageError, parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parser(COMMANDS).parse_args(argv)
    if getattr(args, "quiet", False):
        os.environ.setdefault("NNSCRATCH_QUIET", "1")  # no note while kernels compile
    from .training import Interrupted

    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
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


def _show_warning(message: Warning | str, *_where: Any, **_more: Any) -> None:
    print(f"nnscratch: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _one_line(fault: BaseException) -> str:
    text = str(fault)
    if isinstance(fault, OSError) and fault.strerror:
        text = fault.strerror if fault.filename is None else f"{fault.filename}: {fault.strerror}"
    return " ".join([*text.split(), *getattr(fault, "__notes__", ())]) or type(fault).__name__


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


_TRAINING = (
    "epochs", "batch_size", "lr", "schedule", "seed", "augment", "clip_norm", "weight_decay", "l1", "ema", "patience",
    "private_noise", "private_clip", "save_every",
)  # fmt: skip


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in _TRAINING if getattr(args, name) is not None}


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the system's own that were given."""
    from .training.tasks import TASKS

    return {name: getattr(args, name) for name in TASKS[args.model].options if getattr(args, name) is not None}


def _fresh(args: argparse.Namespace, run: Any) -> tuple[dict[str, Any], Any, None]:
    """The configuration and the data of a new run in --out, which must not hold anything that would be lost."""
    from .training.recipe import configure

    _check_data(args)
    if run.exists() and not args.force:
        raise UsageError(f"{args.out} already holds a run; continue it with --resume, or start again with --force")
    if not run.exists() and args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise UsageError(f"{args.out} exists and is not a run directory; choose another --out")
    data = {"name": args.data, "size": args.size, "limit": args.limit, "skip_bad": bool(args.skip_bad), "label": args.label}
    return *configure(args.model, data, _given(args), _options(args)), None


def _check_data(args: argparse.Namespace) -> None:
    from .data import NAMES

    name = args.data
    expected = f"one of {', '.join(NAMES)}"
    if name is None:
        raise UsageError(f"--data is needed for a new run: {expected}")
    if name == "folder:":
        raise UsageError("--data folder: needs the path of a folder of pictures, such as folder:photos")
    if name not in NAMES and not name.startswith("folder:"):
        folder = f"; for the pictures in that folder write {shlex.quote(f'folder:{name}')}" if Path(name).is_dir() else ""
        raise UsageError(f"unknown data set {name!r}: expected {expected}{folder}")
    if args.skip_bad and not name.startswith("folder:"):
        raise UsageError(f"--skip-bad is for folders of pictures, not for {name}")
    if args.label and name != "shapes":
        raise UsageError(f"--label is for shapes, which have several attributes, not for {name}")


def _continued(args: argparse.Namespace, run: Any) -> tuple[dict[str, Any], None, Any]:
    """The configuration and latest checkpoint of the run in --out. Options other than those that may change must agree."""
    from .training.recipe import newest, saved_config

    if not run.exists():
        raise UsageError(f"there is no run to resume in {args.out} (no config.json); leave out --resume to start one")
    config, checkpoint = saved_config(run), newest(run)
    if checkpoint is None:
        raise UsageError(f"the run in {args.out} has no checkpoint yet, so there is nothing to resume; start again with --force")
    was_on = str(config["data"]["name"])
    if was_on.startswith("folder:") and not Path(was_on.removeprefix("folder:")).is_dir():  # it may have been moved
        config["data"] = cli_trained.data_of(args.out, config, args.data)
        args.data = config["data"]["name"]
    asked = {
        "model": args.model,
        "--data": args.data,
        "--size": args.size,
        "--limit": args.limit,
        "--skip-bad": args.skip_bad,
        "--label": args.label,
    }
    was = {
        "model": config["task"],
        "--data": config["data"]["name"],
        "--size": config["data"]["size"],
        "--limit": config["data"]["limit"],
        "--skip-bad": config["data"].get("skip_bad", False),
        "--label": config["data"].get("label"),
    }
    training = config["training"]
    for name, value in _given(args).items():
        if name in ("epochs", "save_every"):
            training[name] = value
        else:
            asked[f"--{name.replace('_', '-')}"], was[f"--{name.replace('_', '-')}"] = value, training[name]
    if args.model == config["task"]:
        for name, value in _options(args).items():
            asked[f"--{name.replace('_', '-')}"], was[f"--{name.replace('_', '-')}"] = value, config["options"][name]
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
    from .training.recipe import check_classes, load_data, restore, saved_config, task_of

    run = Run(args.run)
    model, checkpoint = restore(run, args.best, args.device)
    config = saved_config(run)
    config["data"] = cli_trained.data_of(args.run, config, args.data)
    train, test = load_data(**config["data"])
    check_classes(config, train)
    task = task_of(config)
    task.begin(config["data"], train, run.folder)
    if args.judge is not None:
        task.judged_by(_classifier(Run(args.judge), task.input_shape(config["model"]), args.device))
    bound = task.likelihood_bound(model, test, args.iwae) if args.iwae else None
    numbers = task.report(model, test)
    print(f"{config['task']} of {args.run} at step {checkpoint.step}, on {len(test)} test images of {config['data']['name']}")
    width = max(15, *map(len, numbers))
    for name, value in numbers.items():
        print(f"  {name:<{width}} {value:.6g}")
    if bound is not None:
        print(f"  {'iwae_nll':<{width}} {bound[0]:.6g} +- {bound[1]:.2g} ({args.iwae} samples)")
    return 0


def _classifier(run: Any, made: tuple[int, ...], device: str) -> Any:
    """The trained network of a cnn run, which has to take images of the shape that is made."""
    from .training.recipe import restore, saved_config
    from .training.tasks import TASKS

    config = saved_config(run)
    if config["task"] != "cnn":
        raise UsageError(f"--judge {run.folder}: expected the run of a cnn, not of a {config['task']}")
    if (takes := TASKS["cnn"].input_shape(config["model"])) != made:
        raise UsageError(f"--judge {run.folder}: the cnn takes images {takes}, the samples are {made}")
    return restore(run, device=device)[0]


def _summary(args: argparse.Namespace) -> int:
    import numpy as np

    from . import models
    from .nn import summary
    from .training.checkpoint import Run
    from .training.recipe import saved_config
    from .training.tasks import TASKS

    if args.model in TASKS:
        _check_data(args)
        task = args.model
        size = args.size or TASKS[task].sizes.get(args.data)
        shape, classes = _form_of({"name": args.data, "size": size, "skip_bad": bool(args.skip_bad), "label": args.label})
        TASKS[task]().check_sample(args.data, (np.empty(shape),))
        config = TASKS[task]().model_config(shape, classes)
    elif Path(args.model).is_dir():
        saved = saved_config(Run(args.model))
        task, config = saved["task"], saved["model"]
    else:
        raise UsageError(f"{args.model!r} is neither a kind of model ({', '.join(TASKS)}) nor a run directory")
    model = models.build(task, config)
    print("\n\n".join(str(summary(part, shape, **others)) for part, shape, others in TASKS[task].parts(model)))
    return 0


def _form_of(data: dict[str, Any]) -> tuple[tuple[int, ...], int]:
    """The shape of the images of a data set and its number of classes; of the well-known ones without reading them."""
    from .training.recipe import load_data

    if data["name"] in ("mnist", "fashion-mnist", "kmnist", "cifar10"):
        channels, side = (3, 32) if data["name"] == "cifar10" else (1, 28)
        return (channels, data["size"] or side, data["size"] or side), 10
    train = load_data(**data)[0]
    return train[0][0].shape, len(train.classes)


def _gradcheck(args: argparse.Namespace) -> int:
    from .gradcheck.audit import command

    try:
        command.entries(args.pattern)
    except ValueError as fault:
        raise UsageError(str(fault)) from None
    return command.run(args.pattern, order=args.order, seed=args.seed, dtype=args.dtype, html=args.html)


def _bench(args: argparse.Namespace) -> int:
    from .bench import command

    try:
        chosen = command.choose(args.suite, args.only)
    except ValueError as fault:
        raise UsageError(str(fault)) from None
    pace = {"rounds": args.rounds, "quick": args.quick, "threads": args.threads}
    return command.run(chosen, **pace, output=args.output, part=args.only)


def _warmup(args: argparse.Namespace) -> int:
    from . import warmup

    return warmup.run(quiet=args.quiet) if args.cuda is None else warmup.run_cuda(args.cuda, quiet=args.quiet)


COMMANDS = {
    "demo": _demo,
    "train": _train,
    "evaluate": _evaluate,
    "summary": _summary,
    "gradcheck": _gradcheck,
    "bench": _bench,
    "warmup": _warmup,
    **cli_trained.COMMANDS,
    **cli_generate.COMMANDS,
}

if __name__ == "__main__":
    sys.exit(main())
