"""Pulumi components; names, tags and policies each in one place."""
