"""The wizard: from the situation to the verdict, one page a step."""
