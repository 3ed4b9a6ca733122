"""What the commands accept that use trained runs: edit, explain, generate, runs; and anonymize."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

_EDITING = """\
Pictures (PNG, JPEG, WebP and more; a folder stands for the pictures in it) may have any size. Convolutional autoencoders work
at full size, in overlapping tiles where it is large. Models of one size see the picture scaled to it, whatever its proportions,
and the result is scaled back; to inpaint they see a window around the hole. A model of grey images restores each channel of a
colour picture by itself. Transparency is kept, EXIF orientation applied, other metadata left behind; of an animation the first
frame is taken. Beside each result NAME-OP.* there is NAME-OP-strip.png with before and after.

operations:
{operations}

examples:
  nnscratch edit runs/denoiser denoise holiday/*.jpg --out cleaned
  nnscratch edit runs/filler inpaint photo.png --mask hole.png
  nnscratch edit runs/vae interpolate a.png b.png --gif
  nnscratch edit runs/colour attribute star.png --to red
  nnscratch edit runs/cnn style photo.jpg --style painting.jpg
"""

_GENERATING = """\
A vae, map-vae, gan, dcgan or wgan-gp draws images from random codes; a row-lstm draws them pixel by pixel. A conv-lstm is given
the first half of N test films (default: 6) and continues them: films.gif, and with --grid films.png with a film in each row.

examples:
  nnscratch generate runs/dcgan -n 64 --grid
  nnscratch generate runs/vae --gif --interpolate
  nnscratch generate runs/conditional --attribute 7
  nnscratch generate runs/films -n 4
"""

_ANONYMIZING = """\
A region is X,Y,WIDTH,HEIGHT from the upper left corner of the upright picture, in pixels or %, or 'all'. Each option can be
given several times. Only --mask removes everything: what --pixelate and --blur leave are at most 6x6 averages a region, which
still tell rough colours. Metadata (camera, time, GPS place, comments) is never copied.

examples:
  nnscratch anonymize street.jpg --mask 40,25,60,80 --mask 200,25,60,80
  nnscratch anonymize holiday/ --pixelate 25%,10%,50%,40% --out shared
"""


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands' parsers; `command(name, help, examples)` makes one."""
    _edit(command)
    _explain(command)
    _anonymize(command)
    _generate(command)
    runs = command("runs", "list the training runs in a folder with their last numbers")
    runs.add_argument("folder", type=Path, nargs="?", default=Path("runs"), metavar="DIR", help="where to look (default: runs)")


def _edit(command: Callable[..., argparse.ArgumentParser]) -> None:
    from .cli_options import _count, _natural, _positive
    from .editing.interpolate import WAYS
    from .editing.masks import REGIONS
    from .editing.operations import OPERATIONS

    lines = [f"  {name:<12} {operation.about}; needs {operation.needs}" for name, operation in OPERATIONS.items()]
    edit = command("edit", "edit pictures with a trained run", _EDITING.format(operations="\n".join(lines)))
    _run(edit)
    edit.add_argument("op", metavar="OP", choices=tuple(OPERATIONS), help=", ".join(OPERATIONS))
    _pictures(edit, "edited")
    regions = ", ".join(REGIONS)
    edit.add_argument("--mask", metavar="FILE|REGION", help=f"inpaint: a picture whose white is to be filled, or {regions}")
    edit.add_argument("--to", metavar="CLASS", help="attribute: the class to become, by name or number")
    edit.add_argument("--from", dest="source", metavar="CLASS", help="attribute: the class it has (default: found by the model)")
    edit.add_argument("--examples", type=Path, metavar="DIR", help="attribute: labelled examples, for classes of your own")
    edit.add_argument("--style", type=Path, metavar="FILE", help="style: the picture whose textures to take")
    edit.add_argument("--strength", type=_positive, metavar="X", help="attribute (not by label), style: how much (default: 1)")
    edit.add_argument("--side", type=_count, metavar="N", help="style: longest side to work at, in pixels (default: 256)")
    edit.add_argument(
        "--steps", type=_count, metavar="N", help="interpolate: from one to the next (default: 8); style: of descent (200)"
    )
    edit.add_argument("--way", choices=WAYS, help="interpolate: how to go (default: spherical)")
    edit.add_argument("--gif", action="store_true", default=None, help="interpolate: also an animation")
    edit.add_argument("--seed", type=_natural, metavar="N", help="inpaint: of random masks and of draws (default: 0)")


def _explain(command: Callable[..., argparse.ArgumentParser]) -> None:
    about = "Each result is a strip: the part of the picture that the classifier sees, saliency, integrated gradients, Grad-CAM."
    explain = command("explain", "show what a trained classifier looks at in pictures", about)
    _run(explain)
    _pictures(explain, "explained", form=False)
    explain.add_argument("--target", metavar="CLASS", help="the class to explain, by name or number (default: the predicted one)")


def _anonymize(command: Callable[..., argparse.ArgumentParser]) -> None:
    anonymize = command("anonymize", "hide regions of pictures and strip their metadata; needs no run", _ANONYMIZING)
    _pictures(anonymize, "anonymized")
    for name, about in (
        ("mask", "cover with black"),
        ("pixelate", "show coarse blocks"),
        ("blur", "show coarse averages, smoothed"),
    ):
        anonymize.add_argument(f"--{name}", action="append", default=[], metavar="X,Y,W,H", help=about)


def _generate(command: Callable[..., argparse.ArgumentParser]) -> None:
    from .cli_options import _count, _natural
    from .editing.interpolate import WAYS

    generate = command("generate", "draw new images with a trained run, or continue films", _GENERATING)
    _run(generate)
    generate.add_argument(
        "-n", type=_count, metavar="N", help="how many images (default: 64; 6 for a walk, 8 for interpolations)"
    )
    generate.add_argument("--seed", type=_natural, default=0, help="of the random codes (default: 0)")
    generate.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: RUN/generated)")
    generate.add_argument("--grid", action="store_true", help="one sheet of all images instead of N files")
    generate.add_argument("--gif", action="store_true", help="an animated walk through the images and back to the first")
    help = "a sheet: in each row the way from one random image to another (default: spherical)"
    generate.add_argument("--interpolate", nargs="?", const="spherical", choices=WAYS, metavar="WAY", help=help)
    generate.add_argument("--steps", type=_count, metavar="N", help="pictures between two images (default: 8)")
    generate.add_argument("--attribute", metavar="CLASS", help="of this class, by name or number; for conditional runs")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    parser.add_argument("--best", action="store_true", help="the checkpoint with the lowest loss instead of the latest")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")


def _pictures(parser: argparse.ArgumentParser, out: str, form: bool = True) -> None:
    parser.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGE", help="pictures, or folders of them (./-NAME where it begins with -)"
    )
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help=f"folder to write to (default: {out})")
    if form:
        help = "of the results (default: that of the picture, or png)"
        parser.add_argument("--format", choices=("png", "jpg", "webp"), help=help)
