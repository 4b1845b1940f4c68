#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compare what tests/random's processes recorded with what porttrace showed.

From the record of all calls (random.h: struct rec) it works out which events porttrace must have
printed, with their fields: a model of descriptors, sockets and connections (class World), which
knows of each socket whether it holds a port, what it is connected to, and how that ended. Every
expected event must be there, in the order of the calls of its socket, and no other.

    check.py --record FILE --events FILE [--stderr FILE] [--limit N]

Prints one line for each difference, then "N calls, seed S, M events, K differences".
"""
import argparse
import collections
import errno as errnos
import ipaddress
import json
import re
import struct
import sys

# --- The record -------------------------------------------------------------------------------

HEADER = struct.Struct("<IIIIIIQ")  # magic, record_size, first, capacity, next, calls, seed
RECORD = struct.Struct("<QQQIiiIIIIiiiBBBBI" + "HH16s" * 5 + "II16sBB2x")
MAGIC = 0x70747264
OPS = ("none", "start", "socket", "bind", "listen", "connect", "accept", "close", "send", "recv",
       "shutdown", "dup", "option", "error", "fork", "exec", "exit", "kill", "end", "result")
OPTIONS = (None, "reuseaddr", "reuseport", "no_port", "v6only", "linger0", "nonblock")
SHOWN_OPTIONS = OPTIONS[1:5]
TCP, UDP = 1, 2
AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 10
ESTABLISHED, SYN_SENT, CLOSE, LISTEN = 1, 2, 7, 10
SOMAXCONN = 4096
START_EXEC = 2

# An endpoint: (family, ip as printed, port), v4-mapped addresses as IPv4. None: none.
addresses = {}


def address(family, port, raw):
    if not family:
        return None
    key = (family, raw)
    ip = addresses.get(key)
    if ip is None:
        parsed = ipaddress.ip_address(raw[:4] if family == AF_INET else raw)
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        ip = addresses[key] = str(parsed)
    return (ip, port)


class Rec:
    """One call. local0, peer0 and state0 are from before it, local, peer and state1 from after."""
    __slots__ = ("n", "cookie", "other", "time", "op", "ret", "err", "pid", "tid", "uid", "netns",
                 "fd", "arg", "arg2", "family", "type", "state0", "state1", "len", "given",
                 "given_family", "local0", "local", "peer0", "peer", "lead", "index", "comm", "options0",
                 "options")

    def __init__(self, n, v):
        self.n = n
        (self.cookie, self.other, self.time, op, self.ret, self.err, self.pid, self.tid, self.uid,
         self.netns, self.fd, self.arg, self.arg2, self.family, self.type, self.state0,
         self.state1, self.len) = v[:18]
        self.op = OPS[op]
        self.given_family = v[18]
        self.given = address(*v[18:21])
        self.local0 = address(*v[21:24])
        self.local = address(*v[24:27])
        self.peer0 = address(*v[27:30])
        self.peer = address(*v[30:33])
        self.lead, self.index = v[33:35]
        self.options0, self.options = v[36:38]
        self.comm = v[35].split(b"\0", 1)[0].decode()

    def __str__(self):
        text = f"#{self.n} lead {self.lead} step {self.index} pid {self.pid} {self.op} fd {self.fd}"
        if self.op in ("option", "shutdown", "listen", "send", "error"):
            text += f" ({self.arg}, {self.arg2})"
        if self.given or self.op == "connect":
            text += f" {self.given} len {self.len}"
        text += f" = {self.ret}"
        if self.err:
            text += f" {errnos.errorcode.get(self.err, self.err)}"
        return text + (f" state {self.state0}->{self.state1} local {self.local0}->{self.local}"
                       f" peer {self.peer0}->{self.peer} other {self.other}")


def read_record(path):
    with open(path, "rb") as file:
        data = file.read()
    magic, size, first, _, count, calls, seed = HEADER.unpack_from(data)
    if magic != MAGIC or size != RECORD.size:
        raise SystemExit(f"{path} is no record, or of another version")
    body = data[first:first + count * size]
    return [Rec(n, v) for n, v in enumerate(RECORD.iter_unpack(body))], calls, seed


# --- What is expected -------------------------------------------------------------------------

ANY = object()      # cannot be known

CAUSES = {  # of a failed connect
    "ECONNREFUSED": "refused", "ETIMEDOUT": "timed_out", "ENETUNREACH": "unreachable",
    "EHOSTUNREACH": "unreachable",
}


def version(ip):
    return "ipv6" if ":" in ip else "ipv4"


def wildcard(family):
    return "::" if family == AF_INET6 else "0.0.0.0"


def same_version(ip, remote_ip):
    """A socket that talks IPv4 and is bound to nothing has 0.0.0.0, whatever its family."""
    return "0.0.0.0" if ip == "::" and remote_ip and ":" not in remote_ip else ip


class Expected:
    """f: field -> value. A value may be ANY, or a tuple of which it has to be one."""
    __slots__ = ("f", "rec", "sock", "anonymous", "event")

    def __init__(self, rec, sock, anonymous, f):
        self.rec, self.sock, self.anonymous, self.f = rec, sock, anonymous, f
        self.event = None

    def __str__(self):
        f = self.f
        return (f"{f['action']} {f['outcome']} {f.get('errno') or ''} pid {f['pid']} "
                f"{f['transport']} local {f.get('local.ip')}:{f.get('local.port')} "
                f"remote {f.get('remote.ip')}:{f.get('remote.port')} how {f.get('how')}")


# --- The model --------------------------------------------------------------------------------

class Side:
    """One end of a TCP connection."""

    def __init__(self, conn, local, remote):
        self.conn, self.local, self.remote = conn, local, remote
        self.sock = None        # None: it waits for accept(), or is closed
        self.open = True        # no close() yet
        self.fin_sent = self.fin_received = False
        self.dead = False       # the kernel has ended it
        self.error = None       # what broke it
        self.after = None       # "time-wait" or "closed", once it has ended
        self.unread = self.sent = self.received = 0
        self.read_shut = self.linger0 = False
        self.other = self       # of a socket that is connected to itself

    def first(self):
        conn = self.conn
        if conn.first is None:
            conn.first = self

    def send_fin(self):
        if self.fin_sent or self.dead:
            return
        self.first()
        self.fin_sent = True
        self.other.fin_received = True
        if self.other.fin_sent:  # both ways are over
            for side in (self, self.other):
                side.dead = True
                side.after = "time-wait" if side is self.conn.first else "closed"
                side.gone()

    def send_rst(self):
        """This end is over; the other one learns it."""
        self.first()
        self.dead, self.after = True, "closed"
        self.gone()
        self.other.take_rst()

    def take_rst(self):
        if self.dead:
            return
        self.error = "EPIPE" if self.fin_received and not self.fin_sent else "ECONNRESET"
        self.dead, self.after = True, "closed"
        self.gone()

    def gone(self):
        """A port that the kernel chose is given back; an explicit one stays with the socket."""
        if self.sock and not self.sock.locked:
            self.sock.holds = False

    def send(self, count):
        other = self.other
        self.sent += count
        if not other.open or (other.read_shut and other.fin_sent):
            # nobody there any more, or nobody who will read: the answer is a reset
            if other.open and not other.dead:
                other.error = "ECONNRESET"
                other.dead, other.after = True, "closed"
                other.gone()
            other.dead = True
            self.take_rst()
        elif not other.dead:
            other.unread += count
            other.received += count

    def close(self):
        """The last close(). Returns what may become of the port."""
        was = self.after if self.dead else None
        if was:
            return (was,)
        if self.unread or self.linger0:
            self.send_rst()
            return ("closed",)
        self.send_fin()
        if self.after == "time-wait":
            return ("time-wait", "closing")
        return ("closed", "closing") if self.dead else ("closing",)


class Conn:
    def __init__(self, local, remote):
        self.first = None       # who sent the first FIN or RST
        self.client, self.server = Side(self, local, remote), Side(self, remote, local)
        self.client.other, self.server.other = self.server, self.client


class Sock:
    def __init__(self, rec, cookie):
        self.cookie, self.family, self.type, self.netns = cookie, rec.family, rec.type, rec.netns
        self.refs = 0
        self.holds = self.locked = False  # a port; one it chose itself
        self.struct = "un"      # what the kernel calls socket state: un, ing, ed, dis
        self.attempt = None     # a connect without result: fields of its event
        self.side = None        # of its TCP connection, also after that has ended
        self.role = None
        self.late = None        # the event of a connect that failed while the program was not looking
        self.listening = False
        self.at, self.v6only = None, False  # of a listener
        self.queue = []         # connections that wait for accept()
        self.read_shut = self.linger0 = False
        self.history = []       # its calls
        self.expected = []
        self.events = []

    @property
    def tcp(self):
        return self.type == TCP


class Actor:
    """Who does it: from a record, or a process that the kernel cleans up."""

    def __init__(self, rec, pid=None, uid=None, comm=None, how=None):
        self.rec = rec
        self.pid, self.tid = (pid, pid) if pid else (rec.pid, rec.tid)
        self.uid = rec.uid if uid is None else uid
        self.comm = comm or rec.comm
        self.exit = how


class World:
    def __init__(self):
        self.socks = {}
        self.tables = {}        # pid -> {fd: (sock, cloexec)}
        self.names = {}         # pid -> (uid, comm)
        self.waiting = collections.defaultdict(collections.deque)  # (netns, client, server) -> connections
        self.listeners = collections.defaultdict(list)  # (netns, port) -> sockets that listened there
        self.sides = {}         # (netns, local, remote) -> the last one of these addresses
        self.exec_names = {}    # pid -> names after each exec
        self.anonymous = []
        self.faults = []        # the record contradicts itself, or the model

    # --- helpers ---

    def fault(self, rec, why):
        self.faults.append(f"the record is not as the model has it: {why}: {rec}")

    def expect(self, actor, sock, action, outcome="success", local=None, remote=None,
               direction=None, anonymous=False, **more):
        local_ip, local_port = local or (None, None)
        remote_ip, remote_port = remote or (None, None)
        if local_ip:
            local_ip = same_version(local_ip, remote_ip)
        f = {"action": action, "outcome": outcome, "pid": actor.pid, "tid": actor.tid,
             "uid": str(actor.uid), "comm": actor.comm, "netns": sock.netns,
             "transport": "tcp" if sock.tcp else "udp",
             "type": version(remote_ip or local_ip) if remote_ip or local_ip else ANY,
             "direction": direction, "local.ip": local_ip, "local.port": local_port or None,
             "remote.ip": remote_ip, "remote.port": remote_port or None,
             "how": None, "requested.ip": None, "requested.port": None, "backlog": None,
             "errno": None, "cause": None, "exit": actor.exit, "fd": None, "closed_by": None,
             "state": None, "sent": None, "received": None, "cookie": sock.cookie}
        if action in ("bind", "listen", "connect"):
            bits = actor.rec.options if action == "bind" else actor.rec.options0
            f["fd"] = actor.rec.fd
            f.update({name: bool(bits & 1 << OPTIONS.index(name)) for name in SHOWN_OPTIONS})
            if sock.family != AF_INET6:
                f["v6only"] = None
        else:
            f.update(dict.fromkeys(SHOWN_OPTIONS))
        f.update({key.replace("__", "."): value for key, value in more.items()})
        exp = Expected(actor.rec, sock, anonymous, f)
        (self.anonymous if anonymous else sock.expected).append(exp)
        return exp

    def run(self, records):
        for rec in records:
            if rec.op == "start" and rec.arg == START_EXEC:
                self.exec_names.setdefault(rec.pid, collections.deque()).append(rec.comm)
        for rec in records:
            sock = self.socks.get(rec.cookie)
            if sock:
                sock.history.append(rec)
                self.catch_up(rec, sock)
                self.cross_check(rec, sock)
            self.names[rec.pid] = (rec.uid, rec.comm)
            getattr(self, "on_" + rec.op)(rec, sock)

    def cross_check(self, rec, sock):
        """What TCP_INFO said before the call."""
        if not sock.tcp or not rec.state0 or sock.attempt:
            return
        side = sock.side
        want = LISTEN if sock.listening else CLOSE if not side or side.dead else None
        if (rec.state0 in (CLOSE, LISTEN) or want) and rec.state0 != want:
            self.fault(rec, f"state should be {want}")

    def catch_up(self, rec, sock):
        """An attempt that was without an answer may have got one since."""
        if sock.attempt and rec.op != "result" and rec.state0 not in (0, SYN_SENT):
            more, sock.attempt = sock.attempt, None
            actor = more.pop("actor")
            if rec.state0 == CLOSE:
                sock.late = self.expect(actor, sock, "connect", "failure", errno="ECONNREFUSED",
                                        cause="refused", **more)
                sock.holds = sock.holds and sock.locked
            else:
                self.expect(actor, sock, "connect", **more)
                self.connected(rec, sock, rec.local0, rec.peer0)
        if sock.late:
            error = errnos.errorcode.get(rec.arg if rec.op == "error" else rec.err)
            if error in ("ECONNREFUSED", "ETIMEDOUT"):  # the program takes it: that one it was
                sock.late.f.update(errno=error, cause=CAUSES[error])
                sock.late = None
            elif rec.op == "connect":
                sock.late = None

    # --- processes ---

    def on_start(self, rec, _):
        self.tables.setdefault(rec.pid, {})

    def on_fork(self, rec, _):
        table = self.tables[rec.arg] = dict(self.tables[rec.pid])
        for sock, _ in table.values():
            sock.refs += 1

    def on_exec(self, rec, _):
        """The kernel lets go of the files on its way back, when the process has its new name."""
        table, actor = self.tables[rec.pid], Actor(rec, comm=self.exec_names[rec.pid].popleft())
        for fd in sorted(fd for fd, (_, cloexec) in table.items() if cloexec):
            self.drop(actor, table.pop(fd)[0])

    def on_exit(self, rec, _):
        self.clean(Actor(rec, how="exit"), rec.pid)

    def on_kill(self, rec, _):
        uid, comm = self.names[rec.arg]
        self.clean(Actor(rec, rec.arg, uid, comm, "SIGKILL"), rec.arg)

    def on_end(self, rec, _):
        if self.tables.pop(rec.arg, None):
            self.fault(rec, "ended with descriptors open")

    def clean(self, actor, pid):
        table = self.tables[pid]
        for fd in sorted(table):
            self.drop(actor, table.pop(fd)[0])

    def drop(self, actor, sock):
        sock.refs -= 1
        if sock.refs == 0:
            self.last_close(actor, sock)

    def own(self, rec, sock, fd, cloexec):
        table = self.tables[rec.pid]
        if fd in table:
            self.fault(rec, f"descriptor {fd} is in use")
        table[fd] = (sock, bool(cloexec))
        sock.refs += 1

    # --- calls that tell nothing by themselves ---

    def on_socket(self, rec, _):
        sock = self.socks[rec.cookie] = Sock(rec, rec.cookie)
        sock.history.append(rec)
        self.own(rec, sock, rec.fd, rec.arg2)

    def on_dup(self, rec, sock):
        if not rec.err:
            self.own(rec, sock, rec.ret, rec.arg2)

    def on_option(self, rec, sock):
        name = OPTIONS[rec.arg]
        if rec.err:
            return
        if name == "linger0":
            sock.linger0 = bool(rec.arg2)
            if sock.side:
                sock.side.linger0 = sock.linger0

    def on_error(self, rec, sock):
        """Taken or not, porttrace tells the error; but it must be the one of the model."""
        side = sock.side
        want = side.error if side and side.dead else None
        got = errnos.errorcode.get(rec.arg)
        if rec.arg and sock.tcp and side and want != got:
            self.fault(rec, f"SO_ERROR should be {want}")

    def on_recv(self, rec, sock):
        if rec.ret > 0 and sock.side:
            sock.side.unread -= rec.ret

    def on_send(self, rec, sock):
        if not sock.tcp:
            self.autobind(rec, sock)
        elif rec.ret > 0 and sock.side:
            sock.side.send(rec.ret)

    # --- bind, listen ---

    def on_bind(self, rec, sock):
        actor = Actor(rec)
        least = 16 if sock.family == AF_INET else 24
        if rec.len < least:
            self.expect(actor, sock, "bind", "failure", errno="EINVAL", type=ANY)
            return
        how = "explicit" if rec.given[1] else "bind0"
        asked = {"requested__ip": rec.given[0], "requested__port": rec.given[1]}
        if rec.err:
            error = errnos.errorcode[rec.err]
            self.expect(actor, sock, "bind", "failure", local=rec.given, errno=error, how=how,
                        cause=self.bind_cause(error, rec), **asked)
            return
        sock.holds = rec.local[1] != 0
        sock.locked = sock.locked or rec.given[1] != 0
        self.expect(actor, sock, "bind", local=rec.local, how=how if sock.holds else None, **asked)

    @staticmethod
    def bind_cause(error, rec):
        if error == "EADDRINUSE":
            return "in_use" if rec.given[1] else "port_exhausted"
        if error == "EACCES":
            return "privileged"
        return "not_local" if error == "EADDRNOTAVAIL" else None

    def autobind(self, rec, sock):
        """The kernel binds a UDP socket without a port, whatever becomes of the call after it."""
        if sock.holds:
            return True
        sock.holds = rec.local is not None and rec.local[1] != 0
        sock.locked = False
        wild = wildcard(sock.family)
        local = (rec.local0[0], rec.local[1]) if sock.holds else (wild, 0)
        more = {} if sock.holds else {"errno": "EAGAIN", "cause": "port_exhausted"}
        exp = self.expect(Actor(rec), sock, "bind", "success" if sock.holds else "failure",
                          local=local, how="autobind", requested__port=0,
                          requested__ip=(wild, rec.local0[0]), **more)
        if rec.op == "send":
            exp.f["fd"] = ANY
        return sock.holds

    def on_listen(self, rec, sock):
        error = errnos.errorcode.get(rec.err)
        if not sock.tcp or (rec.err and error != "EADDRINUSE") or sock.listening:
            return
        more = {"backlog": min(rec.arg, SOMAXCONN)}
        if not sock.holds:
            more.update(how="autobind", requested__port=0,
                        requested__ip=(wildcard(sock.family), rec.local0[0]))
        if rec.err:
            more.update(errno=error, cause="in_use" if sock.holds else "port_exhausted")
            local = (rec.local0[0], rec.local0[1] if sock.holds else 0)
            self.expect(Actor(rec), sock, "listen", "failure", local=local, **more)
            return
        self.expect(Actor(rec), sock, "listen", local=rec.local, **more)
        sock.holds = sock.listening = True
        sock.at, sock.v6only = rec.local, bool(rec.options & 1 << OPTIONS.index("v6only"))
        if sock not in self.listeners[sock.netns, rec.local[1]]:
            self.listeners[sock.netns, rec.local[1]].append(sock)

    # --- connect ---

    def on_connect(self, rec, sock):
        actor = Actor(rec)
        if rec.len < 2:
            local = (rec.local0[0], rec.local0[1] if sock.holds else 0)
            self.expect(actor, sock, "connect", "failure", local=local, errno="EINVAL",
                        direction="egress")
        elif rec.given_family == AF_UNSPEC:
            self.disconnect(actor, sock) if sock.tcp else self.udp_disconnect(rec, sock)
        elif not sock.tcp:
            self.udp_connect(rec, sock)
        elif sock.struct == "ing":
            self.connect_again(rec, sock)
        elif sock.struct == "un" and rec.state0 == CLOSE:
            self.attempt(rec, sock)

    def udp_disconnect(self, rec, sock):
        sock.role = None
        sock.holds = sock.holds and sock.locked

    def remote_of(self, rec, sock):
        """The destination as it was given; of another family than the socket's it is not known."""
        if sock.family == AF_INET and rec.given_family != AF_INET:
            return None
        return rec.given

    def udp_connect(self, rec, sock):
        bound = self.autobind(rec, sock)
        actor, remote = Actor(rec), self.remote_of(rec, sock)
        if not rec.err:
            sock.role = "egress"
            self.expect(actor, sock, "connect", local=rec.local, remote=rec.peer,
                        direction="egress")
            return
        error = errnos.errorcode[rec.err]
        # an address may have been looked for, and the port is there if it could be had
        local = (rec.local[0], rec.local[1] if bound else 0)
        exp = self.expect(actor, sock, "connect", "failure", local=local, remote=remote,
                          errno=error, direction="egress", cause=self.connect_cause(error, rec, sock, False))
        self.free_remote(exp, rec, sock)

    @staticmethod
    def free_remote(exp, rec, sock):
        if sock.family == AF_INET and rec.given_family != AF_INET:
            exp.f.update({"remote.ip": ANY, "remote.port": ANY, "type": ANY})
            exp.f["local.ip"] = ANY
        if rec.given_family == AF_INET6 and rec.len < 24:
            exp.f.update({"remote.ip": ANY, "type": ANY, "local.ip": ANY, "requested.ip": ANY})
        if sock.family == AF_INET6 and rec.given_family == AF_INET:
            exp.f.update({"type": ANY, "local.ip": ANY, "requested.ip": ANY})

    @staticmethod
    def connect_cause(error, rec, sock, picks):
        if error == "EADDRNOTAVAIL":
            return "port_exhausted" if picks else "tuple_clash"
        if error == "EAGAIN":
            return "port_exhausted"
        return CAUSES.get(error)

    def attempt(self, rec, sock):
        picks = not sock.holds
        actor = Actor(rec)
        more = {"direction": "egress"}
        local0 = (rec.local0[0], 0 if picks else rec.local0[1])
        remote = self.remote_of(rec, sock)
        if picks:
            more.update(how="connect", requested__port=0,
                        requested__ip=same_version(local0[0], remote and remote[0]))
        if rec.err not in (0, errnos.EINPROGRESS):
            self.attempt_failed(rec, sock, local0, remote, picks, more)
            return
        self.reset_old(sock, rec.local, self.reached(remote, local0))
        if rec.err and rec.state1 == SYN_SENT:
            sock.attempt = dict(more, local=rec.local, remote=self.reached(remote, local0), actor=actor)
            sock.struct, sock.holds = "ing", True
        elif rec.state1 == CLOSE and rec.err:
            sock.struct = "ing"
            sock.holds = sock.holds and sock.locked
            self.expect(actor, sock, "connect", "failure", local=rec.local,
                        remote=self.reached(remote, local0), errno="ECONNREFUSED", cause="refused", **more)
        else:
            self.expect(actor, sock, "connect", local=rec.local, remote=rec.peer, **more)
            sock.struct = "ing" if rec.err else "ed"
            self.connected(rec, sock, rec.local, rec.peer)

    def reset_old(self, sock, local, remote):
        """A SYN from the addresses of a connection whose end here is forgotten already (before 6.11 it may be in
        FIN_WAIT2) meets the other end: that one acknowledges what it knows, which is answered by a reset. The SYN
        is sent once more a moment later."""
        side = self.sides.get((sock.netns, remote, local))
        if side and not side.dead and not side.other.open:
            side.take_rst()

    @staticmethod
    def reached(remote, local0):
        """Nobody's address as a destination means this machine: by IPv4, the address that the socket is bound to."""
        if remote and remote[0] == "0.0.0.0":
            return ("127.0.0.1" if local0[0] in ("0.0.0.0", "::") else local0[0], remote[1])
        return ("::1", remote[1]) if remote and remote[0] == "::" else remote

    def attempt_failed(self, rec, sock, local0, remote, picks, more):
        error = errnos.errorcode[rec.err]
        more["cause"] = self.connect_cause(error, rec, sock, picks)
        if error in ("ECONNREFUSED", "ECONNABORTED", "ECONNRESET", "ETIMEDOUT"):
            # a SYN was sent; getsockname() goes on giving the port that was chosen for it, and not the address
            remote = self.reached(remote, local0)
            source = "::1" if ":" in remote[0] else "127.0.0.1"
            ip = source if local0[0] in ("0.0.0.0", "::") else local0[0]
            local = (ip, rec.local[1] if picks else local0[1])
            self.expect(Actor(rec), sock, "connect", "failure", local=local, remote=remote, errno=error, **more)
            self.reset_old(sock, local, remote)
            sock.holds = sock.holds and sock.locked
            sock.read_shut = False  # the kernel disconnects
            return
        if error == "EADDRNOTAVAIL":
            sock.holds = sock.holds and sock.locked
        exp = self.expect(Actor(rec), sock, "connect", "failure", local=local0, remote=remote,
                          errno=error, **more)
        if more["cause"] == "port_exhausted" and remote and local0[0] in ("0.0.0.0", "::"):
            # the kernel looked for a port of the address that the route gave
            exp.f["local.ip"] = (exp.f["local.ip"], "::1" if ":" in remote[0] else "127.0.0.1")
        self.free_remote(exp, rec, sock)

    def connected(self, rec, sock, local, remote):
        sock.holds, sock.role = True, "egress"
        conn = Conn(local, remote)
        side = sock.side = conn.client
        if local == remote:
            side.other = side
        else:
            listener = self.socks.get(rec.other) or self.listener_at(sock.netns, remote)
            self.waiting[sock.netns, local, remote].append(conn)
            if listener:
                listener.queue.append(conn)
                conn.server.linger0 = listener.linger0
                conn.server.read_shut = listener.read_shut
        side.sock, side.linger0, side.read_shut = sock, sock.linger0, sock.read_shut
        self.sides[sock.netns, local, remote] = side
        self.sides[sock.netns, remote, local] = side.other

    def listener_at(self, netns, remote):
        """Who gets it when it is none of the program's own: an address before the wildcard, then IPv4 before IPv6
        (the kernel's compute_score()). Of two with SO_REUSEPORT nobody knows."""
        def score(listener):
            ip, same = listener.at[0], listener.family != AF_INET6 or ":" in remote[0]
            if ip == remote[0]:
                return 2, same
            if ip == ("::" if ":" in remote[0] else "0.0.0.0") or (ip == "::" and not listener.v6only):
                return 1, same
            return 0, same

        found = self.listeners[netns, remote[1]]
        found[:] = [listener for listener in found if listener.listening and listener.at[1] == remote[1]]
        best = sorted(((score(listener), listener) for listener in found if score(listener)[0]),
                      key=lambda entry: entry[0])
        if not best or (len(best) > 1 and best[-1][0] == best[-2][0]):
            return None
        return best[-1][1]

    def connect_again(self, rec, sock):
        """On an attempt whose result the program has not taken: no event of its own."""
        if sock.attempt:
            return
        if sock.side and not sock.side.dead:
            sock.struct = "ed"
        else:  # the kernel gives the error and disconnects
            self.forget(sock)

    def on_result(self, rec, sock):
        more, sock.attempt = sock.attempt, None
        if more is None:
            self.fault(rec, "there was no attempt")
            return
        actor = more.pop("actor")
        if rec.err:
            error = errnos.errorcode[rec.err]
            self.expect(actor, sock, "connect", "failure", errno=error,
                        cause=CAUSES.get(error), **more)
            sock.holds = sock.holds and sock.locked
        else:
            self.expect(actor, sock, "connect", **more)
            # reset before the program asked: then only the attempt knows where to
            self.connected(rec, sock, rec.local, rec.peer or more["remote"])

    # --- disconnect, shutdown ---

    def forget(self, sock):
        sock.side, sock.role, sock.struct, sock.read_shut = None, None, "un", False
        sock.listening = False

    def give_up(self, sock):
        more, sock.attempt = sock.attempt, None
        actor = more.pop("actor")
        self.expect(actor, sock, "connect", "failure", cause="given_up", **more)
        sock.holds = sock.holds and sock.locked

    def disconnect(self, actor, sock):
        """connect(AF_UNSPEC), and what shutdown() does to a listener or to an attempt."""
        side = sock.side
        if sock.attempt:
            self.give_up(sock)
        elif sock.listening:
            self.expect(actor, sock, "close", local=actor.rec.local0, cause="shut_down", state=ANY)
            self.empty_queue(actor, sock)
            sock.holds = sock.locked
        elif side and not side.dead:
            more = self.end_fields(side, sock.role)
            side.send_rst()
            self.expect(actor, sock, "close", local=side.local, remote=side.remote,
                        direction=sock.role, cause="disconnected", state=ANY, **more)
            side.open = False
        self.forget(sock)

    def on_shutdown(self, rec, sock):
        reads, writes = rec.arg in (0, 2), rec.arg in (1, 2)
        if not sock.tcp:
            return
        if sock.struct == "ing":
            sock.struct = "ed" if sock.side and not sock.side.dead else "dis"
        if sock.attempt or (sock.listening and reads):
            self.disconnect(Actor(rec), sock)
            return
        if sock.listening:
            return
        sock.read_shut = sock.read_shut or reads
        side = sock.side
        if side:
            side.read_shut = side.read_shut or reads
            if writes:
                side.send_fin()

    # --- accept ---

    def on_accept(self, rec, sock):
        if rec.err:
            error = errnos.errorcode[rec.err]
            if sock.tcp and error not in ("EAGAIN", "EINTR"):
                local = (rec.local0[0], rec.local0[1] if sock.holds else 0)
                self.expect(Actor(rec), sock, "accept", "failure", local=local, errno=error,
                            direction="ingress")
            return
        conn = self.take_waiting(sock, rec)
        child = self.socks[rec.other] = Sock(rec, rec.other)
        child.history.append(rec)
        self.own(rec, child, rec.ret, rec.arg2)
        child.struct, child.role = "ed", "ingress"
        self.expect(Actor(rec), child, "accept", local=rec.local, remote=rec.peer,
                    direction="ingress", how="inherited", cookie=(child.cookie, None))
        if not conn:
            self.fault(rec, "nobody connected from there")
            return
        if conn in sock.queue:
            sock.queue.remove(conn)
        else:
            conn.server.linger0 = sock.linger0
        child.side = conn.server
        child.side.sock = child
        child.linger0 = child.side.linger0
        child.read_shut = child.side.read_shut
        child.holds = not child.side.dead

    def take_waiting(self, sock, rec):
        """Its own one, else one of which the listener is not known."""
        waiting = self.waiting[sock.netns, rec.peer, rec.local]
        conn = next((conn for conn in waiting if conn in sock.queue), waiting[0] if waiting else None)
        if conn:
            waiting.remove(conn)
        return conn

    # --- close ---

    def on_close(self, rec, sock):
        entry = self.tables[rec.pid].pop(rec.fd, None)
        if not entry or entry[0] is not sock:
            self.fault(rec, "that descriptor is another one's")
            return
        self.drop(Actor(rec), sock)

    def empty_queue(self, actor, sock):
        """Connections that nobody accepted end with their listener."""
        for conn in sock.queue:
            side = conn.server
            self.waiting[sock.netns, conn.client.local, conn.client.remote].remove(conn)
            more = {"errno": side.error, "cause": "reset"} if side.error else {"cause": "never_accepted"}
            more.update(self.end_fields(side, "ingress"), state=ANY)
            if not side.error:
                more["closed_by"] = ANY
            if not side.dead:
                side.send_rst()
            side.open = False
            self.expect(actor, sock, "close", "failure", local=side.local, remote=side.remote,
                        direction="ingress", anonymous=True, cookie=ANY, **more)
        sock.queue = []

    @staticmethod
    def end_fields(side, role):
        first = side.conn.first
        sent, received = side.sent, side.received
        if role == "ingress":
            sent, received = received, sent
        return {"closed_by": "local" if first in (None, side) else "remote",
                "sent": sent, "received": received}

    def last_close(self, actor, sock):
        local = self.last_local(actor, sock)
        if not sock.tcp:
            if sock.holds:
                remote = self.last_peer(actor, sock)
                self.expect(actor, sock, "close", local=local, remote=remote, state="closed",
                            direction="egress" if remote else None)
        elif sock.attempt:
            remote = sock.attempt["remote"]
            self.give_up(sock)
            self.expect(actor, sock, "close", local=local, remote=remote, direction="egress",
                        state="closed", closed_by=ANY, sent=ANY, received=ANY)
        elif sock.side:
            self.close_connection(actor, sock, local)
        elif sock.holds:
            self.expect(actor, sock, "close", local=local, state="closed")
            self.empty_queue(actor, sock)
        sock.holds = sock.listening = False

    def close_connection(self, actor, sock, local):
        side = sock.side
        more = self.end_fields(side, sock.role)
        error = side.error if side.dead else None
        if error:
            more.update(errno=error, cause="timed_out" if error == "ETIMEDOUT" else "reset")
        more["state"] = side.close()
        side.open = False
        side.sock = None
        self.expect(actor, sock, "close", "failure" if error else "success", local=side.local,
                    remote=side.remote, direction=sock.role, **more)

    def last_local(self, actor, sock):
        if actor.rec.op == "close":
            return actor.rec.local0
        return self.last_known(sock, "local")

    def last_peer(self, actor, sock):
        if actor.rec.op == "close":
            return actor.rec.peer0
        return self.last_known(sock, "peer")

    @staticmethod
    def last_known(sock, field):
        """Of a socket that the kernel closes: as it was after its last call."""
        for rec in reversed(sock.history):
            if rec.op in ("close", "dup", "option", "accept" if rec.cookie == sock.cookie else ""):
                if rec.local0:
                    return getattr(rec, field + "0")
            elif rec.op == "accept":
                return getattr(rec, field)
            elif rec.op != "socket":
                return getattr(rec, field)
        return None


# --- Events -----------------------------------------------------------------------------------

def dig(obj, *path):
    for key in path:
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj


class Event:
    __slots__ = ("f", "sequence", "time", "match", "late")

    def __init__(self, obj):
        event, process = obj.get("event") or {}, obj.get("process") or {}
        network, porttrace = obj.get("network") or {}, obj.get("porttrace") or {}
        socket, assignment = porttrace.get("socket") or {}, porttrace.get("assignment") or {}
        direction = network.get("direction")
        src, dst = obj.get("source") or {}, obj.get("destination") or {}
        local, remote = (src, dst) if direction == "egress" else (dst, src)
        self.sequence = event.get("sequence")
        self.match = None
        self.late = porttrace.get("late")
        self.f = {
            "action": event.get("action"), "outcome": event.get("outcome"),
            "pid": process.get("pid"), "tid": dig(process, "thread", "id"),
            "uid": dig(obj, "user", "id"), "comm": process.get("name"),
            "netns": socket.get("netns"), "transport": network.get("transport"),
            "type": network.get("type"), "direction": direction,
            "local.ip": local.get("ip"), "local.port": local.get("port") or None,
            "remote.ip": remote.get("ip"), "remote.port": remote.get("port") or None,
            "how": assignment.get("how"),
            "requested.ip": dig(assignment, "requested", "ip"),
            "requested.port": dig(assignment, "requested", "port"),
            "backlog": socket.get("backlog"), "errno": dig(obj, "error", "type"),
            "cause": porttrace.get("cause"), "exit": porttrace.get("exit"),
            "fd": socket.get("fd"), "closed_by": socket.get("closed_by"),
            "state": socket.get("state"), "sent": src.get("bytes"), "received": dst.get("bytes"),
            "cookie": socket.get("cookie"),
            **{name: socket.get(name) for name in SHOWN_OPTIONS},
        }

    def __str__(self):
        f = self.f
        return (f"sequence {self.sequence} {f['action']} {f['outcome']} {f['errno'] or ''} pid {f['pid']} "
                f"{f['transport']} local {f['local.ip']}:{f['local.port']} "
                f"remote {f['remote.ip']}:{f['remote.port']} how {f['how']} cookie {f['cookie']}")


def read_events(path, problems):
    events, last = [], 0
    with open(path, "rb") as file:
        for n, line in enumerate(file, 1):
            try:
                obj = json.loads(line)
            except ValueError:
                problems.append(f"line {n} of the events is no JSON")
                continue
            if dig(obj, "event", "kind") != "event":
                problems.append(f"line {n} is no event: {line[:200].decode(errors='replace')}")
                continue
            event = Event(obj)
            if event.sequence != last + 1:
                problems.append(f"sequence: {event.sequence} comes after {last}")
            last = event.sequence
            events.append(event)
    return events


def closing_problems(path, shown):
    with open(path, encoding="utf-8", errors="replace") as file:
        m = re.search(r"(\d+) events shown, (\d+) seen, (\d+) lost", file.read())
    if not m:
        return ["no closing line of porttrace"]
    said, seen, lost = map(int, m.groups())
    return [] if (said, seen, lost) == (shown, shown, 0) else [f"closing line: {m[0]}, but {shown} lines"]


# --- Comparison -------------------------------------------------------------------------------

FIELDS = ("action", "outcome", "errno", "pid", "tid", "uid", "comm", "netns", "transport", "type",
          "direction", "local.ip", "local.port", "remote.ip", "remote.port", "how",
          "requested.ip", "requested.port", "backlog", "cookie", "cause", "fd", "exit", "closed_by",
          "state", "sent", "received") + SHOWN_OPTIONS


def differs(want, got):
    if want is ANY or want == got:
        return False
    return not (isinstance(want, tuple) and got in want)


def differences(exp, event, fields=FIELDS):
    want, got = exp.f, event.f
    return [name for name in fields if want[name] != got[name] and differs(want[name], got[name])]


SKIP = 8  # what a missing or an extra event costs, in wrong fields


def align(expected, events):
    """[(expected or None, event or None)] with the fewest differences; for few of them."""
    n, m = len(expected), len(events)
    cost = [[0] * (m + 1) for _ in range(n + 1)]
    for i in range(n, -1, -1):
        for k in range(m, -1, -1):
            if i == n or k == m:
                cost[i][k] = SKIP * (n - i + m - k)
                continue
            cost[i][k] = min(cost[i + 1][k] + SKIP, cost[i][k + 1] + SKIP,
                             cost[i + 1][k + 1] + pair_cost(expected[i], events[k]))
    i = k = 0
    while i < n or k < m:
        if i < n and k < m and cost[i][k] == cost[i + 1][k + 1] + pair_cost(expected[i], events[k]):
            yield expected[i], events[k]
            i, k = i + 1, k + 1
        elif i < n and cost[i][k] == cost[i + 1][k] + SKIP:
            yield expected[i], None
            i += 1
        else:
            yield None, events[k]
            k += 1


def pair_cost(exp, event):
    if exp.f["action"] != event.f["action"]:
        return 3 * SKIP
    return len(differences(exp, event))


class Report:
    def __init__(self):
        self.lines = []

    def add(self, text, sock=None):
        self.lines.append((text, sock))


def pair(exp, event):
    exp.event, event.match = event, exp


def compare_socket(sock, report):
    expected, events = sock.expected, sock.events
    if len(expected) == len(events):
        for exp, event in zip(expected, events):
            if differences(exp, event):
                break
            pair(exp, event)
        else:
            return
    pairs = list(align(expected, events))
    pairs += displaced([exp for exp, event in pairs if not event], [event for exp, event in pairs if not exp])
    for exp, event in pairs:
        if exp and event:
            pair(exp, event)
            names = differences(exp, event)
            if names:
                wrong = ", ".join(f"{n}: expected {text(exp.f[n])}, got {event.f[n]!r}" for n in names)
                report.add(f"wrong: {exp.f['action']} sequence {event.sequence}: {wrong}; "
                           f"call {exp.rec}", sock)


def displaced(expected, events):
    """What is right but for its place: order_problems() tells."""
    for exp in expected:
        for event in events:
            if not differences(exp, event):
                events.remove(event)
                yield exp, event
                break


def text(want):
    return f"one of {want}" if isinstance(want, tuple) else repr(want)


def key_of(f):
    return (f["action"], f["pid"], f["netns"], f["local.ip"], f["local.port"], f["remote.ip"],
            f["remote.port"])


def compare_anonymous(world, left, report):
    """Events without a cookie that the programs know: by their addresses."""
    pool = collections.defaultdict(list)
    for event in left:
        pool[key_of(event.f)].append(event)
    wanted = [e for e in world.anonymous]
    wanted += [e for sock in world.socks.values() for e in sock.expected
               if not e.event and e.f["action"] == "accept"]
    wanted.sort(key=lambda e: e.rec.n)
    for exp in wanted:
        found = pool.get(key_of(exp.f))
        if not found:
            continue
        event = next((e for e in found if not differences(exp, e)), found[0])
        found.remove(event)
        pair(exp, event)
        for n in differences(exp, event):
            report.add(f"wrong: {exp.f['action']} sequence {event.sequence}: {n}: expected "
                       f"{text(exp.f[n])}, got {event.f[n]!r}; call {exp.rec}", exp.sock)


def order_problems(world, report):
    for sock in world.socks.values():
        last = None
        for exp in sock.expected:
            if not exp.event or (exp.f["action"] == "connect" and exp.event.late):  # a success told at the end
                continue
            if last and exp.event.sequence < last.event.sequence:
                report.add(f"order: {exp.f['action']} sequence {exp.event.sequence} must come after "
                           f"{last.f['action']} sequence {last.event.sequence}", sock)
            last = exp


def compare(world, events, report):
    strangers = []
    for event in events:
        sock = world.socks.get(event.f["cookie"])
        (sock.events if sock else strangers).append(event)
    for sock in world.socks.values():
        compare_socket(sock, report)
    compare_anonymous(world, strangers, report)
    every = world.anonymous + [e for sock in world.socks.values() for e in sock.expected]
    for exp in every:
        if not exp.event:
            report.add(f"missing: {exp}; call {exp.rec}", exp.sock)
    for event in events:
        if not event.match:
            report.add(f"extra: {event}", world.socks.get(event.f["cookie"]))
    order_problems(world, report)
    return len(every)


def show(report, limit, history):
    shown = set()
    for line, sock in report.lines[:limit]:
        print(line)
        if history and sock and sock.cookie not in shown:
            shown.add(sock.cookie)
            for rec in sock.history:
                print(f"    {rec}")
            for event in sock.events:
                print(f"    got {event}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--record", required=True, help="written by random --record")
    p.add_argument("--events", required=True, help="written by porttrace --json")
    p.add_argument("--stderr", help="of porttrace: check the closing line too")
    p.add_argument("--limit", type=int, default=20, help="differences shown")
    p.add_argument("--history", action="store_true", help="with the calls of the socket")
    args = p.parse_args()
    records, calls, seed = read_record(args.record)
    world, report, problems = World(), Report(), []
    world.run(records)
    events = read_events(args.events, problems)
    if args.stderr:
        problems += closing_problems(args.stderr, len(events))
    for problem in problems + world.faults:
        report.add(problem)
    compare(world, events, report)
    show(report, args.limit, args.history)
    print(f"{calls} calls, seed {seed}, {len(events)} events, {len(report.lines)} differences")
    return 1 if report.lines or not events else 0


if __name__ == "__main__":
    sys.exit(main())
