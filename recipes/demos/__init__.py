"""The three demo tasks for the pocket model: data from a seed; what they show is measured, never written down."""
