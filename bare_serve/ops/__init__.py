"""The ops process: health, metrics and orders, answered beside the workers."""
