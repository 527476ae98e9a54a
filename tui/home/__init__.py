"""The home screen: projects, recent runs, demos and what can be started."""
