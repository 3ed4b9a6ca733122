"""A plugin of pytest: the run fails unless every kernel of every family ran in every order of threads.

What is new in a `.cuh` is so noticed here until a test runs it. For whole runs in one process: see `sanitized.py`.
"""

from nnscratch.kernels.cuda import loader

from .library import ORDERS, Function, library


def missing(ran):
    """{kernel: orders in which it did not run}, given the pairs that did."""
    kernels = [name for family in loader.FAMILIES for name in library(family)[1]]
    left = {name: [order for order in ORDERS if (name, order) not in ran] for name in kernels}
    return {name: orders for name, orders in left.items() if orders}


def pytest_sessionfinish(session, exitstatus):
    found = missing(Function.ran) if exitstatus == 0 else {}
    for name, orders in found.items():
        print(f"\n{name} did not run in these orders of threads: {', '.join(orders)}", end="")
    if found:
        session.exitstatus = 1
