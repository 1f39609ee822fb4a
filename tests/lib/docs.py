#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""docs.py BIN TOP FILE...: whatever README and the pages in docs/ name exists.

Commands and options by "BIN help", keys by man/dapk-backup.conf.5. What belongs
to others stands in the first column of tables whose head begins with
"pgBackRest", or in lines that do not call this program."""
import re
import subprocess
import sys

# Words with a hyphen in code spans that are neither keys nor commands.
OTHERS = {"apt-get"}
# Options of scripts/recover.py.
RECOVER = {"list", "output", "dump", "wal-output"}


def help_of(*args):
    return subprocess.run([BIN, "help", *args], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def options_of(text):
    found = set(re.findall(r"^  (?:-., )?--([a-z0-9-]+)", text, re.M))
    at = text.find("How a repository is reached and opened")
    if at >= 0:
        found |= set(re.findall(r"--([a-z0-9-]+)", text[at:].split("\n\n")[0]))
    return found


def lines_of(text):
    """Lines as (number, text); those that end with a backslash are joined."""
    number, held = 0, ""
    for line in text.split("\n"):
        number += 1
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        yield number, held + line
        held = ""


def without_first_column(line, state):
    if not line.startswith("|"):
        state["theirs"] = False
    elif re.match(r"\|\s*pgBackRest\s*\|", line):
        state["theirs"] = True
    if state["theirs"]:
        return "|" + line.split("|", 2)[2]
    return line


def check_calls(code, where):
    # "|" and ";" end a command, as a quote does that it stands in.
    for call in re.finditer(r"(?<![\w/.@-])dapk-backup ([a-z][a-z-]*)([^|;&']*)", code):
        command, rest = call.groups()
        if command not in OPTIONS:
            bad(where, f"dapk-backup {command}: no such command")
            continue
        # What is quoted is an option's value; what follows it counts too.
        rest = code[call.start(2):]
        rest = re.split(r"[|;&]", re.sub(r"'[^']*'", "''", rest))[0]
        for name in re.findall(r"(?<=\s)--([a-z0-9-]+)", rest):
            plain = name[3:] if name.startswith("no-") else name
            if name not in OPTIONS[command] and plain not in OPTIONS[command]:
                bad(where, f"dapk-backup {command} has no option --{name}")


def check_span(span, where, table):
    check_calls(span, where)
    if (m := re.match(r"--([a-z0-9-]+)", span)) and m.group(1) not in ANY | RECOVER:
        bad(where, f"no command has an option --{m.group(1)}")
    if m := re.match(r"([a-z0-9-]+) [^=]*--([a-z0-9-]+)", span):
        if m.group(1) in OPTIONS and m.group(2) not in OPTIONS[m.group(1)]:
            bad(where, f"{m.group(1)} has no option --{m.group(2)}")
    if m := re.fullmatch(r"([a-z][a-z0-9-]*) = \S.*", span):
        if m.group(1) not in KEYS:
            bad(where, f"no key {m.group(1)}")
    word = re.fullmatch(r"[a-z]+(-[a-z]+)*", span)
    if word and ("-" in span or table) and span not in KEYS | ANY | set(OPTIONS) | OTHERS \
            and not span.startswith("dapk-backup"):
        bad(where, f"{span} is no key, option or command")


def check(name):
    with open(name, encoding="utf-8") as f:
        text = f.read()
    state, fenced, section = {"theirs": False}, False, False
    for number, line in lines_of(text):
        where = f"{name}:{number}"
        if line.startswith("```"):
            fenced = not fenced
            continue
        if fenced:
            continue # what a program printed
        if line.startswith("    "):
            code = line.strip()
            check_calls(code, where)
            section = code.startswith("[") or (section and code != "" and "=" in code) or \
                (section and code.startswith("#"))
            m = re.match(r"([a-z0-9-]+) +=", code)
            if section and m and m.group(1) not in KEYS:
                bad(where, f"no key {m.group(1)}")
            continue
        section = section and line == ""
        line = without_first_column(line, state)
        for span in re.findall(r"`([^`]+)`", line):
            check_span(span, where, state["theirs"])


def bad(where, what):
    print(f"{where}: {what}")
    BAD.append(where)


BIN, TOP = sys.argv[1:3]
BAD = []
listed = re.search(r"^Commands:\n(.*?)\n\n", help_of(), re.S | re.M).group(1)
OPTIONS = {c: options_of(help_of(c)) for c in re.findall(r"^  ([a-z-]+) ", listed, re.M)
           if c != "help"}
ANY = set().union(*OPTIONS.values())
with open(f"{TOP}/man/dapk-backup.conf.5", encoding="utf-8") as page:
    KEYS = set(re.findall(r"^\.It Ic ([a-z0-9-]+) No =", page.read(), re.M))
if len(OPTIONS) < 15 or len(ANY) < 80 or len(KEYS) < 40:
    sys.exit(f"what exists was not understood: {len(OPTIONS)} commands, {len(ANY)} options, {len(KEYS)} keys")
for name in sys.argv[3:]:
    check(name)
sys.exit(1 if BAD else 0)
