"""Application Auto Scaling: bounds, policies and schedules that really change how many copies serve."""
