"""From settings to a running server: listeners, workers' boot, reload, privileges."""
