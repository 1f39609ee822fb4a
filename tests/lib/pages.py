#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Looking at the pages of stopped clusters.

  pages.py superset DATADIR FROM TO CHANGES
      each page of a main fork whose LSN is in that range is in CHANGES
      (what tests/lib/walblocks prints), by block, limit or database
  pages.py compare DATADIR DATADIR
      every page of every main fork is the same in both, apart from what
      PostgreSQL does not log: checksums, hint bits, unused space
"""
import os
import re
import struct
import sys

PAGE = 8192
SEGMENT = 131072
REL = re.compile(r"([0-9]+)(?:\.([0-9]+))?$")


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def relation_dirs(data):
    """(tablespace, database, directory) of everywhere relations are."""
    yield 1664, 0, os.path.join(data, "global")
    for db in os.listdir(os.path.join(data, "base")):
        if db.isdigit():
            yield 1663, int(db), os.path.join(data, "base", db)
    links = os.path.join(data, "pg_tblspc")
    for ts in os.listdir(links):
        for version in os.listdir(os.path.join(links, ts)):
            top = os.path.join(links, ts, version)
            for db in os.listdir(top) if version.startswith("PG_") else []:
                if db.isdigit():
                    yield int(ts), int(db), os.path.join(top, db)


def main_forks(data):
    """Files of main forks, without unlogged ones: key -> path."""
    out = {}
    for ts, db, path in relation_dirs(data):
        names = set(os.listdir(path))
        for name in names:
            m = REL.match(name)
            if m and m.group(1) + "_init" not in names:
                out[ts, db, int(m.group(1)), int(m.group(2) or 0)] = \
                    os.path.join(path, name)
    return out


def read_pages(path):
    with open(path, "rb") as f:
        data = f.read()
    return [data[i:i + PAGE] for i in range(0, len(data), PAGE)]


def superset(data, start, end, changes):
    blocks, limits, databases = set(), {}, set()
    with open(changes, encoding="ascii") as f:
        for line in f:
            ts, db, rel, fork, kind, n = line.split()
            key = int(ts), int(db), int(rel)
            if kind == "database":
                databases.add(key[:2])
            elif fork == "0" and kind == "limit":
                limits[key] = min(limits.get(key, 1 << 32), int(n))
            elif fork == "0":
                blocks.add(key + (int(n),))
    seen = missing = 0
    for (ts, db, rel, seg), path in main_forks(data).items():
        for i, page in enumerate(read_pages(path)):
            high, low = struct.unpack_from("<II", page)
            block = seg * SEGMENT + i
            # A page has the LSN of the end of the record that changed it.
            if not start < (high << 32 | low) <= end:
                continue
            seen += 1
            key = ts, db, rel
            if (key + (block,) not in blocks and (ts, db) not in databases
                    and block < limits.get(key, 1 << 32)):
                print(f"{path} block {block} changed and is not named")
                missing += 1
    print(f"{seen} pages changed, {missing} not named; "
          f"{len(blocks)} blocks, {len(limits)} limits named")
    return seen > 0 and missing == 0


HEAP_HINTS = 0x0F00 | 0x0010  # xmin/xmax committed/invalid; combo cid


def mask_heap_tuples(page, lines):
    for off, flags, length in lines:
        if flags != 1 or length < 23:
            continue
        # t_cid and hints: set again by whoever looks at the tuple
        struct.pack_into("<I", page, off + 8, 0)
        (mask,) = struct.unpack_from("<H", page, off + 20)
        struct.pack_into("<H", page, off + 20, mask & ~HEAP_HINTS)


def mask(page):
    """What of a page is logged; None for one that is empty or new."""
    if not any(page):
        return None
    page = bytearray(page)
    flags, lower, upper, special = struct.unpack_from("<HHHH", page, 10)
    page[0:10] = bytes(10)                        # LSN, checksum
    struct.pack_into("<H", page, 10, flags & ~0x3)  # PD_HAS_FREE_LINES, FULL
    struct.pack_into("<I", page, 20, 0)           # pd_prune_xid
    if not 24 <= lower <= upper <= special <= PAGE:
        return bytes(page)
    if lower == 24 and special == PAGE and upper == special:
        return None
    page[lower:upper] = bytes(upper - lower)
    rest = PAGE - special
    tail = bytes(page[special:])
    if rest == 0 or rest == 16:
        lines = []
        for at in range(24, lower, 4):
            (item,) = struct.unpack_from("<I", page, at)
            lines.append((item & 0x7FFF, item >> 15 & 3, item >> 17))
        if rest == 0:
            mask_heap_tuples(page, lines)
        elif tail[12:14] == b"\0\0" or True:
            mask_index(page, lines, special)
    return bytes(page)


def mask_index(page, lines, special):
    """B-tree and hash: entries known to be dead, cycle id, hints."""
    for i, (off, flags, length) in enumerate(lines):
        if flags == 3 and length > 0:             # LP_DEAD with a tuple
            struct.pack_into("<I", page, 24 + 4 * i,
                             off | 1 << 15 | length << 17)
    (opaque,) = struct.unpack_from("<H", page, special + 12)
    if struct.unpack_from("<H", page, special + 14)[0] == 0xFF80:  # hash
        struct.pack_into("<H", page, special + 12, opaque & ~0x80)
    else:                                         # BTP_HAS_GARBAGE
        struct.pack_into("<H", page, special + 12, opaque & ~0x60)
        struct.pack_into("<H", page, special + 14, 0)


def compare(one, two):
    a, b = main_forks(one), main_forks(two)
    differ = pages = 0
    for key in sorted(set(a) | set(b)):
        pages_a = read_pages(a[key]) if key in a else []
        pages_b = read_pages(b[key]) if key in b else []
        for i in range(max(len(pages_a), len(pages_b))):
            pages += 1
            x = mask(pages_a[i]) if i < len(pages_a) else None
            y = mask(pages_b[i]) if i < len(pages_b) else None
            if x == y:
                continue
            differ += 1
            if differ > 20:
                continue
            at = [n for n in range(PAGE)
                  if (x or bytes(PAGE))[n] != (y or bytes(PAGE))[n]]
            print(f"{key} block {i}: {len(at)} bytes differ from {at[0]} on"
                  f"; new or empty: {x is None} {y is None}; LSNs"
                  f" {[p[i][:8].hex() if i < len(p) else None for p in (pages_a, pages_b)]}")
    print(f"{pages} pages, {differ} differ")
    return pages > 0 and differ == 0


def main():
    if sys.argv[1] == "superset":
        ok = superset(sys.argv[2], lsn(sys.argv[3]), lsn(sys.argv[4]),
                      sys.argv[5])
    else:
        ok = compare(sys.argv[2], sys.argv[3])
    return 0 if ok else 1


sys.exit(main())
