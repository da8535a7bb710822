"""What goes on in an environment, as a page on this machine; everything in it comes from AWS's own answers."""
