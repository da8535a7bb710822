"""The name people import: the Python API over the same verbs as the command line."""

from delivery.launch import launch
from delivery.platform import VERBS, Platform

__all__ = ["VERBS", "Platform", "launch"]
