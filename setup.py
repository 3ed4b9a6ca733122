"""Package layout: `kernels/` lies beside `nnscratch/` in the source tree and is installed as `nnscratch.kernels`."""

from setuptools import find_packages, setup

library = find_packages(include=["nnscratch", "nnscratch.*"])
kernels = ["nnscratch.kernels"] + [f"nnscratch.kernels.{name}" for name in find_packages("kernels")]

setup(
    packages=library + kernels,
    package_dir={"nnscratch": "nnscratch", "nnscratch.kernels": "kernels"},
    package_data={
        "nnscratch": ["py.typed"],
        "nnscratch.data": ["embedded/*"],
        "nnscratch.kernels.cuda": ["*.cuh"],
        "nnscratch.metrics": ["weights/*"],
    },
)
