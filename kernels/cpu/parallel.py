"""A loop over independent items of work on all threads, without Numba's `prange`, whose compilation costs a second a kernel.

`parallel_for` calls the threading layer of Numba directly. Each thread takes the next item from a shared counter until none is
left, so a thread that is held up delays one item and not half of the work.
"""

# An intrinsic names its run-time values in order to type them; the emitted code receives them.
# ruff: noqa: ARG001

import inspect

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .simd import I32, I64

BYTES = ir.IntType(8).as_pointer()
WORKER = ir.FunctionType(ir.VoidType(), [BYTES.as_pointer(), I64.as_pointer(), I64.as_pointer(), BYTES])
PARALLEL_FOR = ir.FunctionType(ir.VoidType(), [BYTES] * 5 + [I64] * 3)


@intrinsic
def parallel_for(typing_context, item, count, threads, arguments):
    """item(index, *arguments) for all 0 <= index < count on `threads` threads; returns how many items raised an exception.

    An item with one parameter more gets the number of its worker, 0 <= worker < threads, as its second: for scratch memory.
    """
    if not isinstance(item, types.Dispatcher) or not isinstance(arguments, types.BaseTuple):
        raise TypingError("parallel_for takes a compiled function, two integers and a tuple of arguments")
    wants_worker = len(inspect.signature(item.dispatcher.py_func).parameters) == len(arguments) + 2
    taken = (types.intp,) * (1 + wants_worker) + tuple(types.unliteral(a) for a in arguments)
    compiled = item.dispatcher.get_compile_result(item.get_call_type(typing_context, taken, {}))

    def codegen(context, builder, signature, args):
        _, count, threads, values = args
        context.add_linking_libs([compiled.library])
        shared_type = ir.LiteralStructType([I64, I64, I64, values.type])  # the next index, the failures, the count, the arguments
        shared = cgutils.alloca_once(builder, shared_type)
        for i, value in enumerate((I64(0), I64(0), count, values)):
            builder.store(value, builder.gep(shared, [I32(0), I32(i)]))
        given = taken[-len(arguments) :] if len(arguments) else ()
        worker = _worker(context, builder.module, compiled, shared_type, arguments, given, wants_worker)
        data = builder.bitcast(shared, BYTES)
        room = [cgutils.alloca_once(builder, kind) for kind in (BYTES, I64, I64)]
        for place, value in zip(room, (BYTES(None), threads, I64(1)), strict=True):
            builder.store(value, place)
        with builder.if_else(builder.icmp_signed(">", threads, I64(1))) as (many, one):
            with many:
                run = cgutils.get_or_insert_function(builder.module, PARALLEL_FOR, "numba_parallel_for")
                pointers = [builder.bitcast(place, BYTES) for place in (worker, *room)]
                builder.call(run, [*pointers, data, I64(1), I64(1), threads])
            with one:
                builder.store(I64(1), room[1])
                builder.call(worker, [*room, data])
        return builder.load(builder.gep(shared, [I32(0), I32(1)]))

    return types.intp(item, types.intp, types.intp, arguments), codegen


def _borrowed(context, builder, kind, value):
    """The argument with arrays that do not say who owns their memory, which the caller holds.

    Every view of an array would else be counted, up and down, at one place in memory that all threads write.
    """
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = array.meminfo.type(None)
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        parts = [_borrowed(context, builder, part, builder.extract_value(value, i)) for i, part in enumerate(kind.types)]
        return context.make_tuple(builder, kind, parts)
    return value


def _worker(context, module, compiled, shared_type, arguments, taken, wants_worker) -> ir.Function:
    """void worker(args, dimensions, steps, shared): what each thread runs, as Numba's threading layers call it.

    With one argument, at null and in steps of one byte, the pointer args[0] is itself the number of the first worker to play.
    """
    function = ir.Function(module, WORKER, module.get_unique_name("worker"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    args, dimensions, _, data = function.args
    shared = builder.bitcast(data, shared_type.as_pointer())
    first = builder.ptrtoint(builder.load(args), I64)
    end = builder.add(first, builder.load(dimensions))
    next_index, failures, count, values = [builder.gep(shared, [I32(0), I32(i)]) for i in range(4)]
    count = builder.load(count)
    values = cgutils.unpack_tuple(builder, builder.load(values), len(arguments))
    values = [context.cast(builder, value, a, b) for value, a, b in zip(values, arguments, taken, strict=True)]
    values = [_borrowed(context, builder, kind, value) for kind, value in zip(taken, values, strict=True)]
    item = context.declare_function(module, compiled.fndesc)
    with cgutils.for_range_slice(builder, first, end, I64(1), I64) as (worker, _):
        head, body, done = [builder.append_basic_block(name) for name in ("next", "item", "done")]
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.atomic_rmw("add", next_index, I64(1), "monotonic")
        builder.cbranch(builder.icmp_signed("<", index, count), body, done)
        builder.position_at_end(body)
        passed = [index, worker, *values] if wants_worker else [index, *values]
        status, _ = context.call_conv.call_function(builder, item, compiled.fndesc.restype, compiled.fndesc.argtypes, passed)
        with cgutils.if_unlikely(builder, status.is_error):
            builder.atomic_rmw("add", failures, I64(1), "monotonic")
        builder.branch(head)
        builder.position_at_end(done)
    builder.ret_void()
    return function
