# SPDX-License-Identifier: MIT
"""Both ends of the gateway at once: clients that ask in every form and at every pace, and an upstream that answers likewise
or ails. Each request carries in its path what is to happen to it, so that either end knows what it has to see: every body
whole and in its place, no POST twice, and nothing but 502 or a cut connection for those whose upstream was ill.

    conversations.py GATEWAY-PORT UPSTREAM-PORT SEED CONNECTIONS
"""
import asyncio, collections, json, random, socket, struct, sys

gateway, upstream_port, seed, connections = map(int, sys.argv[1:])
AT_ONCE = 25
ILLNESSES = ["reset", "closed", "reset when read", "reset within", "closed within", "garbage"]
executed, wrong = collections.Counter(), []


def body_of(number, length):
    return random.Random(number).randbytes(length)


async def write_in_pieces(writer, data, rng, slowly):
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(5)))
    for begin, end in zip([0] + cuts, cuts + [len(data)]):
        writer.write(data[begin:end])
        await writer.drain()
        if slowly and rng.random() < 0.5:
            await asyncio.sleep(rng.choice([0, 0.001, 0.03, 0.06]))  # patience ends between these


def chunked(data, rng):
    out, at = b"", 0
    while at < len(data):
        piece = data[at : at + rng.choice([1, 7, 100, 5000, 70000])] if len(data) < 20000 else data[at : at + 9000]
        out += b"%x%s\r\n%s\r\n" % (len(piece), rng.choice([b"", b";a=b"]), piece)
        at += len(piece)
    return out + b"0\r\n" + rng.choice([b"", b"X-Sum: 1\r\n"]) + b"\r\n"


async def read_head(reader):
    first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    return first.split(b" "), {name.lower(): value.strip() for name, value in (line.split(b":", 1) for line in lines)}


async def read_body(reader, fields, until_close=False):
    if b"transfer-encoding" in fields:
        data = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            data += (await reader.readexactly(size + 2))[:-2]
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return data
    if b"content-length" in fields:
        return await reader.readexactly(int(fields[b"content-length"]))
    return await reader.read() if until_close else b""


def answer_to(method, case, rng):
    """The bytes, and whether the connection ends behind them."""
    data, close = body_of(case["number"] + 1, case["answer"]), case["closes"] or case["early"]
    if case["ill"] == "garbage":
        return rng.randbytes(200) + b"\r\n\r\n", True
    head = b"HTTP/1.1 200 OK\r\n" + (b"Connection: close\r\n" if close else b"")
    if case["framing"] == "length":
        head, data = head + b"Content-Length: %d\r\n\r\n" % len(data), data
    elif case["framing"] == "chunks":
        head, data = head + b"Transfer-Encoding: chunked\r\n\r\n", chunked(data, rng)
    else:
        head, close = b"HTTP/1.0 200 OK\r\n\r\n", True
    return head if method == b"HEAD" else head + data, close


def reset(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serve_one(reader, writer):
    """True when another request may follow."""
    (method, path, _), fields = await read_head(reader)
    case = json.loads(bytes.fromhex(path[1:].decode()))
    rng, ill = random.Random(case["number"]), case["ill"]
    if ill == "closed":
        return False
    if ill == "reset":
        return reset(writer)
    if not case["early"]:
        if b"expect" in fields:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if await read_body(reader, fields) != body_of(case["number"], case["length"]):
            wrong.append("the upstream read another body: %s" % case)
        executed[method, case["number"]] += 1
    if ill == "reset when read":
        return reset(writer)
    for _ in range(case["hints"]):
        await write_in_pieces(writer, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", rng, case["slow"])
        await asyncio.sleep(rng.choice([0, 0.05]) if case["slow"] else 0)
    data, close = answer_to(method, case, rng)
    if ill and ill.endswith("within"):
        await write_in_pieces(writer, data[: rng.randrange(len(data))], rng, case["slow"])
        return reset(writer) if ill.startswith("reset") else False
    await write_in_pieces(writer, data, rng, case["slow"])
    if case["early"]:
        writer.write_eof()
        while await reader.read(65536):
            pass
    return not close


async def serve(reader, writer):
    try:
        while await serve_one(reader, writer):
            pass
    except (asyncio.IncompleteReadError, OSError):
        pass
    writer.close()


async def get_answer(reader, request, asked=False):
    """What is left to say: "continue" when the body was asked for, whether another request may follow else."""
    method, case, minor = request["method"], request["case"], request["minor"]
    status, fields = b"100", {}
    while status.startswith(b"1"):
        (_, status, *_), fields = await read_head(reader)
        if status == b"100" and asked:
            return "continue"
        if status == b"103" and minor == 0:
            wrong.append("HTTP/1.0 got a 103: %s" % case)
    data = b"" if method == "HEAD" else await read_body(reader, fields, until_close=True)
    expected = b"" if method == "HEAD" else body_of(case["number"] + 1, case["answer"])
    cut = case["ill"] == "closed within" and case["framing"] == "close" and expected.startswith(data)
    if status != b"200" and not (case["ill"] and status == b"502"):
        wrong.append("%s instead of 200: %s" % (status, case))
    elif status == b"200" and data != expected and not cut:
        wrong.append("%d bytes of another answer: %s" % (len(data), case))
    return fields.get(b"connection") != b"close"


def make_request(rng, pipelined):
    method = rng.choice(["GET", "GET", "HEAD", "POST", "POST", "PUT"])
    length = rng.choice([0, 1, 10, 3000, 16000, 17000, 100000, 400000]) if method[0] == "P" else 0
    minor = 0 if not pipelined and rng.random() < 0.1 else 1
    case = {
        "number": rng.randrange(10**9),
        "length": length,
        "answer": rng.choice([0, 1, 10, 5000, 14000, 16384, 30000, 200000]),
        "framing": rng.choice(["length", "chunks", "close"]),
        "hints": rng.choice([0, 0, 0, 1, 3]),
        "slow": rng.random() < 0.4,
        "closes": rng.random() < 0.2,
        "early": length >= 100000 and not pipelined and rng.random() < 0.2,
        "ill": rng.choice(ILLNESSES) if not pipelined and rng.random() < 0.15 else None,
    }
    chunks, expects = length and minor and rng.random() < 0.5, length and minor and not pipelined and rng.random() < 0.2
    head = "%s /%s HTTP/1.%d\r\nHost: t\r\n" % (method, json.dumps(case).encode().hex(), minor)
    if method[0] == "P":
        head += "Transfer-Encoding: chunked\r\n" if chunks else "Content-Length: %d\r\n" % length
    head += "Expect: 100-continue\r\n" if expects else ""
    head += "" if minor else "Connection: keep-alive\r\n"
    data = body_of(case["number"], length)
    return {
        "method": method,
        "case": case,
        "minor": minor,
        "expects": expects,
        "head": head.encode() + b"\r\n",
        "body": chunked(data, rng) if chunks else data,
    }


async def converse(rng):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway, limit=1 << 20)
    pipelined, slow = rng.random() < 0.3, rng.random() < 0.4
    requests = [make_request(rng, pipelined) for _ in range(rng.randint(1, 4))]
    if pipelined:
        await write_in_pieces(writer, b"".join(r["head"] + r["body"] for r in requests), rng, slow)
    for request in requests:
        ill = request["case"]["ill"]
        try:
            more = "continue"
            if not pipelined:
                await write_in_pieces(writer, request["head"], rng, slow)
                if request["expects"]:
                    more = await get_answer(reader, request, asked=True)
                if more == "continue" and request["case"]["early"]:  # whoever answers early may be read while it is sent
                    sending = asyncio.create_task(write_in_pieces(writer, request["body"], rng, slow))
                    await get_answer(reader, request)
                    sending.cancel()
                    break
                if more == "continue":
                    await write_in_pieces(writer, request["body"], rng, slow)
            if more == "continue":
                more = await get_answer(reader, request)
        except (asyncio.IncompleteReadError, OSError) as error:
            if not ill:
                wrong.append("%r: %s" % (error, request["case"]))
            more = False
        if not more:
            break
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", upstream_port, limit=1 << 20, backlog=500)
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(number):
        async with turns:
            await asyncio.wait_for(converse(random.Random(seed * 1000000 + number)), 60)

    await asyncio.gather(*map(in_turn, range(connections)))
    server.close()
    wrong.extend("a POST was executed twice: %d" % n for (m, n), times in executed.items() if m == b"POST" and times > 1)
    print("\n".join(wrong) or "all well after %d requests" % len(executed))


asyncio.run(main())
