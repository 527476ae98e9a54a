"""Checks before a job: rows of data, recipes, and single questions to the documents."""
