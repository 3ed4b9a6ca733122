"""Editing pictures of any size with trained models, and hiding parts of them. `fitting` says how a size meets a model's."""

from .anonymize import Region, anonymize, parse_region
from .attribute import along, class_means, direction, likely_labels, relabel
from .image_io import Picture, read_picture, strip, write_picture
from .inpaint import inpaint
from .interpolate import interpolate, linear, path, spherical
from .latents import decode, drawn, encode, project
from .masks import read_mask, region_mask
from .restore import colourise, denoise, enhance
from .style import gram, transfer

__all__ = [
    "Picture",
    "Region",
    "along",
    "anonymize",
    "class_means",
    "colourise",
    "decode",
    "denoise",
    "direction",
    "drawn",
    "encode",
    "enhance",
    "gram",
    "inpaint",
    "interpolate",
    "likely_labels",
    "linear",
    "parse_region",
    "path",
    "project",
    "read_mask",
    "read_picture",
    "region_mask",
    "relabel",
    "spherical",
    "strip",
    "transfer",
    "write_picture",
]
