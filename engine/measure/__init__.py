"""How good a candidate's answers are, and how sure that is: splits, metrics, judge, intervals, paired tests."""
