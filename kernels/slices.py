"""The strided slices of input and output that pair up at one kernel position, taps in the padding left out."""

from .spec import ConvSpec, Ints, PoolSpec

Slices = tuple[slice, ...]


def span(spec: ConvSpec | PoolSpec, axis: int, k: int) -> tuple[slice, slice]:
    """Along one axis, the output positions whose tap k is inside the input, and the input positions under it."""
    stride = spec.stride[axis]
    shift = k * spec.dilation[axis] - spec.padding[axis][0]  # output position p reads p * stride + shift
    low = max(0, -(shift // stride))
    high = min(spec.output[axis], (spec.input[axis] - 1 - shift) // stride + 1)
    if high <= low:
        return slice(0, 0), slice(0, 0)
    begin = low * stride + shift
    return slice(low, high), slice(begin, begin + (high - low - 1) * stride + 1, stride)


def region(spec: ConvSpec | PoolSpec, k: Ints) -> tuple[Slices, Slices]:
    """Indices into the channels-last output and input, for kernel position k."""
    spans = [span(spec, axis, k[axis]) for axis in range(spec.rank)]
    return (slice(None), *(out for out, _ in spans)), (slice(None), *(source for _, source in spans))
