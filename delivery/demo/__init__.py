"""The whole story in one go: a model's life on the embedded AWS, told while it really happens."""
