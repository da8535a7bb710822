"""The training container: from channels to a vouched artifact."""
