"""Recipes: a YAML file that declares one job completely."""
