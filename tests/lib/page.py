#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""page.py FILE.html: is it one well-formed page that loads nothing and has no
script? Then it prints the page's text, a line for each element that has any.

page.py --png FILE.png RRGGBB...: width and height, then of each colour: how
many pixels have it, and the length, x and y of the longest row of them.
"""
import html.parser
import struct
import sys
import zlib

VOID = {"meta", "br", "link", "img", "hr", "input"}
# These end by themselves where the next one begins.
LOOSE = {"th", "td", "tr", "thead", "tbody", "li", "p", "html", "body"}
LOADS = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.lines = []
        self.style = ""
        self.tags = set()

    def die(self, what):
        sys.exit(f"line {self.getpos()[0]}: {what}; open: {self.open}")

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("script", "iframe", "object", "embed", "img", "link", "base", "form"):
            self.die(f"<{tag}>")
        for name, _value in attrs:
            if name.startswith("on") or name in LOADS:
                self.die(f"<{tag} {name}>")
        names = [n for n, _ in attrs]
        if len(names) != len(set(names)):
            self.die(f"<{tag}> has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open[-1] != tag and self.open[-1] in LOOSE:
            self.open.pop()
        if not self.open or self.open[-1] != tag:
            self.die(f"</{tag}>")
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        elif data.strip():
            self.lines.append((self.open[-1] if self.open else "", " ".join(data.split())))


def check(path):
    text = open(path, encoding="utf-8").read()
    page = Page()
    page.feed(text)
    page.close()
    if [t for t in page.open if t not in LOOSE]:
        sys.exit(f"never closed: {page.open}")
    if not text.startswith("<!DOCTYPE html>"):
        sys.exit("no doctype")
    for word in ("@import", "http:", "https:", "//"):
        if word in page.style:
            sys.exit(f"the style has {word}")
    if "prefers-color-scheme:dark" not in page.style:
        sys.exit("no dark scheme")
    for tag, line in page.lines:
        print(f"{tag}: {line}")


def pixels(path):
    """Rows of (r, g, b) of an 8 bit RGB or RGBA picture without interlacing."""
    data = open(path, "rb").read()
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, lace = struct.unpack(">IIBBBBB", body)
            if depth != 8 or colour not in (2, 6) or lace:
                sys.exit("another kind of PNG")
            size = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw, stride, before = zlib.decompress(packed), width * size, bytearray(width * size)
    rows = []
    for y in range(height):
        start = y * (stride + 1)
        how, row = raw[start], bytearray(raw[start + 1:start + 1 + stride])
        for i in range(stride if how else 0):
            a = row[i - size] if i >= size else 0
            b = before[i]
            c = before[i - size] if i >= size else 0
            if how == 1:
                p = a
            elif how == 2:
                p = b
            elif how == 3:
                p = (a + b) // 2
            else:
                p = min((a, b, c), key=lambda v: abs(a + b - c - v))
            row[i] = (row[i] + p) & 255
        rows.append(row)
        before = row
    return width, height, size, rows


def count(path, colours):
    width, height, size, rows = pixels(path)
    print(f"size {width} {height}")
    for colour in colours:
        wanted, n, longest = bytes.fromhex(colour), 0, (0, 0, 0)
        for y, row in enumerate(rows):
            if row.find(wanted) < 0:
                continue
            run = 0
            for x in range(width + 1):
                if x < width and row[x * size:x * size + 3] == wanted:
                    n += 1
                    run += 1
                elif run:
                    longest = max(longest, (run, x - run, y))
                    run = 0
        print(colour, n, *longest)


if sys.argv[1] == "--png":
    count(sys.argv[2], sys.argv[3:])
else:
    check(sys.argv[1])
