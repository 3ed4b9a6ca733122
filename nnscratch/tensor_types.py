"""What a type checker and an editor know of the methods that methods.py attaches to Tensor; nothing here runs.

The arguments are those of the op of the same name; here stands what comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tensor import Tensor

_nothing: Any = None
_property: Tensor = _nothing
_tensor: Callable[..., Tensor] = _nothing
_tensors: Callable[..., tuple[Tensor, ...]] = _nothing
_either: Callable[..., Any] = _nothing  # a tensor or several, by the arguments
_bool: Callable[..., bool] = _nothing
_int: Callable[..., int] = _nothing
_set: Callable[[Any, Any, Any], None] = _nothing


class Methods:
    """The operators, methods and properties of Tensor that its own file does not define."""

    H = T = mH = mT = _property

    __add__ = __radd__ = __iadd__ = __sub__ = __rsub__ = __isub__ = __mul__ = __rmul__ = __imul__ = __truediv__ = _tensor
    __rtruediv__ = __itruediv__ = __floordiv__ = __rfloordiv__ = __ifloordiv__ = __mod__ = __rmod__ = __imod__ = _tensor
    __pow__ = __rpow__ = __ipow__ = __matmul__ = __rmatmul__ = __imatmul__ = __and__ = __rand__ = __iand__ = __or__ = _tensor
    __ror__ = __ior__ = __xor__ = __rxor__ = __ixor__ = __lshift__ = __rlshift__ = __ilshift__ = __rshift__ = _tensor
    __rrshift__ = __irshift__ = __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __abs__ = __invert__ = __pos__ = _tensor
    __round__ = __getitem__ = _tensor
    __eq__ = __ne__ = _tensor  # type: ignore[assignment]
    __setitem__ = _set

    abs = absolute = acos = acosh = add = addcdiv = addcmul = addmm = addmv = all = amax = amin = any = arccos = _tensor
    arccosh = arcsin = arcsinh = arctan = arctan2 = arctanh = argmax = argmin = argsort = argwhere = asin = asinh = _tensor
    atan = atan2 = atanh = baddbmm = bernoulli = bitwise_and = bitwise_left_shift = bitwise_not = bitwise_or = _tensor
    bitwise_right_shift = bitwise_xor = bmm = bool = broadcast_to = byte = ceil = char = clamp = clamp_max = _tensor
    clamp_min = clip = clone = contiguous = copy_ = cos = cosh = count_nonzero = cumprod = cumsum = deg2rad = diag = _tensor
    diag_embed = diagonal = diff = div = divide = dot = double = eq = erf = erfc = erfinv = exp = exp2 = expand = _tensor
    expand_as = expm1 = fill_ = fix = flatten = flip = fliplr = flipud = float = float_power = floor = floor_divide = _tensor
    fmax = fmin = fmod = frac = gather = ge = greater = greater_equal = gt = half = hardshrink = hypot = index_add = _tensor
    index_copy = index_fill = index_put = index_select = int = isclose = isfinite = isinf = isnan = isneginf = _tensor
    isposinf = kron = le = lerp = less = less_equal = log = log10 = log1p = log2 = log_softmax = logaddexp = _tensor
    logcumsumexp = logical_and = logical_not = logical_or = logical_xor = logsumexp = long = lt = masked_fill = _tensor
    masked_scatter = masked_select = matmul = maximum = mean = minimum = mm = moveaxis = movedim = mul = multinomial = _tensor
    multiply = mv = nan_to_num = nanmean = nansum = narrow = ne = neg = negative = new_empty = new_full = new_ones = _tensor
    new_tensor = new_zeros = norm = normal_ = not_equal = outer = permute = positive = pow = prelu = prod = rad2deg = _tensor
    ravel = reciprocal = relu = remainder = repeat = repeat_interleave = reshape = reshape_as = roll = rot90 = round = _tensor
    rsqrt = scatter = scatter_add = scatter_reduce = select = sgn = short = sigmoid = sign = sin = sinc = sinh = _tensor
    softmax = sqrt = square = squeeze = std = sub = subtract = sum = swapaxes = swapdims = t = take = take_along_dim = _tensor
    tan = tanh = tile = trace = transpose = tril = triu = true_divide = trunc = type_as = unflatten = uniform_ = _tensor
    unsqueeze = var = vdot = view = view_as = where = xlogy = zero_ = _tensor

    abs_ = acos_ = acosh_ = add_ = addcdiv_ = addcmul_ = addmm_ = addmv_ = asin_ = asinh_ = atan2_ = atan_ = atanh_ = _tensor
    baddbmm_ = bitwise_and_ = bitwise_not_ = bitwise_or_ = bitwise_xor_ = ceil_ = clamp_ = clamp_max_ = clamp_min_ = _tensor
    clip_ = cos_ = cosh_ = cumprod_ = cumsum_ = div_ = erf_ = erfc_ = erfinv_ = exp2_ = exp_ = expm1_ = floor_ = _tensor
    floor_divide_ = fmod_ = frac_ = hypot_ = index_add_ = index_copy_ = index_fill_ = index_put_ = lerp_ = log10_ = _tensor
    log1p_ = log2_ = log_ = logical_and_ = logical_not_ = logical_or_ = logical_xor_ = masked_fill_ = _tensor
    masked_scatter_ = mul_ = nan_to_num_ = neg_ = pow_ = reciprocal_ = relu_ = remainder_ = round_ = rsqrt_ = _tensor
    scatter_ = scatter_add_ = scatter_reduce_ = sgn_ = sigmoid_ = sign_ = sin_ = sinc_ = sinh_ = sqrt_ = square_ = _tensor
    sub_ = tan_ = tanh_ = tril_ = triu_ = trunc_ = xlogy_ = _tensor

    chunk = split = tensor_split = unbind = _tensors
    allclose = equal = _bool
    ndimension = nelement = _int
    aminmax = cummax = cummin = kthvalue = max = median = min = nonzero = sort = topk = type = unique = _either
