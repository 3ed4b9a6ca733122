"""Matrix products in the three layouts of a dense layer, beside PyTorch.

    nnscratch bench benchmarks/products.py [--threads N] [--only TEXT] [--rounds N]

x (M, K), w (N, K) and g (M, N), named MxKxN: y = x wᵀ, gx = g w and gw = gᵀ x. With M = 32 the weight is read, or its gradient
written, at the speed of memory.
"""

from functools import partial

from nnscratch.bench import Case, Subject

SIZES = [
    *[(2048, 2048, 2048), (512, 512, 512), (128, 4096, 1000), (128, 784, 400), (128, 400, 20)],
    *[(32, 12288, 4096), (32, 4096, 4096), (3584, 28, 512), (3584, 128, 512)],
]
PRODUCTS = {"x wT": lambda x, w, g: x @ w.T, "g w": lambda x, w, g: g @ w, "gT x": lambda x, w, g: g.T @ x}


def product(L, m, k, n, formula):
    x, w, g = L.activations(m, k), L.activations(n, k, seed=1), L.activations(m, n, seed=2)
    run = partial(PRODUCTS[formula], x, w, g)
    return Subject(run, lambda: {"product": run()}, products=m * k * n, traffic=4 * (m * k + n * k + m * n))


def cases():
    for size in SIZES:
        for formula in PRODUCTS:
            name = f"{formula}, {'x'.join(map(str, size))}"
            yield Case(name, partial(product, m=size[0], k=size[1], n=size[2], formula=formula), "products")
