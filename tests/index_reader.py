#!/usr/bin/env python3
"""A second reader of the index, from docs/format.md alone: prints each entry as a line of JSON, then a summary.

usage: index_reader.py ARCHIVE      Python's standard library only; with the package blake3 it checks hashes too.

Of an archive in zstd, which the standard library cannot decompress, it reads the index only: bodies have no CRC then.
"""
import json
import sys
import zlib
from struct import unpack_from

try:
    from blake3 import blake3
except ImportError:
    blake3 = None


def check(true, what):
    if not true:
        sys.exit(f"index_reader: {what}")


def same_hash(data, expected):
    return blake3 is None or blake3(data).digest()[:16] == expected


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        check(self.at <= len(self.data), "a page ends too early")
        return self.data[self.at - count : self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        z = self.varint()
        return z // 2 if z % 2 == 0 else -(z + 1) // 2

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def bytes(self):
        return self.take(self.varint())


def signed(value):
    return (value + 2**63) % 2**64 - 2**63


GZIP = {"footer": 92, "front": 17, "back": 10}
ZSTD = {"footer": 76, "front": 11, "back": 0}


def envelope(file):
    return ZSTD if file[-76:-65] == b"\x54\x2a\x4d\x18\x44\0\0\0TKF" else GZIP


def footer(file):
    around = envelope(file)
    end = len(file) - around["back"]
    payload = file[end - 66 : end]
    check(payload[0:2] == b"F\x01", "there is no footer")
    check(same_hash(payload[:50], payload[50:66]), "the footer's hash differs")
    return unpack_from("<QQQII16s", payload, 2)


def table(file):
    start, length, at, stored, raw, hash_ = footer(file)
    around = envelope(file)
    members = file[start : -around["footer"]]
    front, step = around["front"], around["front"] + 4064 + around["back"]
    index = b"".join(members[m + front : m + front + 4064] for m in range(0, len(members), step))
    index = index[:length]  # without the end of a shorter last member
    check(len(index) == length and at + stored == length, "the index has another length")
    check(same_hash(index[at:], hash_), "the table's hash differs")
    c = Cursor(zlib.decompress(index[at:], -15, raw))
    offset = 0
    for _ in range(c.varint()):
        kind, stored, raw, hash_, count = c.take(1), c.varint(), c.varint(), c.take(16), c.varint()
        first = (c.varint(), c.varint()) if kind == b"S" else c.bytes() if kind == b"E" else None
        page = index[offset : offset + stored]
        check(same_hash(page, hash_), "a page's hash differs")
        page = zlib.decompress(page, -15)
        check(len(page) == raw, "a page has another length")
        yield kind, page, count, first
        offset += stored


def segments(page, count, first):
    c, (at, raw_at) = Cursor(page), first
    columns = [list(c.take(count))]
    columns += [[read() for _ in range(count)] for read in (c.varint, c.varint, c.u32)]
    columns += [[c.take(16) for _ in range(count)] for _ in range(2)]
    for kind, stored, raw, crc, raw_hash, stored_hash in zip(*columns):
        if kind == 0:
            c.take(16)
        yield {"at": at, "stored": stored, "raw_at": raw_at, "raw": raw, "crc": crc, "hashes": (raw_hash, stored_hash)}
        at, raw_at = at + stored, raw_at + raw


def entries(page, count, _):
    c = Cursor(page)
    rows = [{} for _ in range(count)]
    name = b""
    for row in rows:
        name = name[: c.varint()] + c.bytes()
        row["name"] = name
    for row in rows:
        row["type"] = c.take(1).decode()
    for key in ("mode", "uid", "gid", "size"):
        for row in rows:
            row[key] = c.varint()
    last = 0
    for row in rows:
        row["mtime"] = last = signed(last + c.zigzag())
    for row in rows:
        row["mtime_nanos"] = c.u32()
    for row in rows:
        row["ctime"] = signed(row["mtime"] + c.zigzag())
    for row in rows:
        row["ctime_nanos"] = row["mtime_nanos"] ^ c.u32()
    last = 0
    for row in rows:
        row["inode"] = last = (last + c.zigzag()) % 2**64
    for row in rows:
        row["device"] = c.varint()
    last = 0
    for row in rows:
        row["segment"] = last = last + c.varint()
    for key in ("offset", "headers"):
        for row in rows:
            row[key] = c.varint()
    for row in rows:
        row["flags"] = c.take(1)[0]
    for row in rows:
        if row["type"] in "lh":
            row["target"] = c.bytes()
    for row in rows:
        if row["type"] in "cb":
            row["numbers"] = [c.varint(), c.varint()]
    for row in rows:
        if row["flags"] & 4:
            row["stored"] = c.varint()
    check(c.at == len(page), "a page is too long")
    return rows


def decompress(file, segment):
    stored = file[segment["at"] : segment["at"] + segment["stored"]]
    raw = zlib.decompress(stored + b"\x03\x00", -15)
    check(len(raw) == segment["raw"] and zlib.crc32(raw) == segment["crc"], "a segment's length or CRC differs")
    check(all(map(same_hash, (raw, stored), segment["hashes"])), "a segment's hash differs")
    return raw


def main(path):
    with open(path, "rb") as f:
        file = f.read()
    found, about = {b"S": [], b"E": []}, None
    for kind, page, count, first in table(file):
        if kind == b"M":
            about = json.loads(page)
        else:
            found[kind] += (segments if kind == b"S" else entries)(page, count, first)
    end = footer(file)[0]
    raw, tar = sum(segment["raw"] for segment in found[b"S"]), None
    if envelope(file) is GZIP:
        tar = b"".join(decompress(file, segment) for segment in found[b"S"])
        sums = (3, zlib.crc32(tar), len(tar) % 2**32)
        check(unpack_from("<HII", file, end - 10) == sums, "the sums of member 1 differ")
    else:
        check(file.startswith(bytes.fromhex("28b52ffd2000010000542a4d1802000000544b")), "the first frames differ")
        for at, stored in ((segment["at"], segment["stored"]) for segment in found[b"S"]):
            check(file[at : at + 4] == b"\x28\xb5\x2f\xfd" and at + stored <= end, "a segment is no frame")
            end_of_last = at + stored
        check(end_of_last == end, "the index does not follow the segments")
    for row in found[b"E"]:
        header = found[b"S"][row["segment"]]["raw_at"] + row["offset"] + row["headers"]
        if tar is not None:
            row["body_crc"] = zlib.crc32(tar[header : header + row.get("stored", row["size"])])
        for key in ("name", "target"):
            if key in row:
                row[key + "_hex"] = row[key].hex()
                row[key] = row[key].decode("utf-8", "backslashreplace")
        print(json.dumps(row))
    print(json.dumps({"segments": len(found[b"S"]), "raw": raw, "hashes": blake3 is not None, "about": about}))


if __name__ == "__main__":
    check(len(sys.argv) == 2, "usage: index_reader.py ARCHIVE")
    main(sys.argv[1])
