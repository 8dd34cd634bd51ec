"""The WSGI worker: one loop that calls the application and is handed to another thread."""
