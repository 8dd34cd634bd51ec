"""The worker processes: one loop each, around one loaded application."""
