"""The runner: starts a container's own program as a process, and sees that it never outlives the server.

`local.py` is the runner itself; the rest are its parts. `dockerfile.py` and `images.py` find the program of an image,
`environments.py` makes its virtual environment, `backends.py` turns a container into a command line, `guardian.py` is
the process that owns the children and `warden.py` is our end of it.
"""
