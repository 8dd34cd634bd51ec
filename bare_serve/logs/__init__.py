"""The access log and the error log: formats, outputs, and the thread that writes."""
