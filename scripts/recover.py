#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""Get a PostgreSQL backup or dump out of a dapk-backup repository without
dapk-backup.

    recover.py REPOSITORY --list
    recover.py REPOSITORY --output DIR [--cluster C] [--backup LABEL]
               [--wal-output DIR [--wal all|needed]] [--tablespace OID=DIR]
    recover.py REPOSITORY --output FILE [--cluster C] --dump LABEL

A dump comes out as an archive in pg_dump's custom format, for pg_restore, one
of globals as the SQL text that pg_dumpall wrote, for psql.

It needs python3 and the zstd command, and a repository that is a directory
and not encrypted. It is written from FORMAT.md alone, as a second reader of
what is stored.

What it checks: the CRC-32C of text objects, headers and indexes, the SHA-256
of the manifest's parts, zstd's checksum of every frame (by the zstd command),
which file and blocks a frame is of, and, read back from the disk, size and
CRC-32C of every file; of a dump, the CRC-32C of every chunk and item. What it
does not check: the XXH3 of frames, pages, chunks and WAL files. When anything
is damaged it goes on, says what is lost, leaves out global/pg_control, without
which no server starts (a dump's file is then called FILE.damaged), and ends
with exit code 1.
"""
import argparse
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from collections import defaultdict

MAGIC, MAGIC_HIDDEN = 0x184D2A5D, 0x184D2A5E
PACK, MANIFEST, WAL, WAL_PART = 1, 2, 3, 4
FILE_DATA, PAGE_SUMS, MAP, MANIFEST_TEXT, WAL_PIECE = 1, 2, 3, 4, 5
DUMP_CHUNK, CHUNK_LIST = 6, 8
SHOWN = (1, 4, 5, 6)  # types of frames that `zstd -dc` shows
EPOCH_2000 = 946684800
CHUNK = 1 << 20
HEX32 = "[0-9a-f]{32}"


class Damage(Exception):
    """Something is there and not what it should be, or is missing."""


class Refused(Exception):
    """Something that this program cannot do."""


def say(*words):
    print(*words, flush=True)


# ------------------------------------------------------------------ CRC-32C

CRC_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    CRC_TABLE.append(_byte)

# x^6777 + x^484 + x^100 + 1 is a multiple of the polynomial, and so is its
# square, with each exponent doubled, and so on. Adding such a multiple clears
# the most significant bits of a long message by three shifts of a big number,
# which Python does fast; only the last kilobyte goes through the table.
TOP, FOLD = 6777, (6777 - 484, 6777 - 100, 6777)


def crc32c(data, crc=0):
    """The CRC-32C of the bytes, or of more bytes given that of those before."""
    bits = 8 * len(data)
    crc ^= 0xFFFFFFFF
    if bits > 4 * TOP:
        number = int.from_bytes(data, "little") ^ crc
        crc = 0
        scale = 1
        while 2 * scale * TOP < bits:
            scale *= 2
        while scale:
            n = min(scale * FOLD[0], bits - scale * TOP) // 8 * 8
            if n <= 0:
                scale //= 2
                continue
            low = number & ((1 << n) - 1)
            for shift in FOLD:
                number ^= low << scale * shift
            number >>= n
            bits -= n
        data = number.to_bytes(bits // 8, "little")
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


# ------------------------------------------- text objects, names, small things

def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        raise Damage(f"{path} is missing") from None
    except OSError as e:
        raise Damage(f"{path}: {e.strerror}") from None


def text_object(path, kind):
    """The JSON object of a text object (FORMAT.md section 3)."""
    data = read(path)
    first, _, rest = data.partition(b"\n")
    found = re.fullmatch(
        rb"dapk-backup (\S+) (\S+) crc32c=([0-9a-f]{8}) length=(\d+)", first)
    if not found or found[1].decode() != kind:
        raise Damage(f"{path} is not a {kind}")
    if found[2] != b"1":
        raise Refused(f"{path} has format version {found[2].decode()}, "
                      "which this program does not know")
    if int(found[4]) != len(rest) or int(found[3], 16) != crc32c(rest):
        raise Damage(f"{path} is damaged: wrong CRC or length")
    value = json.loads(rest)
    if value.get("must_know"):
        raise Refused(f"{path} needs {value['must_know']}, which this "
                      "program does not know")
    return value


def unescape(text):
    """Bytes of escaped text: %XX stands for a byte."""
    return re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]),
                  text.encode("ascii"))


def zstd(data, what):
    """Plain bytes of zstd frames."""
    run = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True,
                         check=False)
    if run.returncode != 0:
        why = run.stderr.decode(errors="replace").strip()
        raise Damage(f"{what}: zstd says: {why}")
    return run.stdout


def leb128(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def is_marked(path, generation):
    """Is there a "damage" object of this generation?"""
    stem = path[:-len(".zst")]
    return os.path.exists(f"{stem}.g{generation}.damaged")


def generations(path):
    """(generation, file) of what is stored under a name, best first: the
    highest that no "damage" object names, those at last that one does."""
    found = []
    folder, name = os.path.split(path)
    stem = name[:-len(".zst")]
    pattern = re.compile(re.escape(stem) + r"(?:\.g(\d+))?\.zst")
    try:
        names = os.listdir(folder)
    except OSError:
        names = []
    for entry in names:
        m = pattern.fullmatch(entry)
        if m:
            n = int(m[1] or 0)
            found.append((is_marked(path, n), -n, os.path.join(folder, entry)))
    if not found:
        raise Damage(f"{path} is missing")
    return [(-n, file) for _, n, file in sorted(found)]


# ----------------------------------------------------------- binary objects

class Frame:
    """The header of a frame (FORMAT.md section 4.2)."""

    FIXED = struct.Struct("<II4sBBBBIIIIQQ12sIHH")

    def __init__(self, data, offset, where):
        head = data[offset:offset + self.FIXED.size]
        if len(head) < self.FIXED.size:
            raise Damage(f"{where}: the header is cut short")
        (magic, length, kind, self.type, filtered, compression, cipher,
         self.number, self.plain_len, self.payload_len, self.block_size,
         self.position, _, _, _, n_path, n_list) = self.FIXED.unpack(head)
        end = offset + self.FIXED.size + n_path + n_list
        if magic != MAGIC or kind != b"DKFR" or \
                length != 64 + n_path + n_list:
            raise Damage(f"{where} does not begin with a header")
        if data[end:end + 4] != struct.pack(
                "<I", crc32c(data[offset + 8:end])):
            raise Damage(f"{where}: wrong CRC of the header")
        if filtered or compression != 1 or cipher:
            raise Refused(f"{where}: filter {filtered}, compression "
                          f"{compression}, cipher {cipher}: not known here")
        at = offset + self.FIXED.size
        self.path = data[at:at + n_path]
        self.list = data[at + n_path:end]
        self.payload = data[end + 4:end + 4 + self.payload_len]
        self.length = end + 4 + self.payload_len - offset
        self.where = where

    def hidden(self):
        """The zstd frame in a payload that `zstd -dc` does not show."""
        magic, length = struct.unpack_from("<II", self.payload)
        if magic != MAGIC_HIDDEN or length != len(self.payload) - 8:
            raise Damage(f"{self.where}: its payload is not a hidden one")
        return self.payload[8:]

    def plain(self):
        shown = self.type in SHOWN
        data = zstd(self.payload if shown else self.hidden(), self.where)
        if len(data) != self.plain_len:
            raise Damage(f"{self.where} has {len(data)} bytes instead of "
                         f"{self.plain_len}")
        return data

    def blocks(self):
        """Numbers of the file's blocks that are in this frame."""
        n = -(-self.plain_len // self.block_size)
        if not self.list:
            return range(self.position, self.position + n)
        found, at = [self.position], 0
        while at < len(self.list):
            gap, at = leb128(self.list, at)
            found.append(found[-1] + gap + 1)
        if len(found) != n:
            raise Damage(f"{self.where}: its block list has {len(found)} "
                         f"blocks instead of {n}")
        return found


class Object:
    """A pack, manifest part or WAL object (FORMAT.md section 4)."""

    HEADER = struct.Struct("<II4sHHII16sQIIBBHII")

    def __init__(self, repo, path, kind):
        self.path = path
        self.data = read(path)
        self.tags = {}
        self.read_header(repo, kind)
        self.index = self.read_index()

    def read_header(self, repo, kind):
        d = self.data
        if len(d) < self.HEADER.size:
            raise Damage(f"{self.path} is cut short")
        (magic, length, name, version, self.type, must_know, _, repo_id,
         self.system_id, self.generation, self.part, _, cipher, _, _,
         n_tags) = self.HEADER.unpack_from(d)
        end = 8 + length - 4
        if magic != MAGIC or name != b"DKOB" or end + 4 > len(d):
            raise Damage(f"{self.path} does not begin with an object header")
        if d[end:end + 4] != struct.pack("<I", crc32c(d[8:end])):
            raise Damage(f"{self.path}: wrong CRC of its header")
        if version != 1 or must_know:
            raise Refused(f"{self.path}: version {version}, features "
                          f"{must_know:#x}: not known here")
        if self.type != kind or repo_id != repo.id or length != 64 + n_tags:
            raise Damage(f"{self.path} is another kind of object, or of "
                         "another repository")
        if cipher:
            raise Refused(f"{self.path} is encrypted")
        at = self.HEADER.size
        while at < end:
            tag, _, n = struct.unpack_from("<HHI", d, at)
            if tag >= 0x8000:
                raise Refused(f"{self.path} has tag {tag:#x}: not known here")
            self.tags[tag] = d[at + 8:at + 8 + n]
            at += 8 + n
        self.frames_begin = end + 4

    def read_index(self):
        d = self.data
        offset, crc, name = struct.unpack_from("<II8s", d, len(d) - 16)
        head = d[offset:offset + 16]
        if name != b"DKINDEX1" or len(head) < 16 or \
                crc != crc32c(d[offset + 8:len(d) - 12]):
            raise Damage(f"{self.path}: its index is damaged")
        magic, length, kind, n = struct.unpack("<II4sI", head)
        if magic != MAGIC or kind != b"DKIX" or length != 16 * n + 24:
            raise Damage(f"{self.path}: its index is damaged")
        entries = list(struct.iter_unpack(
            "<IIIB3x", d[offset + 16:offset + 16 + 16 * n]))
        at = self.frames_begin
        for begin, length, _, _ in entries:
            if begin != at:
                raise Damage(f"{self.path}: its index has gaps")
            at += length
        if at != offset:
            raise Damage(f"{self.path}: its index has gaps")
        return entries

    def frame(self, number):
        where = f"{self.path} frame {number}"
        if number >= len(self.index):
            raise Damage(f"{where} is not there")
        offset, length, plain_len, kind = self.index[number]
        f = Frame(self.data, offset, where)
        if f.length != length or f.plain_len != plain_len or \
                f.type != kind or f.number != number:
            raise Damage(f"{where} and the index say different things")
        return f

    def shown_frames(self):
        """(number, plain bytes) of all frames that are not hidden: the
        object is a valid .zst file, so one zstd gives them all."""
        with open(self.path, "rb") as f, subprocess.Popen(
                ["zstd", "-dcq"], stdin=f, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE) as p:
            for number, entry in enumerate(self.index):
                if entry[3] not in SHOWN:
                    continue
                plain = p.stdout.read(entry[2])
                if len(plain) != entry[2]:
                    break
                yield number, plain
            rest = p.stdout.read(1)
            why = p.stderr.read().decode(errors="replace").strip()
        if p.returncode != 0 or rest:
            raise Damage(f"{self.path}: zstd says: {why or 'too much data'}")

    def text(self):
        return b"".join(plain for _, plain in self.shown_frames())


# ------------------------------------------------------ what a repository has

class Repository:
    def __init__(self, path):
        self.path = path
        about = text_object(os.path.join(path, "dapk-repository"),
                            "repository")
        if about["cipher"] != "none":
            raise Refused("the repository is encrypted: only dapk-backup "
                          "with its key can read it")
        self.id = bytes.fromhex(about["id"])

    def folders(self, *parts):
        folder = os.path.join(self.path, *parts)
        try:
            return [(n, os.path.join(folder, n))
                    for n in sorted(os.listdir(folder))]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def backups(self, cluster, kind="backup"):
        """All backups or dumps, oldest first; damaged commits are said."""
        found = []
        for name, _ in self.folders("clusters"):
            if cluster not in (None, name):
                continue
            for incarnation, folder in self.folders("clusters", name):
                for label, path in self.folders(
                        "clusters", name, incarnation, f"{kind}s"):
                    if not os.path.exists(os.path.join(path, "commit")):
                        continue  # garbage, or in the making
                    try:
                        found.append(Backup(self, folder, label, kind))
                    except Damage as e:
                        say(f"DAMAGED: {e}")
        return sorted(found, key=lambda b: b.commit["start_time"])


class Backup:
    """A backup, or a dump: what has a commit, a manifest and packs."""

    def __init__(self, repo, incarnation, label, kind):
        self.repo, self.label = repo, label
        self.incarnation = incarnation
        self.all = os.path.join(incarnation, f"{kind}s")
        self.folder = os.path.join(self.all, label)
        self.commit = text_object(os.path.join(self.folder, "commit"),
                                  "commit")
        if self.commit["label"] != label or self.commit["kind"] != kind:
            raise Damage(f"{self.folder}/commit is another one's")
        self.block_size = self.commit.get("block_size")

    def manifest(self):
        """The manifest's lines as objects, in order."""
        last = None
        for part in self.commit["manifest"]:
            name = os.path.join(self.folder, f"manifest-{part['part']:02}.zst")
            for line in self.manifest_part(name, part).split(b"\n")[:-1]:
                last = json.loads(line)
                yield last
        if last is None or last["type"] != "end":
            raise Damage(f"the manifest of {self.label} has no end")

    def manifest_part(self, name, part):
        for _, path in generations(name):  # the SHA-256 tells which is meant
            data = read(path)
            if len(data) == part["size"] and \
                    hashlib.sha256(data).hexdigest() == part["sha256"]:
                break
        else:
            raise Damage(f"{name}: wrong SHA-256 or size")
        obj = Object(self.repo, path, MANIFEST)
        if obj.part != part["part"] or \
                obj.tags.get(1) != self.label.encode():
            raise Damage(f"{path} is another one's")
        return obj.text()

    def packs(self, key):
        """What is stored of the pack (label, attempt, number), best first."""
        label, attempt, number = key
        name = os.path.join(self.all, label,
                            f"pack-{attempt:02}-{number:06}.zst")
        found, why = [], None
        for _, path in generations(name):
            try:
                obj = Object(self.repo, path, PACK)
                if obj.tags.get(1) != label.encode() or \
                        obj.tags.get(2) != struct.pack("<II", attempt, number):
                    raise Damage(f"{path} is another pack")
                found.append(obj)
            except Damage as e:
                why = why or e
        if not found:
            raise why
        return found


# ---------------------------------------------------------------- the files

class File:
    def __init__(self, line, output):
        self.name = unescape(line["path"])
        self.size, self.mode = line["size"], int(line["mode"], 8)
        self.mtime, self.crc = line["mtime"], int(line["crc"], 16)
        self.control = line["type"] == "control"
        self.runs = line.get("runs")
        self.map = line.get("map")
        self.target = os.path.join(output, self.name)
        if self.control:  # it gets its name when all is well
            self.target += b".recovered"
        self.why = None  # what is damaged

    def __str__(self):
        return self.name.decode("utf-8", "backslashreplace")


def check_path(name):
    parts = name.split(b"/")
    if any(p in (b"", b".", b"..") for p in parts) or b"\0" in name:
        raise Damage(f"the manifest names {name!r}, which is no path inside "
                     "a data directory")


def decode_packs(data, what):
    """What maps and chunk lists begin with: the packs, how many items follow,
    and where."""
    version, n_packs = struct.unpack_from("<II", data)
    if version != 1:
        raise Refused(f"a {what} of version {version}: not known here")
    at, packs = 8, []
    for _ in range(n_packs):
        n = data[at]
        label = data[at + 1:at + 1 + n].decode()
        packs.append((label, *struct.unpack_from("<II", data, at + 1 + n)))
        at += 1 + n + 8
    count, = struct.unpack_from("<I", data, at)
    return packs, count, at + 4


def decode_map(data):
    """Runs of a map frame: (blocks, pack or None for zeros, frame, block)."""
    packs, n_runs, at = decode_packs(data, "map")
    packs.append(None)
    runs = []
    for _ in range(n_runs):
        blocks, at = leb128(data, at)
        pack, at = leb128(data, at)
        frame, at = leb128(data, at)
        block, at = leb128(data, at)
        runs.append((blocks, packs[pack], frame, block))
    if at != len(data):
        raise Damage("a map has bytes after its end")
    return runs


def read_map(obj, number):
    frame = obj.frame(number)
    if frame.type != MAP:
        raise Damage(f"{frame.where} is no map")
    try:
        return decode_map(frame.plain())
    except (IndexError, struct.error):
        raise Damage(f"{frame.where}: the map is cut short") from None


def first_that_holds(stored, what):
    """what(object), of the first of a pack's generations that is whole."""
    why = None
    for obj in stored:
        try:
            return what(obj)
        except Damage as e:
            why = why or e
    raise why


class Restore:
    """Writes the files of a backup below a directory."""

    def __init__(self, backup, output, tablespaces):
        self.backup = backup
        self.output = os.fsencode(os.path.abspath(output))
        self.tablespaces = tablespaces  # OID -> directory
        self.packs = {}  # index in the manifest -> pack
        self.files, self.texts, self.damage = [], {}, []
        self.dirs = []

    def lost(self, what, files=()):
        text = str(what)
        if text not in self.damage:
            self.damage.append(text)
            say("DAMAGED:", text)
        for f in files:
            f.why = f.why or text

    # -- the manifest: directories, links, what files there are

    def read_manifest(self):
        counted = size = 0
        for line in self.backup.manifest():
            kind = line["type"]
            if kind == "pack":
                self.packs[line["index"]] = (line["label"], line["attempt"],
                                             line["number"])
            elif kind == "dir":
                self.make_dir(unescape(line["path"]), int(line["mode"], 8))
            elif kind == "link":
                self.make_link(unescape(line["path"]),
                               unescape(line["target"]))
            elif kind in ("file", "config", "control"):
                check_path(unescape(line["path"]))
                f = File(line, self.output)
                self.files.append(f)
                counted += 1
                size += f.size
            elif kind in ("backup_label", "tablespace_map"):
                self.texts[kind] = unescape(line["data"])
            elif kind == "end" and (line["files"], line["bytes"]) != (
                    counted, size):
                raise Damage("the manifest's end counts other files")
        if "backup_label" not in self.texts:
            raise Damage("the manifest has no backup_label")

    def make_dir(self, name, mode):
        if name not in (b"", b"."):
            check_path(name)
        path = os.path.join(self.output, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode | 0o700)

    def make_link(self, name, target):
        check_path(name)
        path = os.path.join(self.output, name)
        found = re.fullmatch(rb"pg_tblspc/(\d+)", name)
        if found:
            oid = int(found[1])
            target = os.fsencode(self.tablespaces.setdefault(
                oid, os.fsdecode(self.output) + f".tablespace-{oid}"))
            make_empty(os.fsdecode(target))
            say(f"tablespace {oid} goes to {os.fsdecode(target)}")
        elif name == b"pg_wal":
            os.makedirs(path, mode=0o700, exist_ok=True)
            return
        os.symlink(target, path)

    # -- maps, then one pack after another

    def pieces_of_all(self):
        """pack -> frame -> [(file, block of the file, blocks, block of the
        frame)]; maps that are in packs are read first."""
        wanted = defaultdict(list)
        for f in self.files:
            for i, (pack, frame) in enumerate(f.map or []):
                wanted[self.packs[pack]].append((frame, f, i))
        maps = defaultdict(dict)  # file -> part of its map -> runs
        for pack, frames in sorted(wanted.items(), key=lambda w: w[0]):
            self.read_maps(pack, frames, maps)
        pieces = defaultdict(lambda: defaultdict(list))
        for f in self.files:
            runs = [(n, self.packs[pack] if pack >= 0 else None, frame, block)
                    for n, pack, frame, block in f.runs or []]
            for i in range(len(f.map or [])):
                runs += maps[f].get(i, [])
            self.add_pieces(f, runs, pieces)
        return pieces

    def read_maps(self, pack, wanted, maps):
        try:
            stored = self.backup.packs(pack)
        except Damage as e:
            self.lost(e, [f for _, f, _ in wanted])
            return
        read_already = {}
        for number, f, i in wanted:
            try:
                if number not in read_already:
                    read_already[number] = first_that_holds(
                        stored, lambda obj, n=number: read_map(obj, n))
                maps[f][i] = read_already[number]
            except Damage as e:
                self.lost(e, [f])

    def add_pieces(self, f, runs, pieces):
        at, block_size = 0, self.backup.block_size
        for blocks, pack, frame, block in runs:
            if pack is not None:
                pieces[pack][frame].append((f, at, blocks, block))
            at += blocks
        if at != -(-f.size // block_size) and not f.why:
            self.lost(f"the map of {f} does not cover it", [f])

    def make_files(self):
        for f in self.files:
            os.makedirs(os.path.dirname(f.target), exist_ok=True)
            fd = os.open(f.target, os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                         f.mode | 0o200)
            os.ftruncate(fd, f.size)  # zeros, where nothing is written
            os.close(fd)

    def write_pack(self, pack, frames):
        try:
            stored = self.backup.packs(pack)
        except Damage as e:
            self.lost(e, {p[0] for ps in frames.values() for p in ps})
            return
        obj = stored[0]
        done = set()
        try:
            for number, plain in obj.shown_frames():
                if number in frames:
                    self.write_frame(obj, number, plain, frames[number])
                done.add(number)
        except Damage as e:
            say(f"{e}; trying its frames one by one")
            self.rescue(stored, {n: p for n, p in frames.items()
                                 if n not in done})
            return
        for number in frames.keys() - done:
            self.lost(f"{obj.path} frame {number} is not there",
                      {p[0] for p in frames[number]})

    def rescue(self, stored, frames):
        for number, pieces in frames.items():
            try:
                obj, plain = first_that_holds(
                    stored, lambda o, n=number: (o, o.frame(n).plain()))
            except Damage as e:
                self.lost(e, {p[0] for p in pieces})
                continue
            self.write_frame(obj, number, plain, pieces)

    def write_frame(self, obj, number, plain, pieces):
        size = self.backup.block_size
        try:
            head = obj.frame(number)
            if head.type != FILE_DATA or head.block_size != size:
                raise Damage(f"{head.where} holds no blocks of files")
            numbers = head.blocks()
        except Damage as e:
            self.lost(e, {p[0] for p in pieces})
            return
        for f, at, blocks, first in pieces:
            data = plain[first * size:(first + blocks) * size]
            want = min(blocks * size, f.size - at * size)
            if head.path != f.name or len(data) != want or list(
                    numbers[first:first + blocks]) != list(
                        range(at, at + blocks)):
                self.lost(f"{head.where} does not hold what the map of {f} "
                          "says", [f])
                continue
            fd = os.open(f.target, os.O_WRONLY)
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(fd, data[written:],
                                         at * size + written)
            finally:
                os.close(fd)

    # -- the end

    def check_files(self):
        for f in self.files:
            crc = size = 0
            with open(f.target, "rb") as stored:
                while True:
                    data = stored.read(CHUNK)
                    if not data:
                        break
                    crc = crc32c(data, crc)
                    size += len(data)
            if not f.why and (crc != f.crc or size != f.size):
                self.lost(f"{f} does not have the CRC that the manifest says",
                          [f])
            when = (EPOCH_2000 * 10**6 + f.mtime) * 1000
            os.utime(f.target, ns=(when, when))

    def write_texts(self):
        with open(os.path.join(self.output, b"backup_label"), "xb") as out:
            out.write(self.texts["backup_label"])
        if "tablespace_map" not in self.texts or not self.tablespaces:
            return
        path = os.path.join(self.output, b"tablespace_map")
        with open(path, "xb") as out:  # with the new places
            for oid, to in sorted(self.tablespaces.items()):
                place = re.sub(rb"([\n\r\\])", rb"\\\1", os.fsencode(to))
                out.write(b"%d %s\n" % (oid, place))

    def run(self, allow_damage):
        self.read_manifest()
        self.make_files()
        pieces = self.pieces_of_all()
        total = len(pieces)
        for done, pack in enumerate(sorted(pieces), 1):
            self.write_pack(pack, pieces[pack])
            if done % 100 == 0:
                say(f"{done} of {total} packs")
        say("checking what was written")
        self.check_files()
        self.write_texts()
        os.sync()
        bad = [f for f in self.files if f.why]
        for f in bad:
            say(f"LOST (in parts): {f}: {f.why}")
        if bad and not allow_damage:
            return False
        for f in self.files:
            if f.control and not (f.why and bad):
                os.rename(f.target, os.path.join(self.output, f.name))
        os.sync()
        return not bad


# --------------------------------------------------------------------- WAL

class Archive:
    """The WAL files of an incarnation (FORMAT.md section 8)."""

    NAME = re.compile(
        rf"([0-9A-F.a-z]+)-({HEX32})(?:\.g(\d+))?(?:\.part-(\d+))?\.zst")

    def __init__(self, backup):
        self.repo = backup.repo
        self.segment_size = backup.commit["wal_segment_size"]
        self.files = defaultdict(lambda: defaultdict(set))
        self.folders = {}
        top = os.path.join(backup.incarnation, "wal")
        for folder, _, names in os.walk(top):
            for m in filter(None, map(self.NAME.fullmatch, names)):
                if not m[4]:
                    self.files[m[1]][m[2]].add(int(m[3] or 0))
                    self.folders[m[1]] = folder

    def number(self, name):
        """A segment's number in the stream of WAL."""
        return int(name[8:16], 16) * (2**32 // self.segment_size) + \
            int(name[16:24], 16)

    def range(self, first, last):
        per_log = 2**32 // self.segment_size
        for n in range(self.number(first), self.number(last) + 1):
            yield f"{first[:8]}{n // per_log:08X}{n % per_log:08X}"

    def since(self, first):
        """All files that recovery from this segment on may ask for."""
        return [n for n in sorted(self.files) if n.endswith(".history") or
                n.endswith(".partial") and self.number(n) >=
                self.number(first) or
                len(n) == 24 and self.number(n) >= self.number(first)]

    def content(self, name, content_hash, generation):
        stem = os.path.join(self.folders[name], f"{name}-{content_hash}")
        if generation:
            stem += f".g{generation}"
        first = Object(self.repo, f"{stem}.zst", WAL)
        length, _, parts, part_length = struct.unpack_from("<QIII",
                                                           first.tags[3])
        if first.tags.get(1) != name.encode():
            raise Damage(f"{first.path} is another file")
        data = first.text()
        for n in range(1, parts):
            if len(data) != n * part_length:
                raise Damage(f"{first.path} is not whole")
            part = Object(self.repo, f"{stem}.part-{n:04}.zst", WAL_PART)
            if part.part != n or part.tags.get(3) != first.tags[3]:
                raise Damage(f"{part.path} is another part")
            data += part.text()
        if len(data) != length:
            raise Damage(f"{first.path}: {len(data)} bytes of {length}")
        return data

    def one(self, name, content_hash):
        why = None
        for g in sorted(self.files[name][content_hash], reverse=True):
            try:
                return self.content(name, content_hash, g)
            except Damage as e:
                why = why or e
        raise why

    def extract(self, name, folder):
        hashes = sorted(self.files.get(name, ()))
        if not hashes:
            raise Damage(f"WAL file {name} is not in the repository")
        if len(hashes) > 1 and not name.endswith(".partial"):
            raise Damage(f"WAL file {name} is there with {len(hashes)} "
                         "different contents: which one is right cannot be "
                         "told")
        for h in hashes:
            target = name if len(hashes) == 1 else f"{name}-{h}"
            data = self.one(name, h)
            path = os.path.join(folder, target)
            with open(path + ".tmp", "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            os.rename(path + ".tmp", path)


def recover_wal(backup, args, output):
    """True when all that is needed is there."""
    archive, wal = Archive(backup), backup.commit["wal"]
    needed = list(archive.range(wal["first"], wal["last"]))
    names = list(needed)
    folder = os.path.join(output, "pg_wal")
    if args.wal_output:
        folder = os.path.abspath(args.wal_output)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if args.wal == "all":
            names += [n for n in archive.since(wal["first"])
                      if n not in set(needed)]
    elif f"{wal['timeline']:08X}.history" in archive.files:
        names.append(f"{wal['timeline']:08X}.history")
    good = True
    for name in names:
        try:
            archive.extract(name, folder)
        except Damage as e:
            say("DAMAGED:", e)
            good = False
    say(f"{len(names)} WAL files went to {folder}")
    return good


# -------------------------------------------------------------------- dumps

class Chunk:
    """A piece of an item: the whole content of one frame."""

    def __init__(self, pack, frame, size, rows, crc):
        self.pack, self.frame, self.size = pack, frame, size
        self.rows, self.crc = rows, crc

    def check(self, data, where):
        if len(data) != self.size or crc32c(data) != self.crc:
            raise Damage(f"{where} does not hold the chunk that the list "
                         "says")
        return data


def decode_chunks(data):
    packs, n, at = decode_packs(data, "chunk list")
    chunks = []
    for _ in range(n):
        pack, at = leb128(data, at)
        frame, at = leb128(data, at)
        size, at = leb128(data, at)
        rows, at = leb128(data, at)
        crc, = struct.unpack_from("<I", data, at + 16)  # after the hash
        at += 20
        chunks.append(Chunk(packs[pack], frame, size, rows, crc))
    if at != len(data):
        raise Damage("a chunk list has bytes after its end")
    return chunks


class Custom:
    """An archive in pg_dump's custom format (PostgreSQL's
    src/bin/pg_dump/pg_backup_custom.c): the beginning that pg_dump wrote,
    then a block of data for each entry that has some. The table of contents
    says of none where it is, so pg_restore looks for it."""

    DATA, BLOBS = 1, 3

    def __init__(self, out, head):
        if head[:5] != b"PGDMP" or head[8] != 4 or head[10] != 1:
            raise Damage("the item 'archive' is not the beginning of an "
                         "archive in pg_dump's custom format")
        # The compression of the data: a byte from 1.15 on, else the level.
        packed = head[11:12] if head[5:7] >= b"\x01\x0f" else head[11:16]
        if any(packed):
            raise Refused("its head promises compressed data")
        self.out = out
        out.write(head)

    def int(self, value):
        if value >= 2**31:  # an OID: PostgreSQL's int is signed
            value -= 2**32
        self.out.write(struct.pack("<BI", value < 0, abs(value)))

    def begin(self, block, dump_id):
        self.out.write(bytes([block]))
        self.int(dump_id)

    def data(self, data):
        if data:
            self.int(len(data))
            self.out.write(data)

    def end(self):
        self.int(0)


class Rows:
    """A table's rows into an archive."""

    BLOCK = Custom.DATA
    END = b"\\.\n\n\n"  # which pg_dump writes after the rows

    def __init__(self, archive):
        self.archive = archive

    def put(self, data):
        self.archive.data(data)

    def whole(self):
        return True


class LargeObjects:
    """Large objects into an archive: of each OID, length, bytes."""

    BLOCK, END = Custom.BLOBS, b""

    def __init__(self, archive):
        self.archive, self.head, self.left = archive, b"", 0

    def put(self, data):
        while data:
            if self.left == 0:
                need = 12 - len(self.head)
                self.head, data = self.head + data[:need], data[need:]
                if len(self.head) < 12:
                    return
                oid, self.left = struct.unpack("<IQ", self.head)
                self.archive.int(oid)
            self.archive.data(data[:self.left])
            n = min(self.left, len(data))
            data, self.left = data[n:], self.left - n
            if self.left == 0:
                self.head = b""
                self.archive.end()

    def whole(self):
        return self.left == 0 and not self.head


class DumpReader:
    """The items of a dump."""

    KEPT = 4  # packs in memory

    def __init__(self, dump):
        self.dump, self.items, self.kept = dump, [], {}
        packs = {}
        for line in dump.manifest():
            if line["type"] == "pack":
                packs[line["index"]] = (line["label"], line["attempt"],
                                        line["number"])
            elif line["type"] == "data":
                line["name"] = unescape(line["path"])
                line["lists"] = [(packs[p], n)
                                 for p, n in line.get("lists", ())]
                line["chunks"] = [
                    Chunk(packs[p], frame, size, rows, int(crc, 16))
                    for p, frame, size, rows, _, crc in line.get("chunks", ())]
                self.items.append(line)

    def item(self, name):
        for item in self.items:
            if item["name"] == name:
                return item
        raise Damage(f"the manifest of {self.dump.label} has no '"
                     f"{name.decode()}'")

    def pack(self, key):
        if key not in self.kept:
            if len(self.kept) == self.KEPT:
                self.kept.pop(next(iter(self.kept)))
            self.kept[key] = self.dump.packs(key)
        return self.kept[key]

    def chunks(self, item):
        def of_list(obj, number):
            frame = obj.frame(number)
            if frame.type != CHUNK_LIST:
                raise Damage(f"{frame.where} is no chunk list")
            try:
                return decode_chunks(frame.plain())
            except (IndexError, struct.error):
                raise Damage(f"{frame.where} is cut short") from None

        found = list(item["chunks"])
        for key, number in item["lists"]:
            found += first_that_holds(self.pack(key),
                                      lambda o, n=number: of_list(o, n))
        if sum(c.size for c in found) != item["size"]:
            raise Damage(f"the chunks of {item['path']} are not as long as "
                         "it is")
        return found

    @staticmethod
    def frame(obj, chunk, item):
        f = obj.frame(chunk.frame)
        if f.type != DUMP_CHUNK or f.path != item["name"]:
            raise Damage(f"{f.where} is not of {item['path']}")
        return f

    def one(self, chunk, item):
        def read_it(obj):
            f = self.frame(obj, chunk, item)
            return chunk.check(f.plain(), f.where)

        return first_that_holds(self.pack(chunk.pack), read_it)

    def several(self, chunks, item):
        """The same of chunks in one pack, by one zstd."""
        obj = self.pack(chunks[0].pack)[0]
        frames = [self.frame(obj, c, item) for c in chunks]
        plain = zstd(b"".join(f.payload for f in frames), obj.path)
        at, found = 0, []
        for c, f in zip(chunks, frames):
            found.append(c.check(plain[at:at + c.size], f.where))
            at += c.size
        return found

    def contents(self, item):
        """(chunk, its bytes, or None and why) in order."""
        chunks, at = self.chunks(item), 0
        while at < len(chunks):
            end = at + 1
            while end < len(chunks) and end - at < 32 and \
                    chunks[end].pack == chunks[at].pack:
                end += 1
            try:
                found = self.several(chunks[at:end], item)
            except Damage:
                found = [None] * (end - at)
            for c, data in zip(chunks[at:end], found):
                why = None
                if data is None:
                    try:
                        data = self.one(c, item)
                    except Damage as e:
                        why = e
                yield c, data, why
            at = end


class DumpRecovery:
    """Writes a dump into a file."""

    def __init__(self, dump, out):
        self.reader, self.out = DumpReader(dump), out
        self.good = True

    def lost(self, item, why, what):
        self.good = False
        say("DAMAGED:", why)
        say(f"LOST: {what} of {item['path']}")

    def copy(self, item, sink):
        """What holds. Only whole rows are written: where a chunk is lost, so
        are those of the row that went on into it or out of it."""
        crc, rows, skipping, lost = 0, 0, False, False
        begin = self.out.tell()  # of the row at hand
        for chunk, data, why in self.reader.contents(item):
            if data is not None and not skipping:
                sink.put(data)
                crc = crc32c(data, crc)
                rows += chunk.rows
            elif data is None:
                self.lost(item, why, f"{chunk.size} bytes, about "
                          f"{chunk.rows} rows,")
                lost = skipping = True
                self.out.seek(begin)
                self.out.truncate()
                sink = type(sink)(sink.archive)
            if chunk.rows:
                # The chunk after this one begins a row.
                skipping = False
                begin = self.out.tell()
        if not lost and (crc != int(item["crc"], 16) or
                         rows != item["rows"] or not sink.whole()):
            self.lost(item, "the CRC, rows or objects are not what the "
                      "manifest says", "something")

    def small(self, name):
        """An item that means nothing unless it is whole."""
        found, item = b"", self.reader.item(name)
        for _, data, why in self.reader.contents(item):
            if data is None:
                raise why
            found += data
        if crc32c(found) != int(item["crc"], 16):
            raise Damage(f"'{item['path']}' does not have the CRC that the "
                         "manifest says")
        return found

    def run(self):
        if self.reader.dump.commit["dump"]["globals"]:
            self.out.write(self.small(b"globals"))
            return self.good
        archive = Custom(self.out, self.small(b"archive"))
        entries = defaultdict(list)  # several items may be of one entry
        for item in self.reader.items:
            if item["dump_id"]:
                entries[item["dump_id"]].append(item)
        for dump_id, items in sorted(entries.items()):
            large = items[0]["name"].startswith(b"large_objects/")
            sink = LargeObjects if large else Rows
            archive.begin(sink.BLOCK, dump_id)
            for item in items:
                try:
                    self.copy(item, sink(archive))
                except Damage as e:
                    self.lost(item, e, "all")
            archive.data(sink.END)
            archive.end()
        return self.good


def recover_dump(dump, path, allow_damage):
    about = dump.commit["dump"]
    path = os.path.abspath(path)
    part = path + ".damaged"
    for p in (path, part):
        if os.path.exists(p):
            raise Refused(f"{p} exists")
    say(f"recovering {dump.label} of cluster {dump.commit['cluster']}")
    with open(part, "xb") as out:
        good = DumpRecovery(dump, out).run()
        out.flush()
        os.fsync(out.fileno())
    if good or allow_damage:
        os.rename(part, path)
    if not good:
        say("NOT ALL CAME BACK: see the lines with DAMAGED and LOST above")
        return 1
    say(f"all of {path} has the manifest's CRCs")
    if about["globals"]:
        say(f"To load it: psql -f {path} postgres")
        return 0
    say(f"To load it, with pg_restore {about['pg_dump_version']} or newer:")
    say(f"  - pg_restore -l {path}  shows what is in it")
    say(f"  - createdb NEW; pg_restore -d NEW {path}")
    say(f"  - or pg_restore --create -d postgres {path}  under its own name")
    return 0


# -------------------------------------------------------------- command line

def make_empty(path):
    os.makedirs(path, mode=0o700, exist_ok=True)
    os.chmod(path, 0o700)
    if os.listdir(path):
        raise Refused(f"{path} is not empty")


def list_dumps(dumps):
    for d in dumps:
        c, about = d.commit, d.commit["dump"]
        what = "globals"
        if not about["globals"]:
            name = unescape(about["database"]).decode(errors="replace")
            what = f"database {name}, {about['tables']} tables"
        say(f"{d.label}  cluster {c['cluster']}, PostgreSQL "
            f"{about['server_version']}, {about['snapshot_time'][:19]} UTC, "
            f"dump of {what}, {c['original_bytes']} bytes")


def list_backups(backups):
    for b in backups:
        c = b.commit
        note = ""
        if c["damaged_count"]:
            note = f", {c['damaged_count']} damaged pages"
        say(f"{b.label}  cluster {c['cluster']}, PostgreSQL {c['major']}, "
            f"{c['stop_time'][:19]} UTC, {c['files']} files, "
            f"{c['original_bytes']} bytes{note}")


def choose(backups, label):
    if label:
        backups = [b for b in backups if b.label.startswith(label)]
    if not backups:
        raise Refused("there is no such backup; --list shows what there is")
    if len({b.incarnation for b in backups}) > 1 or label and \
            len(backups) > 1:
        raise Refused("this is more than one cluster, backup or dump: choose "
                      "with --cluster and a whole label; --list shows what "
                      "there is")
    return backups[-1]


def tell_how_to_start(backup, args):
    major, conf = backup.commit["major"], "dapk-backup-config"
    say(f"To start it, with PostgreSQL {major}:")
    if os.path.isdir(os.path.join(args.output, conf)):
        say(f"  - the configuration that lay outside the data directory is "
            f"in {args.output}/{conf}")
    if args.wal_output:
        wal = os.path.abspath(args.wal_output)
        say(f"  - touch {args.output}/recovery.signal")
        say(f"  - in {args.output}/postgresql.auto.conf, in place of other "
            "recovery settings:\n"
            f"        restore_command = 'cp \"{wal}/%f\" \"%p\"'")
        say("    and, where it should not go to the end of WAL, "
            "recovery_target_time and its like")
    say("  - archive_mode = off there, too, so that it does not write into "
        "the old archive")
    say(f"  - pg_ctl -D {args.output} start")


def arguments():
    p = argparse.ArgumentParser(
        description="get a backup or dump out of a dapk-backup repository with "
                    "python3 and zstd alone")
    p.add_argument("repository", help="its directory")
    p.add_argument("--list", action="store_true",
                   help="show the backups and dumps")
    p.add_argument("--cluster", help="of this cluster only")
    p.add_argument("--backup", metavar="LABEL",
                   help="this one, or the beginning of its label "
                        "(default: the newest)")
    p.add_argument("--dump", metavar="LABEL",
                   help="this dump, or the beginning of its label")
    p.add_argument("--output", metavar="PATH",
                   help="the new data directory: empty or not there; of a "
                        "dump, the file")
    p.add_argument("--tablespace", metavar="OID=DIR", action="append",
                   default=[], help="where a tablespace goes (default: "
                   "OUTPUT.tablespace-OID)")
    p.add_argument("--wal-output", metavar="DIR",
                   help="where WAL files go (default: those that the backup "
                        "needs into pg_wal)")
    p.add_argument("--wal", choices=("all", "needed"), default="all",
                   help="with --wal-output: all since the backup's start, "
                        "or just what it needs")
    p.add_argument("--allow-damage", action="store_true",
                   help="write pg_control even when files are damaged, "
                        "and a dump under its name")
    args = p.parse_args()
    if not args.list and not args.output:
        p.error("--list or --output PATH is missing")
    if args.dump and args.backup:
        p.error("--backup and --dump: choose one")
    return args


def main():
    args = arguments()
    tablespaces = {}
    for pair in args.tablespace:
        oid, sep, folder = pair.partition("=")
        if not sep or not oid.isdigit():
            raise Refused(f"--tablespace {pair}: write OID=DIR")
        tablespaces[int(oid)] = os.path.abspath(folder)
    repo = Repository(args.repository)
    if args.dump:
        dump = choose(repo.backups(args.cluster, "dump"), args.dump)
        return recover_dump(dump, args.output, args.allow_damage)
    backups = repo.backups(args.cluster)
    if args.list:
        list_backups(backups)
        list_dumps(repo.backups(args.cluster, "dump"))
        return 0
    backup = choose(backups, args.backup)
    args.output = os.path.abspath(args.output)
    make_empty(args.output)
    say(f"restoring {backup.label} of cluster {backup.commit['cluster']}")
    good = Restore(backup, args.output, tablespaces).run(args.allow_damage)
    good = recover_wal(backup, args, args.output) and good
    if backup.commit["damaged_count"]:
        say(f"{backup.commit['damaged_count']} pages were damaged already "
            "when the backup was taken; its commit names them")
    if not good:
        say("NOT ALL CAME BACK: see the lines with DAMAGED and LOST above")
        return 1
    say(f"all of {args.output} has the manifest's CRCs")
    tell_how_to_start(backup, args)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Damage, Refused, OSError) as error:
        print(f"recover.py: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, Damage) else 2)
