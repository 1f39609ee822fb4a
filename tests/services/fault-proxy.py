#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""fault-proxy.py LISTEN TARGET RULES [LOG]: a TCP proxy on 127.0.0.1 with faults.

LISTEN and TARGET are ports; LISTEN 0 takes a free one. Prints "ready PORT" once
it listens; ends at SIGTERM. RULES is read anew for each connection, so that
rules can change while it runs; no such file: no faults. Connections are numbered
from 1 on, and from 1 again when the content of RULES has changed. One rule a
line, the first that matches counts:

    [N[-[M]]] FAULT...       connections N to M (N-: and all later); no number: all
    # comment

    pass                     nothing
    refuse                   reset as soon as it is accepted
    hang                     accepted, and then silence
    delay=MS                 each direction takes MS longer, as on a long line: what
                             is under way together arrives together, bandwidth is as
                             before, and connecting costs a round trip more
    up-delay=MS down-delay=MS   one direction only (up: from client to target)
    rate=BYTES               at most so many bytes a second, each direction
    up-reset=N down-reset=N  N bytes are let through, then both sides are reset
    up-close=N down-close=N  N bytes are let through, then both sides are closed
    up-hang=N down-hang=N    N bytes are let through, then silence
    up-flip=N down-flip=N    the lowest bit of byte N (0 is the first) is turned over
    http=CODE[,SECONDS]      this status (and Retry-After) answers one request, and
                             the connection ends; the target is never asked

LOG gets a line a connection at its end: its number, its rule, the bytes let
through each way, and "hit" when a fault did happen (not only a delay):
    3 down-reset=100 up=512 down=100 hit
Needs nothing but python3.
"""
import asyncio
import collections
import signal
import socket
import struct
import sys
import time

CHUNK = 256 << 10
UNDER_WAY = 32 << 20  # bytes on the long line at most, one direction
AT_BYTE = ("reset", "close", "hang")


class Rules:
    def __init__(self, path):
        self.path = path
        self.text = None
        self.count = 0

    def next(self):
        """The number and the faults of a new connection."""
        try:
            with open(self.path, encoding="utf-8") as f:
                text = f.read()
        except FileNotFoundError:
            text = ""
        if text != self.text:
            self.text, self.count = text, 0
        self.count += 1
        for line in text.splitlines():
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0][0].isdigit():
                first, dash, last = words.pop(0).partition("-")
                until = int(last) if last else (1 << 60 if dash else int(first))
                if not int(first) <= self.count <= until:
                    continue
            return self.count, dict(w.partition("=")[::2] for w in words)
        return self.count, {}


class Connection:
    def __init__(self, number, faults, client):
        self.number, self.faults, self.client = number, faults, client
        self.target = None
        self.began = time.monotonic()
        self.passed = {"up": 0, "down": 0}
        self.hit = False

    def reset(self):
        for s in (self.client, self.target):
            if s is not None:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        for s in (self.client, self.target):
            if s is not None:
                s.close()

    def line(self):
        rule = " ".join(k + ("=" + v if v else "") for k, v in self.faults.items()) or "pass"
        return "%d %s up=%d down=%d%s\n" % (
            self.number, rule, self.passed["up"], self.passed["down"], " hit" if self.hit else "")


class Pump:
    """One direction of a connection."""

    def __init__(self, conn, way, source, sink):
        f = conn.faults
        self.loop = asyncio.get_running_loop()
        self.conn, self.way, self.source, self.sink = conn, way, source, sink
        self.delay = float(f.get(way + "-delay", f.get("delay", 0))) / 1000
        self.rate = float(f.get("rate", 0))
        self.flip = int(f.get(way + "-flip", -1))
        self.stop, self.stop_at = None, None
        for k in AT_BYTE:
            if way + "-" + k in f:
                self.stop, self.stop_at = k, int(f[way + "-" + k])

    async def receive(self):
        size = CHUNK if not self.rate else max(1024, min(CHUNK, int(self.rate / 20)))
        return await self.loop.sock_recv(self.source, size)

    async def send(self, data):
        """True as long as the connection is to go on."""
        done = self.conn.passed[self.way]
        if self.stop is not None and done + len(data) >= self.stop_at:
            data = data[:max(0, self.stop_at - done)]
        if done <= self.flip < done + len(data):
            data = bytearray(data)
            data[self.flip - done] ^= 1
            self.conn.hit = True
        if data:
            await self.loop.sock_sendall(self.sink, data)
        self.conn.passed[self.way] += len(data)
        if self.rate:
            await asyncio.sleep(len(data) / self.rate)
        if self.stop is None or done + len(data) < self.stop_at:
            return True
        self.conn.hit = True
        if self.stop == "hang":
            while await self.loop.sock_recv(self.source, CHUNK):
                pass
        elif self.stop == "reset":
            await asyncio.sleep(0.02)  # a reset may overtake what was sent
            self.conn.reset()
        return False

    async def at_once(self):
        while True:
            data = await self.receive()
            if not data:
                return True
            if not await self.send(data):
                return False

    async def later(self):
        """Receiving goes on while what was received before is on its way."""
        line = collections.deque()
        news, room = asyncio.Event(), asyncio.Event()
        under_way = 0
        # The line's handshake, which the kernel has done with us in no time.
        opened = self.conn.began + (2 * self.delay if self.way == "up" else 0)

        async def fill():
            nonlocal under_way
            while True:
                data = await self.receive()
                line.append((max(time.monotonic(), opened) + self.delay, data))
                under_way += len(data)
                news.set()
                if not data:
                    return
                while under_way > UNDER_WAY:
                    room.clear()
                    await room.wait()

        filling = asyncio.ensure_future(fill())
        try:
            while True:
                while not line:
                    if filling.done():
                        filling.result()
                    news.clear()
                    wait = asyncio.ensure_future(news.wait())
                    await asyncio.wait((filling, wait), return_when=asyncio.FIRST_COMPLETED)
                    wait.cancel()
                due, data = line.popleft()
                left = due - time.monotonic()
                if left > 0:
                    await asyncio.sleep(left)
                if not data:
                    return True
                under_way -= len(data)
                room.set()
                if not await self.send(data):
                    return False
        finally:
            filling.cancel()

    async def run(self):
        """True when the source ended and the other direction may go on."""
        if not await (self.later() if self.delay else self.at_once()):
            return False
        self.sink.shutdown(socket.SHUT_WR)
        return True


async def answer(conn, how):
    """One HTTP answer of our own; the request's body is read, not used."""
    loop = asyncio.get_running_loop()
    code, _, after = how.partition(",")
    head = b""
    while b"\r\n\r\n" not in head:
        data = await loop.sock_recv(conn.client, CHUNK)
        if not data:
            return
        head += data
    name = "SlowDown" if code == "503" else "InternalError"
    body = ('<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code>'
            "<Message>The fault proxy says so.</Message></Error>" % name)
    lines = ["HTTP/1.1 %s Fault" % code, "Content-Type: application/xml",
             "Content-Length: %d" % len(body), "Connection: close"]
    if after:
        lines.append("Retry-After: " + after)
    text = "\r\n".join(lines) + "\r\n\r\n" + ("" if head.startswith(b"HEAD ") else body)
    conn.hit = True
    await loop.sock_sendall(conn.client, text.encode())
    conn.client.shutdown(socket.SHUT_WR)
    # Closing with unread bytes would reset, and could take the answer along.
    for _ in range(100000):
        if not await asyncio.wait_for(loop.sock_recv(conn.client, CHUNK), 5):
            break


async def serve(conn, target):
    loop = asyncio.get_running_loop()
    f = conn.faults
    conn.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if "refuse" in f:
        conn.hit = True
        conn.reset()
    elif "hang" in f:
        conn.hit = True
        while await loop.sock_recv(conn.client, CHUNK):
            pass
    elif "http" in f:
        await answer(conn, f["http"])
    else:
        conn.target = socket.socket()
        conn.target.setblocking(False)
        await loop.sock_connect(conn.target, ("127.0.0.1", target))
        conn.target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await both_ways(conn)


async def both_ways(conn):
    going = {asyncio.ensure_future(Pump(conn, "up", conn.client, conn.target).run()),
             asyncio.ensure_future(Pump(conn, "down", conn.target, conn.client).run())}
    try:
        while going:
            done, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
            if not all([t.result() for t in done]):
                return
    except OSError:
        conn.reset()  # one side was: so is the other
    finally:
        for t in going:
            t.cancel()
        await asyncio.gather(*going, return_exceptions=True)


async def handle(conn, target, log):
    try:
        await serve(conn, target)
    except (OSError, asyncio.TimeoutError):
        pass
    finally:
        conn.close()
        if log is not None:
            log.write(conn.line())
            log.flush()


async def main(listen, target, rules, log):
    loop = asyncio.get_running_loop()
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", listen))
    server.listen(512)
    server.setblocking(False)
    loop.add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    loop.set_exception_handler(lambda *_: None)  # sockets that closed meanwhile
    print("ready %d" % server.getsockname()[1], flush=True)
    alive = set()
    while True:
        client, _ = await loop.sock_accept(server)
        client.setblocking(False)
        task = loop.create_task(handle(Connection(*rules.next(), client), target, log))
        alive.add(task)
        task.add_done_callback(alive.discard)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    log_file = open(sys.argv[4], "a", encoding="utf-8") if len(sys.argv) == 5 else None
    try:
        asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Rules(sys.argv[3]), log_file))
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
