"""What really happens to a request. Loaded only where it is asked for."""
