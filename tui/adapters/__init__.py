"""The Adapters screen: what the project's runs trained, and what can be done with it."""
