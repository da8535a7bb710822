"""The monitor: makes baselines, judges windows, writes reports; on files and S3 alike.

    python -m monitoring baseline --data s3://bucket/train/ --schema manifest.json --output baseline.json
    python -m monitoring window --baseline baseline.json --capture s3://bucket/capture/endpoint/ --output out/ \
        --since 2026-11-20T10:00Z --until 2026-11-20T11:00Z --history s3://bucket/windows/endpoint/ --publish
    python -m monitoring report --input out/report.json --output report.html

Without a command it does what a schedule describes in the environment: `judge` (docs/monitoring.md). Exit codes:
0 judged, whatever the verdict; 2 wrong arguments; 3 something could not be read or written; 4 the verdict that
--fail-on names.
"""

from __future__ import annotations

import sys

from monitoring.cli import main

if __name__ == "__main__":
    sys.exit(main())
