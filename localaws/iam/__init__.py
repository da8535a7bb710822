"""Permissions in earnest: who asks, for what, on which resource, and whether their policies allow it."""
