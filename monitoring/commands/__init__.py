"""The monitor's commands, one file each: SUMMARY, `arguments`, and `run`."""
