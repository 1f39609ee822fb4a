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


# Bits of t_infomask: HEAP_COMBOCID, and whether xmin and xmax are known to
# have committed or aborted. Frozen is both of xmin's: logged, but not told
# apart here (pg_check_frozen does).
HEAP_HINTS = 0x0F00 | 0x0020
LP_NORMAL, LP_DEAD = 1, 3
GIST, HASH = 0xFF81, 0xFF80  # the last two bytes of their pages


def line_pointers(page, lower):
    for at in range(24, lower, 4):
        (item,) = struct.unpack_from("<I", page, at)
        yield at, item & 0x7FFF, item >> 15 & 3, item >> 17


def mask_heap(page, lower):
    for _, off, flags, length in line_pointers(page, lower):
        if flags == LP_NORMAL and length >= 23 and off + length <= PAGE:
            struct.pack_into("<I", page, off + 8, 0)  # t_cid
            (bits,) = struct.unpack_from("<H", page, off + 20)
            struct.pack_into("<H", page, off + 20, bits & ~HEAP_HINTS)


def mask_index(page, lower, special):
    """Entries known to be dead, flags that say so, cycle ids, GiST's NSN."""
    for at, off, flags, length in line_pointers(page, lower):
        if flags == LP_DEAD and length > 0:
            struct.pack_into("<I", page, at,
                             off | LP_NORMAL << 15 | length << 17)
    (opaque,) = struct.unpack_from("<H", page, special + 12)
    (kind,) = struct.unpack_from("<H", page, special + 14)
    if kind == GIST:
        page[special:special + 8] = bytes(8)
        opaque &= ~0x18                     # F_HAS_GARBAGE, F_FOLLOW_RIGHT
    elif kind == HASH:
        opaque &= ~0x80                     # LH_PAGE_HAS_DEAD_TUPLES
    else:
        opaque &= ~0x60                     # BTP_HAS_GARBAGE, BTP_SPLIT_END
        page[special + 14:special + 16] = bytes(2)
    struct.pack_into("<H", page, special + 12, opaque)


def mask(page):
    """What of a page is logged; None for one that is new or empty."""
    if not any(page):
        return None
    page = bytearray(page)
    flags, lower, upper, special = struct.unpack_from("<HHHH", page, 10)
    page[0:10] = bytes(10)                          # LSN, checksum
    struct.pack_into("<H", page, 10, flags & ~0x3)  # full, has free lines
    page[20:24] = bytes(4)                          # pd_prune_xid
    if not 24 <= lower <= upper <= special <= PAGE:
        return bytes(page)
    if lower == 24 and upper == special == PAGE:
        return None
    page[lower:upper] = bytes(upper - lower)
    if special == PAGE:
        mask_heap(page, lower)
    elif special == PAGE - 16:
        mask_index(page, lower, special)
    return bytes(page)


def describe(key, block, old, new):
    at = [n for n in range(PAGE)
          if (old or bytes(PAGE))[n] != (new or bytes(PAGE))[n]]
    print(f"{key} block {block}: {len(at)} bytes differ, at {at[:12]}; "
          f"new or empty: {old is None}, {new is None}")


def compare(one, two):
    files_one, files_two = main_forks(one), main_forks(two)
    differ = pages = 0
    for key in sorted(set(files_one) | set(files_two)):
        a = read_pages(files_one[key]) if key in files_one else []
        b = read_pages(files_two[key]) if key in files_two else []
        for i in range(max(len(a), len(b))):
            pages += 1
            if i < min(len(a), len(b)) and a[i] == b[i]:
                continue
            x = mask(a[i]) if i < len(a) else None
            y = mask(b[i]) if i < len(b) else None
            if x != y:
                differ += 1
                if differ <= 20:
                    describe(key, i, x, y)
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
