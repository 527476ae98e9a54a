"""Models from a hub: what lies in its cache here, what of a repository is wanted, and bringing it."""
