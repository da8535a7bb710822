"""Windows, drift metrics, quality and experiments; publishes signals."""
