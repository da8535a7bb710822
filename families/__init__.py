"""One file per model family: fit, save, load, predict."""
