"""What recording an op costs, beside PyTorch: `nnscratch bench overhead`, written to results/.

python benchmarks/overhead.py [--rounds N] [--quick] [--threads N] [--output DIR]
"""

import sys
from pathlib import Path

from nnscratch.cli import main

if __name__ == "__main__":
    results = str(Path(__file__).parent / "results")
    sys.exit(main(["bench", "overhead", "--output", results, *sys.argv[1:]]))
