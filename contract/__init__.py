"""What crosses a process boundary: records, signals, places."""
