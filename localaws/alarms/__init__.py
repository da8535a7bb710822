"""Alarms: what a metric or other alarms must show for one to fire, and what happens when it does."""
