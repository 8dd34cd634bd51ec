"""The tests' site in Flask, brought to ASGI by asgiref."""

from asgiref.wsgi import WsgiToAsgi
from site_flask import app as flask_app

app = WsgiToAsgi(flask_app)
