import random, socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
f = s.makefile("rb")
for method in ("GET", "POST"):
    for i in range(40):
        s.sendall(f"{method} /{method}-{i} HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello".encode())
        status = f.readline()
        assert b" 200 " in status, (method, i, status)
        while f.readline().strip(): pass
        assert f.read(4) == b"well"
        time.sleep(random.uniform(0.0395, 0.0405))
print("all well")
