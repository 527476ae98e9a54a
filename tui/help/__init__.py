"""The help screen: all keys, screen by screen."""
