"""The user's settings as a file keeps them, the colour themes, and which Python the workers run in."""
