"""What Pulumi runs, whatever the environment: its settings, its release file, the one composition."""

from __future__ import annotations

from stacks.platform import program

program()
