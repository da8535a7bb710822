"""Rules over what the program declares: checkov's and our own, waivers with dates, nothing run against a cloud."""
