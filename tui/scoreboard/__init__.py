"""The Scoreboard screen: candidates with intervals, pairs, verdict, and the examples behind a difference."""
