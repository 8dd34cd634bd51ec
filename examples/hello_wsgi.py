"""A WSGI application without a framework.

bare-serve examples/hello_wsgi.py:application
"""


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/") or "world"
    body = f"Hello, {name}!\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [body]
