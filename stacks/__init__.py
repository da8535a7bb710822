"""Settings, one composition, a short program per environment."""
