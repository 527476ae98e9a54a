"""The Data screen: rows with their trained tokens, problems and figures."""
