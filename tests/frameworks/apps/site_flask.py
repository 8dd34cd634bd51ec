"""The tests' site in Flask. The routes are listed in tests/frameworks/test_frameworks.py."""

import hashlib

from flask import Flask, jsonify, request, send_file, session

app = Flask(__name__)
app.secret_key = "of no worth"


@app.get("/json")
def json_():
    return jsonify(hello="wörld", numbers=[1, 2, 3], host=request.host)


@app.post("/form")
def form():
    return jsonify(request.form.to_dict())


@app.post("/upload")
def upload():
    data = request.files["file"].read()
    return jsonify(size=len(data), sha256=hashlib.sha256(data).hexdigest())


@app.put("/raw")
def raw():
    digest, size = hashlib.sha256(), 0
    while data := request.stream.read(65536):
        digest.update(data)
        size += len(data)
    return jsonify(size=size, sha256=digest.hexdigest())


@app.get("/download/<int:pieces>")
def download(pieces):
    return app.response_class(
        (bytes([number % 251]) * 65536 for number in range(pieces)),
        mimetype="application/octet-stream",
    )


@app.get("/cookies")
def cookies():
    answer = jsonify(dict(request.cookies))
    answer.set_cookie("session", "s1", httponly=True)
    answer.set_cookie("theme", "dark")
    return answer


@app.get("/file")
def file():
    return send_file(__file__, mimetype="text/x-python", conditional=True)


@app.get("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(visits=session["visits"])


@app.get("/error")
def error():
    raise RuntimeError("a bug in the view")
