# SPDX-License-Identifier: Apache-2.0
"""Receivers of audit records: datagram sockets as journald's and syslog's, and what comes in on them taken apart."""
import array
import fcntl
import mmap
import os
import re
import select
import socket

F_GET_SEALS, ALL_SEALS = 1034, 0xF  # fcntl.h: seal, shrink, grow, write
RFC5424 = re.compile(rb"<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (\[(?:[^\]\\]|\\.)*\]) (.*)", re.S)
LIFE = re.compile(rb"^NESTBOX_ACTION=sandbox-(?:start|end)$|^<\d+>1 \S+ \S+ nestbox \d+ sandbox-(?:start|end) ", re.M)
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Receiver:
    """A datagram socket that everybody may send to."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.settimeout(60)

    def life(self):
        """The start and the end record of the next box, without what else is recorded."""
        found = []
        while len(found) < 2:
            data = self.one()
            found += [data] if LIFE.search(data) else []
        return found

    def one(self):
        data, ancillary, _, _ = self.socket.recvmsg(1 << 18, socket.CMSG_SPACE(4))
        for _, kind, handed in ancillary:
            if kind == socket.SCM_RIGHTS:
                return sealed(array.array("i", handed)[0])
        return data

    def is_empty(self):
        return not select.select([self.socket], [], [], 0)[0]

    def close(self):
        self.socket.close()
        os.unlink(self.path)


def sealed(fd):
    """What a memfd holds, as journald takes it: only when nobody can change it any more."""
    try:
        if fcntl.fcntl(fd, F_GET_SEALS) & ALL_SEALS != ALL_SEALS:
            raise AssertionError("a memfd that is not sealed")
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as content:
            return content[:]
    finally:
        os.close(fd)


def fields(data):
    """A message of journald's native protocol: NAME=VALUE lines, or NAME, a little-endian length, and the value."""
    found, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, is_text, value = data[at:end].partition(b"=")
        at = end + 1
        if not is_text:
            size = int.from_bytes(data[at:at + 8], "little")
            value, at = data[at + 8:at + 8 + size], at + 8 + size + 1
        found[name.decode()] = value
    return found


def message(data):
    """An RFC 5424 message: PRI, host, application, MSGID, structured data, MSG."""
    match = RFC5424.fullmatch(data)
    if match is None or not STAMP.fullmatch(match[2]):
        raise AssertionError(f"not RFC 5424: {data[:300]!r}")
    return {"pri": int(match[1]), "host": match[3].decode(), "app": match[4].decode(), "msgid": match[6].decode(),
            "data": match[7].decode(), "msg": match[8]}
