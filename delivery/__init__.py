"""What operators and CI run; the command line is its edge."""
