"""The serving container: HTTP and codecs around a family."""
