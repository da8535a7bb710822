"""The truth, learned later: outcomes joined to predictions, and what they say of a model."""
