"""Settings: each option once, the kinds of their values, and the sources they come from."""
