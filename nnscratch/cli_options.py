"""What the command line accepts: its commands, their options, and the help of each."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .training.tasks import Option, Task

EXAMPLES = """\
examples:
  nnscratch demo                                            train a classifier and a generator on real digits, in a minute
  nnscratch train cnn --data mnist --out runs/cnn           train on MNIST; pictures and checkpoints go to runs/cnn
  nnscratch train cnn --data mnist --out runs/cnn --resume  continue where it was stopped, or killed
  nnscratch train vae --data folder:photos --size 32 --out runs/photos
  nnscratch train dcgan --data mnist --out runs/dcgan       a generative adversarial network; its samples are judged each epoch
  nnscratch train map-vae --data shapes --label colour --out runs/colour    pictures whose colour can be changed
  nnscratch evaluate runs/cnn                               its numbers on the test images
  nnscratch summary vae --data mnist                        layers, parameters, multiply-adds
  nnscratch generate runs/vae -n 64 --grid                  new images
  nnscratch explain runs/cnn cat.jpg                        what the classifier looks at
  nnscratch edit runs/denoiser denoise holiday/             pictures of any size; --help lists the operations
  nnscratch anonymize street.jpg --mask 40,25,60,80         hide a region, and strip the place where it was taken
  nnscratch runs                                            all runs with their last numbers
  nnscratch gradcheck 'conv|pool' --order 2                 check the library's own derivatives against numeric ones
  nnscratch bench steps --output results                    time training steps side by side with PyTorch
  nnscratch warmup                                          compile the CPU kernels now instead of during a first step

Ctrl-C finishes the step, saves and leaves; pressed twice, it leaves at once.
exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 stopped by SIGTERM
"""


_NUMBERS = """\
loss: cross-entropy in nats an image (cnn, lstm), or in nats a pixel (conv-lstm); squared error of values in 0..1 (autoencoder);
an upper bound of -log p(x) in nats an image (vae), or that itself (row-lstm). map-vae: the bound with beta in it.
plain_psnr, still_psnr: what needs no model, for comparison. active: numbers of the code in use.
continued_psnr: of the second halves of films, foreseen from the first alone; continued_still_psnr: of a film that stops there.
*_fid, *_kid: distance of samples from test images over the features of a judge, 0 for none; lenet is that of the package (MNIST),
judge a network trained on the run's own data, pixel none. recognised: samples that the judge is sure of by 0.9 or more.
"""


class UsageError(Exception):
    """What was asked for makes no sense; the message says why."""


def parser(run: Mapping[str, Callable]) -> argparse.ArgumentParser:
    """The parser; `run` has the function of each command."""
    from . import __version__, cli_trained_options
    from .training.tasks import TASKS

    top = argparse.ArgumentParser(
        prog="nnscratch",
        description="Train and look at neural networks written from scratch on NumPy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"nnscratch {__version__}")
    top.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, help: str, examples: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=help, description=help, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        sub.set_defaults(command=run[name])
        # Also after the command; without a default here it would undo the one given before it.
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show the full traceback of an error")
        return sub

    demo = command("demo", "train a small CNN and a small VAE on the embedded digits and draw pictures")
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder to write to (default: runs/demo)")
    demo.add_argument("--quiet", action="store_true", help="print only the pictures")

    train = command("train", "train a model", EXAMPLES)
    systems = train.add_subparsers(title="systems", dest="model", metavar="SYSTEM", required=True)
    for task in TASKS.values():
        system = systems.add_parser(task.name, help=task.about, description=f"train a {task.name}: {task.about}")
        system.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show the full traceback of an error")
        _training_options(system, task)

    evaluate = command("evaluate", "print the numbers of a trained model on its test images", _NUMBERS)
    evaluate.add_argument("run", type=Path, metavar="RUN", help="run directory")
    evaluate.add_argument("--best", action="store_true", help="the checkpoint with the lowest loss instead of the latest")
    bound = "also the log-likelihood bound of a VAE from K samples an image (500 or more tell it to a few tenths of a nat)"
    evaluate.add_argument("--iwae", type=_count, metavar="K", help=bound)
    moved = "where the pictures are now, of a run that was trained on a folder of them (its test part is taken, as in training)"
    evaluate.add_argument("--data", metavar="FOLDER", help=moved)
    judge = "run of a cnn, whose features and classes judge a generator's samples (default: a LeNet)"
    evaluate.add_argument("--judge", type=Path, metavar="RUN", help=judge)
    evaluate.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")

    summary = command("summary", "print the layers of a model, their shapes and what they cost")
    summary.add_argument("model", metavar="SYSTEM | RUN", help="a kind of model, or the directory of a run")
    _data_options(summary, default="mnist", note=" (default: mnist)")

    cli_trained_options.add(command)

    check = command("gradcheck", "hold the derivatives of every op, layer and loss against numeric ones")
    check.add_argument("pattern", nargs="?", default="", help="regular expression for the entries wanted (default: all)")
    check.add_argument("--order", type=_count, default=1, metavar="N", help="check derivatives of orders 1 to N (default: 1)")
    check.add_argument("--html", type=Path, metavar="FILE", help="write a page with every error-against-step curve")
    check.add_argument("--seed", type=_natural, default=0, help="seed of the inputs and of the directions (default: 0)")
    check.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="of the inputs (default: float64)")

    bench = command("bench", "validate and time training steps, layers and more, side by side with PyTorch where it is installed")
    suites = "steps (default), untuned, layers, scaling, overhead, all, or a Python file with a function cases()"
    bench.add_argument("suite", nargs="?", default="steps", metavar="SUITE", help=suites)
    bench.add_argument("--only", default="", metavar="TEXT", help="only cases with this in their names")
    bench.add_argument("--rounds", type=_count, metavar="N", help="how often the processes take turns (default: 5; overhead 7)")
    bench.add_argument("--quick", action="store_true", help="two short rounds, no cold start: to see that it works")
    bench.add_argument("--threads", type=_count, metavar="N", help="of each library (default: as many as it takes by itself)")
    bench.add_argument("--output", type=Path, metavar="DIR", help="also write a table, all numbers as JSON, and pictures")

    warmup = command("warmup", "compile the CPU kernels ahead, for later runs")
    warmup.add_argument("--quiet", action="store_true", help="print nothing but errors")
    warmup.add_argument(
        "--cuda",
        nargs="?",
        const="",
        metavar="ARCHITECTURE",
        help="the CUDA kernels instead, for this machine's GPU or for sm_90a, ...",
    )
    return top


def _training_options(train: argparse.ArgumentParser, task: type[Task]) -> None:
    from .training.schedule import SCHEDULES
    from .training.tasks import SMALL_SET

    few, many = task.small_set, task.large_set
    _data_options(train, default=None, note="; needed unless --resume")
    train.add_argument("--limit", type=_count, metavar="N", help="use only the first N training and N test images")
    train.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="run directory: config, metrics, pictures, checkpoints"
    )
    passes = f"passes over the training images (default: {many['epochs']}; {few['epochs']} for up to {SMALL_SET} images)"
    train.add_argument("--epochs", type=_count, metavar="N", help=passes)
    size = f"images in a step (default: {many['batch_size']}; {few['batch_size']} for up to {SMALL_SET} images)"
    train.add_argument("--batch-size", type=_count, metavar="N", help=size)
    rate = f"learning rate (default: {many['lr']:g}; {few['lr']:g} for up to {SMALL_SET} images)"
    train.add_argument("--lr", type=_positive, help=rate)
    usual = many.get("schedule", "constant")
    fall = f"how the learning rate falls: {', '.join(SCHEDULES)} (default: {usual}; plateau judges by a tenth held out)"
    train.add_argument("--schedule", choices=SCHEDULES, metavar="NAME", help=fall)
    train.add_argument("--seed", type=_natural, help="seed of weights, order and noise (default: 0)")
    train.add_argument("--augment", action="store_true", default=None, help="shift images at random; mirror colour ones")
    train.add_argument("--clip-norm", type=_positive, metavar="X", help="largest norm of the gradient")
    train.add_argument("--weight-decay", type=_amount, metavar="X", help="L2: X times each weight is added to its gradient")
    train.add_argument(
        "--l1", type=_amount, metavar="X", help="L1: X times the sum of the weights' magnitudes is added to the loss"
    )
    averages = f"{many.get('ema', 0):g}; {few.get('ema', 0):g} for up to {SMALL_SET} images"
    averaged = f"decay of averaged weights to evaluate and draw with, 0 for none (default: {averages})"
    train.add_argument("--ema", type=_decay, metavar="DECAY", help=averaged)
    train.add_argument("--patience", type=_count, metavar="N", help="stop after N epochs without improvement on a tenth held out")
    noise = "DP-SGD: noise in the gradients, in units of the clipping norm; each epoch tells its epsilon (keep --seed a secret)"
    train.add_argument("--private-noise", type=_positive, metavar="X", help=noise)
    clip = "DP-SGD: largest norm of the gradient of one image (default: 1)"
    train.add_argument("--private-clip", type=_positive, metavar="X", help=clip)
    train.add_argument("--save-every", type=_count, metavar="N", help="also save a checkpoint every N steps")
    train.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    train.add_argument("--quiet", action="store_true", help="print nothing but warnings, errors and the pictures' names")
    again = train.add_mutually_exclusive_group()
    again.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in DIR; only --epochs and --save-every may change, and --data where a folder has moved",
    )
    again.add_argument("--force", action="store_true", help="start again even if DIR holds a run")
    own = train.add_argument_group(f"options of {task.name}") if task.options else None
    for name, option in task.options.items():
        assert own is not None
        flag, default = f"--{name.replace('_', '-')}", option.default
        if isinstance(default, bool):
            text = f"{option.help} (default: {'yes' if default else 'no'})"
            own.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            choices = option.choices or None
            own.add_argument(
                flag, dest=name, type=_value(name, option), choices=choices, help=f"{option.help} (default: {default})"
            )


def _value(name: str, option: Option) -> Callable[[str], Any]:
    """The parser of an option's text."""

    def parse(text: str) -> Any:
        kind = type(option.default)
        try:
            return option.check(name, text if kind is str else kind(text))
        except ValueError as fault:
            wanted = str(fault).removeprefix(f"option {name}: ") if str(fault).startswith("option") else "expected a number"
            raise argparse.ArgumentTypeError(f"{wanted.partition(', got')[0]}, got {text!r}") from None

    return parse


def _data_options(parser: argparse.ArgumentParser, default: str | None, note: str) -> None:
    from .data import NAMES, Shapes

    parser.add_argument("--data", default=default, metavar="NAME", help=", ".join(NAMES) + note)
    parser.add_argument("--size", type=_count, metavar="N", help="scale the images to N x N pixels")
    parser.add_argument(
        "--skip-bad", action="store_true", default=None, help="leave out pictures of a folder that cannot be read"
    )
    attributes = tuple(Shapes.attribute_names)
    label = f"what the label of shapes is: {', '.join(attributes)} (default: {attributes[0]})"
    parser.add_argument("--label", choices=attributes, metavar="ATTRIBUTE", help=label)


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


def _amount(text: str) -> float:
    return _number(text, float, lambda v: 0 <= v < float("inf"), "a number of at least 0")


def _decay(text: str) -> float:
    return _number(text, float, lambda v: 0 <= v < 1, "a number from 0 to below 1")
