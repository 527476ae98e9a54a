"""What runs leave behind: adapters, line-ups to compare, exports, merges and combinations, preferences."""
