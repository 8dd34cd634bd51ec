"""The access log and the error log: formats, outputs, and who writes them."""
