"""The ASGI worker: one event loop that accepts, serves, and drains."""
