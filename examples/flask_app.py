"""A Flask application, served over WSGI by two workers (pip install flask).

bare-serve examples/flask_app.py:app --workers 2
"""

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def hello():
    return f"Hello, {request.args.get('name', 'world')}! This is Flask.\n"


@app.post("/sum")
def add():
    return {"sum": sum(request.get_json())}
