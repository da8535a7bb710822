"""Injected faults: operations that fail, wait, are throttled or lose their answer, and processes that die."""
