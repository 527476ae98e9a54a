"""The shipped recipes, one YAML file a kind of job, and what wrote the pocket model and the demos."""
