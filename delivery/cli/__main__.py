"""`python -m delivery.cli` is `slipway`."""

from __future__ import annotations

import sys

from delivery.cli import main

sys.exit(main())
