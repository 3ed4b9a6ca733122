"""What the library calls of CuPy, with the parameters that it has there, as of CuPy 14.2; the stand-in refuses everything else.

`test_cupy_names.py` compares it with CuPy where that is installed, for which it needs no GPU.

CuPy's functions often lack what NumPy's have: its `max` has no `initial`, its ufuncs no `where`, and arrays no `ctypes`. Before a
line is added here, look it up there.
"""

# name: parameters; a "*" takes any number of arguments
FUNCTIONS = {
    "all": "a axis out keepdims",
    "arange": "start stop step dtype",
    "argmax": "a axis dtype out keepdims",
    "argmin": "a axis dtype out keepdims",
    "argsort": "a axis kind",
    "array": "obj dtype copy order subok ndmin",
    "asarray": "a dtype order copy blocking",
    "ascontiguousarray": "a dtype",
    "broadcast_to": "array shape",
    "concatenate": "tup axis out dtype casting",
    "copy": "a order",
    "copyto": "dst src casting where",
    "cumprod": "a axis dtype out",
    "cumsum": "a axis dtype out",
    "einsum": "* optimize",
    "empty": "shape dtype order",
    "empty_like": "prototype dtype order subok shape",
    "expand_dims": "a axis",
    "flip": "a axis",
    "from_dlpack": "array device copy",
    "full_like": "a fill_value dtype order subok shape",
    "isclose": "a b rtol atol equal_nan",
    "lib.stride_tricks.as_strided": "x shape strides",
    "max": "a axis out keepdims",
    "moveaxis": "a source destination",
    "nonzero": "a",
    "ones": "shape dtype order",
    "ones_like": "a dtype order subok shape",
    "repeat": "a repeats axis",
    "result_type": "*",
    "round": "a decimals out",
    "searchsorted": "a v side sorter",
    "shape": "a",
    "split": "ary indices_or_sections axis",
    "stack": "tup axis out dtype casting",
    "sum": "a axis dtype out keepdims",
    "take_along_axis": "a indices axis",
    "tile": "A reps",
    "tri": "N M k dtype",
    "unique": "ar return_index return_inverse return_counts axis equal_nan",
    "where": "condition x y",
    "zeros": "shape dtype order",
    "zeros_like": "a dtype order subok shape",
}
METHODS = {
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "astype": "dtype order casting subok copy",
    "copy": "order",
    "item": "",
    "max": "axis out keepdims",
    "min": "axis out keepdims",
    "reshape": "* order",
    "sum": "axis dtype out keepdims",
    "swapaxes": "axis1 axis2",
    "take": "indices axis out",
    "transpose": "*",
    "view": "dtype type",
}
ATTRIBUTES = {"T", "base", "dtype", "itemsize", "nbytes", "ndim", "shape", "size", "strides"}
UFUNCS = set(
    """absolute add arccos arccosh arcsin arcsinh arctan2 bitwise_and bitwise_or bitwise_xor ceil cos cosh divide equal exp expm1
    floor floor_divide fmod greater greater_equal hypot invert isfinite isinf isnan left_shift less less_equal log log10
    log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul maximum minimum multiply negative not_equal
    power reciprocal remainder right_shift sin sinh sqrt square subtract tanh trunc""".split()
)
UFUNC_METHODS = {"add": {"at", "reduce"}, "maximum": {"at"}, "minimum": {"at"}}
UFUNC_PARAMETERS = {"out", "dtype", "casting", "axis", "keepdims"}


def refused(kind: str, parameters: str, args: tuple, kwargs: dict) -> str:
    """Why CuPy does not take such a call; "" where it does."""
    names = parameters.split()
    if "*" not in names and len(args) > len(names):
        return f"CuPy's {kind} takes {len(names)} arguments, not {len(args)}"
    unknown = sorted(set(kwargs) - set(names))
    return f"CuPy's {kind} has no parameter {unknown[0]!r}" if unknown else ""
