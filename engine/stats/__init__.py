"""Statistics: intervals, paired tests, power and sample sizes, for single and for grouped rows."""
