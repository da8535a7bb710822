"""The name people import: the Python API over the same verbs as the command line."""

from delivery.platform import Platform

__all__ = ["Platform"]
