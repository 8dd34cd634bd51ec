"""The package that compose.yaml has watched."""
