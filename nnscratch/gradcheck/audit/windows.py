"""Convolutions, pools, resampling, normalisation: functions of images."""

from ...kernels import ConvSpec
from .draw import apart, given, normal, positive
from .entry import Entry, Fresh, case

GEOMETRY = ConvSpec.of((2, 4, 5, 6), (6, 2, 3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
SPEC = Fresh(lambda: GEOMETRY, "with stride, padding, dilation, groups")

CONV: list[Entry] = [
    case("conv1d", normal(2, 3, 7), normal(4, 3, 3), normal(4), stride=2, padding=1),
    case("conv1d", normal(4, 7), normal(6, 2, 2), groups=2, dilation=2),
    case("conv2d", normal(2, 2, 5, 5), normal(3, 2, 3, 3), normal(3), padding=1),
    case("conv2d", normal(2, 4, 5, 6), normal(6, 2, 3, 2), normal(6), (2, 1), (1, 0), (1, 2), 2),
    case("conv2d", normal(1, 3, 4, 5), normal(6, 1, 3, 3), groups=3, padding=1),
    case("conv2d", normal(2, 3, 3, 4), normal(4, 3, 1, 1), normal(4)),
    case("conv2d", normal(2, 2, 5, 4), normal(3, 2, 4, 3), padding="same"),
    case("conv2d", normal(2, 2, 5, 4), normal(3, 2, 3, 3), stride=2, padding="same").alone(),
    case("conv2d", normal(1, 2, 5, 4), normal(2, 2, 3, 2), padding=((2, 0), (0, 1)), stride=(3, 2)).alone(),
    case("conv3d", normal(1, 2, 3, 4, 3), normal(2, 2, 2, 3, 2), normal(2), stride=(1, 2, 1), padding=(0, 1, 1)),
    case("conv_transpose1d", normal(2, 3, 4), normal(3, 2, 3), normal(2), stride=2, padding=1, output_padding=1),
    case("conv_transpose2d", normal(2, 2, 3, 3), normal(2, 3, 3, 3), normal(3), padding=1),
    case("conv_transpose2d", normal(1, 4, 3, 2), normal(4, 2, 3, 2), normal(4), (2, 3), (1, 0), (1, 2), 2),
    case("conv_transpose2d", normal(1, 2, 3, 2), normal(2, 2, 2, 3), dilation=2),
    case("conv_transpose2d", normal(1, 2, 3, 2), normal(2, 2, 2, 2), stride=2, output_size=(7, 4)).alone(),
    case("conv_transpose3d", normal(1, 2, 2, 3, 2), normal(2, 2, 2, 2, 2), normal(2), stride=(1, 2, 1)),
    case("conv", normal(2, 4, 5, 6), normal(6, 2, 3, 2), normal(6), spec=SPEC).alone(),
    case("conv_input", normal(2, 6, *GEOMETRY.output), normal(6, 2, 3, 2), normal(4), spec=SPEC).alone(),
    case("conv_weight", normal(2, 4, 5, 6), normal(2, 6, *GEOMETRY.output), spec=SPEC).alone(),
    case("unfold", normal(2, 2, 4, 5), (2, 3), padding=1, stride=(1, 2)),
    case("fold", normal(2, 8, 6), (3, 4), 2),
    case("fold", normal(1, 4, 4), (4, 4), 2, stride=2),
]

POOL: list[Entry] = [
    case("max_pool1d", apart(2, 2, 7), 3, 2),
    case("max_pool2d", apart(2, 2, 5, 4), 2),
    case("max_pool2d", apart(1, 2, 5, 6), (3, 2), 2, 1, ceil_mode=True, return_indices=True),
    case("max_pool2d", apart(2, 6, 6), 2, 1, dilation=2),
    case("max_pool3d", apart(1, 2, 3, 4, 3), 2, 1),
    case("max_unpool1d", normal(1, 2, 3), given([[[0, 3, 5], [1, 2, 4]]]), 2),
    case("max_unpool2d", normal(1, 1, 2, 2), given([[[[0, 3], [9, 14]]]]), 2),
    case("max_unpool3d", normal(1, 1, 1, 1, 2), given([[[[[0, 7]]]]]), 2),
    case("avg_pool1d", normal(2, 2, 7), 3, 2, 1),
    case("avg_pool2d", normal(2, 2, 4, 5), 2),
    case("avg_pool2d", normal(1, 2, 5, 6), (3, 2), 2, 1, ceil_mode=True, count_include_pad=False),
    case("avg_pool2d", normal(1, 2, 4, 4), 2, 1, divisor_override=3),
    case("avg_pool3d", normal(1, 2, 3, 4, 3), 2, 1),
    case("lp_pool1d", positive(2, 2, 7), 3, 2),
    case("lp_pool2d", normal(1, 2, 4, 5), 2, 2),
    case("lp_pool3d", positive(1, 1, 2, 4, 2), 2, 2),
    case("adaptive_avg_pool1d", normal(2, 2, 7), 3),
    case("adaptive_avg_pool2d", normal(2, 2, 5, 7), (2, 3)),
    case("adaptive_avg_pool3d", normal(1, 2, 3, 4, 3), (2, 3, 1)),
    case("adaptive_max_pool1d", apart(2, 2, 7), 3),
    case("adaptive_max_pool2d", apart(1, 2, 5, 7), (2, 3), True),
    case("adaptive_max_pool3d", apart(1, 2, 3, 4, 3), (2, 3, 1)),
]

RESAMPLE: list[Entry] = [
    case("interpolate", normal(1, 2, 3), 7),
    case("interpolate", normal(1, 2, 3, 2), scale_factor=2),
    case("interpolate", normal(1, 2, 4), 7, mode="linear"),
    case("interpolate", normal(1, 2, 3, 4), (5, 3), mode="bilinear"),
    case("interpolate", normal(1, 2, 3, 4), (5, 7), mode="bilinear", align_corners=True),
    case("interpolate", normal(1, 2, 3, 4), scale_factor=(1.5, 2.0), mode="bilinear"),
    case("upsample", normal(1, 2, 3, 2), scale_factor=2, mode="nearest").like("nn.functional.interpolate"),
    case("pixel_shuffle", normal(1, 8, 2, 3), 2),
    case("pixel_unshuffle", normal(1, 2, 4, 6), 2),
]

NORM: list[Entry] = [
    case("batch_norm", normal(4, 3), None, None, normal(3), normal(3), training=True),
    case("batch_norm", normal(3, 2, 2, 3), None, None, normal(2), normal(2), training=True, eps=0.1),
    case("batch_norm", normal(3, 2, 2, 3), None, None, training=True),
    case("batch_norm", normal(3, 2, 4), normal(2), positive(2), normal(2), normal(2)),
    case("layer_norm", normal(2, 3, 4), (4,), normal(4), normal(4)),
    case("layer_norm", normal(2, 3, 4), (3, 4)),
    case("group_norm", normal(2, 4, 3), 2, normal(4), normal(4)),
    case("instance_norm", normal(2, 3, 4), None, None, normal(3), normal(3)),
    case("instance_norm", normal(2, 3, 2, 2), normal(3), positive(3), use_input_stats=False),
    case("rms_norm", normal(2, 3, 4), (4,), normal(4)),
    case("local_response_norm", normal(2, 5, 3), 3, 0.5),
    case("local_response_norm", normal(1, 4, 2, 2), 2, 0.5, k=2.0),
    case("normalize", normal(3, 4)),
    case("normalize", normal(3, 4), 3.0, 0),
]
