"""Guidance for a user: new projects, the wizard, models to choose from, demos, the check of this machine."""
