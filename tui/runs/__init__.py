"""The Runs screen: every run of the project."""
