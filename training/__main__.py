"""The program of the training container: `train`, as SageMaker starts it, and each stage alone."""

from __future__ import annotations

import gc
import os
import sys

# Threads that wait by spinning starve their neighbours on a shared core: say so before any library starts them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from training.cli import main

if __name__ == "__main__":
    gc.set_threshold(20_000, 20, 20)  # a stage is over in seconds, most of them imports, of which nothing is garbage
    sys.exit(main())
