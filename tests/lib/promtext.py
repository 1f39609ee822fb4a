#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""Read Prometheus' text format 0.0.4 as strictly as it is written down, and
as `status` uses it: standard input is the text; prints one JSON object of
"name{label=value,...}" (labels sorted) to number. Anything else ends with 1."""
import json
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HELP = re.compile(rf"# HELP ({NAME}) (\S.*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge)")
SAMPLE = re.compile(rf"({NAME})\{{(.*)\}} (-?[0-9]+(?:\.[0-9]+)?)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def fail(number, line, why):
    sys.exit(f"line {number}: {why}: {line!r}")


def labels_of(text, number, line):
    found, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        if m is None or (m[3] == "," and m.end() == len(text)):
            fail(number, line, "labels")
        if m[1] in found or m[1].startswith("__"):
            fail(number, line, "a label twice, or reserved")
        found[m[1]] = re.sub(r"\\.", lambda e: ESCAPED[e[0]], m[2])
        at = m.end()
    return found


def main():
    raw = sys.stdin.buffer.read()
    text = raw.decode("utf-8")
    if not text.endswith("\n") or "\r" in text or "\t" in text:
        sys.exit("the text does not end with a line feed, or has others")
    helped, typed, closed, series = set(), set(), set(), {}
    current = None
    for number, line in enumerate(text[:-1].split("\n"), 1):
        if m := HELP.fullmatch(line):
            if m[1] in helped:
                fail(number, line, "HELP twice")
            helped.add(m[1])
            if current is not None:
                closed.add(current)
            current = None
        elif m := TYPE.fullmatch(line):
            if m[1] in typed or m[1] not in helped:
                fail(number, line, "TYPE twice, or before HELP")
            typed.add(m[1])
            current = m[1]
        elif m := SAMPLE.fullmatch(line):
            if m[1] != current or m[1] in closed:
                fail(number, line, "not below its own TYPE")
            labels = labels_of(m[2], number, line)
            key = m[1] + "{" + ",".join(f"{k}={labels[k]}" for k in sorted(labels)) + "}"
            if key in series:
                fail(number, line, "the same series twice")
            series[key] = float(m[3]) if "." in m[3] else int(m[3])
        else:
            fail(number, line, "is none of HELP, TYPE and a sample")
    for name in typed:
        if not any(key.startswith(name + "{") for key in series):
            sys.exit(f"{name} has no sample")
        if not name.startswith("dapk_backup_"):
            sys.exit(f"{name}: another program's name")
    json.dump(series, sys.stdout)


main()
