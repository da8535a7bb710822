"""The name people import: the Python API over the same verbs as the command line."""
