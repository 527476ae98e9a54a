"""The user's settings: kept in a file, changed on a screen; and the colour themes."""
