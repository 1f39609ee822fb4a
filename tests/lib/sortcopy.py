#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""sortcopy.py <DUMP >NORMAL

A plain dump as pg_dump prints it, so that two of the same content are equal:
the rows of each COPY sorted (tables that were loaded in parallel have another
physical order), without the random key of \\restrict.
"""
import sys

out = sys.stdout.buffer
rows = None
for line in sys.stdin.buffer:
    if rows is None:
        if line.startswith((b'\\restrict ', b'\\unrestrict ')):
            continue
        out.write(line)
        if line.endswith(b' FROM stdin;\n'):
            rows = []
    elif line == b'\\.\n':
        out.writelines(sorted(rows))
        out.write(line)
        rows = None
    else:
        rows.append(line)
if rows is not None:
    sys.exit('a COPY without an end')
