import os

import redis
from flask import Flask, jsonify

app = Flask(__name__)
database = redis.Redis(host="redis", socket_timeout=1)
sick = False


@app.route("/")
def index():
    try:
        return jsonify(message="Hello from app", database="connected", hits=database.incr("hits"))
    except redis.RedisError:
        return jsonify(message="Hello from app", database="unreachable", hits=None)


@app.route("/sick")
def become_sick():
    global sick
    sick = True
    return "sick from now on"


@app.route("/health")
def health():
    if sick:
        return "sick", 500
    return jsonify(status="healthy")


@app.route("/kill")
def kill():
    os._exit(1)


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000)
