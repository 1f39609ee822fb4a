#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""traps.py TOP: docs/TRAPS.md has each trap once, with tests that exist."""
import glob
import os
import re
import sys

TOP = sys.argv[1]
NUMBERS = [str(n) for n in range(1, 138)]
NUMBERS.insert(1, "1b")


def file_of(name):
    """The test's file: a script, or a C file of one of the folders."""
    places = ["integration/%s.sh", "unit/%s.c", "contract/%s.c", "golden/%s.c", "fault/%s", "fault/%s.sh"]
    for place in places:
        path = os.path.join(TOP, "tests", place % name)
        if os.path.exists(path):
            return path
    return None


def complaint(test):
    name, _, function = test.partition(": ")
    path = file_of(name)
    if path is None:
        return "no test " + name
    if function:
        with open(path, encoding="utf-8") as f:
            if not re.search(r"\b%s\(void \*\*" % re.escape(function), f.read()):
                return "%s has no %s" % (name, function)
    return None


def main():
    with open(os.path.join(TOP, "docs", "TRAPS.md"), encoding="utf-8") as f:
        rows = re.findall(r"^\| T(\d+b?) \| ([^|]+) \| ([^|]+) \|$", f.read(), re.M)
    said = []
    if [row[0] for row in rows] != NUMBERS:
        said.append("not each of T1 to T137 once and in order")
    for number, what, tests in rows:
        names = re.findall(r"`([^`]+)`", tests)
        if what.strip() != "does not apply" and not names:
            said.append("T%s names no test" % number)
        if what.strip() == "does not apply" and len(tests) < 20:
            said.append("T%s gives no reason" % number)
        for test in names if what.strip() != "does not apply" else []:
            wrong = complaint(test)
            if wrong:
                said.append("T%s: %s" % (number, wrong))
    for line in said:
        print("docs/TRAPS.md: " + line, file=sys.stderr)
    return 1 if said or not glob.glob(os.path.join(TOP, "tests", "unit", "*.c")) else 0


sys.exit(main())
