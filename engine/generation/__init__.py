"""Generation: the only place that makes text, by local models with adapters and by endpoints."""
