"""A site of Flask's."""

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/orders/<int:number>")
def order(number):
    return jsonify(order=number, lines=[1, 2, 3])
