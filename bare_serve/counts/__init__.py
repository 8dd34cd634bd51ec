"""Counts of a running server in shared memory: what stands where, and how it is read."""
