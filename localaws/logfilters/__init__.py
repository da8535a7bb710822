"""Metric filters of log groups: lines that match become metric data as they arrive."""
