"""Convolutions and their gradients beside PyTorch: `nnscratch bench layers --only convolutions`, written to results/.

python benchmarks/conv.py [--rounds N] [--quick] [--threads N] [--output DIR]
"""

import sys
from pathlib import Path

from nnscratch.cli import main

if __name__ == "__main__":
    results = str(Path(__file__).parent / "results")
    sys.exit(main(["bench", "layers", "--only", "convolutions", "--output", results, *sys.argv[1:]]))
