"""Metrics as CloudWatch keeps them: series in namespaces, read in clock-aligned periods, combined by expressions."""
