import os
import socket
import time

import redis
from flask import Flask, jsonify, request

app = Flask(__name__)
database = redis.Redis(host=os.environ.get("REDIS_HOST", "redis"), socket_timeout=1)
requests_served = 0
sick = False


@app.route("/")
def index():
    global requests_served
    requests_served += 1
    try:
        hits = database.incr("hits")
    except redis.RedisError:
        hits = None
    return jsonify(instance=socket.gethostname(), version=os.environ.get("VERSION", "1"), hits=hits)


@app.route("/sick")
def become_sick():
    global sick
    sick = True
    return "sick from now on"


@app.route("/health")
def health():
    if sick:
        return "sick", 500
    return "OK"


@app.route("/slow")
def slow():
    time.sleep(int(request.args.get("ms", "20")) / 1000)
    return jsonify(instance=socket.gethostname())


@app.route("/crash")
def crash():
    os._exit(1)


@app.route("/metrics")
def metrics():
    return f"app_requests_total {requests_served}\n", 200, {"Content-Type": "text/plain; version=0.0.4"}


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000, threaded=True)
