#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compare what strace and porttrace saw of the same processes.

    compare.py DIRECTORY...     each with strace.log, events.jsonl, stderr, status of one case

Both become, for each thread of each process, a sequence of bind, listen, connect and accept with result,
address and port. The sequences must be equal, event by event. A field that strace cannot know (a port that the
kernel chose and the program never asked for) is free. A connect that does not block may appear anywhere from
the call to where the program learned the result; when it never did, any result will do, but there must be one.
"""
import collections
import ipaddress
import json
import os
import re
import sys

FOREVER = float("inf")
# These never reach the kernel's inet code, or are no news.
NO_EVENT = {"EBADF", "ENOTSOCK", "EFAULT", "EMFILE", "ENFILE", "EOPNOTSUPP"}
RESTARTS = {"EINTR", "ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ERESTART_RESTARTBLOCK", "?"}
CONNECT_ERRORS = {"ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"}
PENDING = RESTARTS | {"EINPROGRESS"}
# What a UDP call may say before the socket gets a port: a security module's, or of an address that is none.
EARLY = {"EACCES", "EPERM", "EINVAL"}
WILDCARDS = {"0.0.0.0", "::"}
ANY = "any way"


class Event:
    """What one of the two saw. None in local, remote or their parts: not known; result None: any."""

    def __init__(self, action, transport, result, local=(None, None), remote=(None, None), how=None):
        self.action, self.transport, self.result, self.how = action, transport, result, how
        self.local, self.remote = local, remote
        self.end = None  # strace: after how many events of the thread the result was known; None: at once
        self.maybe = False  # strace: did it come to this?

    def covers(self, other):
        """Is other, of porttrace, what this one, of strace, says?"""
        if (self.action, self.transport) != (other.action, other.transport):
            return False
        if self.action == "bind" and self.how not in (ANY, other.how):
            return False
        pairs = zip((self.result, *self.local, *self.remote), (other.result, *other.local, *other.remote))
        return all(mine is None or mine == its for mine, its in pairs)

    def __str__(self):
        show = lambda end: "%s:%s" % tuple("?" if x is None else x for x in end)
        words = [self.action, self.transport, show(self.local)]
        if self.action in ("connect", "accept"):
            words += ["->" if self.action == "connect" else "<-", show(self.remote)]
        if self.action == "bind" and self.how:
            words.append("(%s)" % self.how)
        return " ".join(words + [self.result or "with any result"])


def plain_ip(text):
    """One spelling of each address; v4-mapped IPv6 is IPv4, as porttrace shows it."""
    ip = ipaddress.ip_address(text.split("%")[0])
    return str(getattr(ip, "ipv4_mapped", None) or ip)


# --- strace ---------------------------------------------------------------------------------

LINE = re.compile(r"(\d+) +\d+\.\d+ (.*)")
UNFINISHED = " <unfinished ...>"
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
CALL = re.compile(r"(\w+)\((.*)\) += (.*)")
DESCRIPTOR = re.compile(r"(\d+)<(TCP|UDP|MPTCP|socket)(?:v6)?:\[(.*?)\]>")
# strace calls a socket of MPTCP just a socket; the call that made it tells what it is.
TRANSPORTS = {"TCP": "tcp", "UDP": "udp", "MPTCP": "tcp", "socket": None}
INET = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)')
INET6 = re.compile(r'sin6_port=htons\((\d+)\),.*?inet_pton\(AF_INET6, "([^"]+)"')


def endpoint(text):
    """127.0.0.1:80 or [::1]:80, as strace -yy shows it"""
    host, _, port = text.rpartition(":")
    return plain_ip(host.strip("[]")), int(port)


def sockaddr(text):
    found = INET.search(text) or INET6.search(text)
    return (plain_ip(found[2]), int(found[1])) if found else None


class Call:
    def __init__(self, name, arguments, result):
        self.name, self.arguments, self.result = name, arguments, result
        words = result.split()
        self.value = int(words[0].split("<")[0], 0) if re.match(r"-?\d|0x", words[0]) else None
        self.errno = None
        if self.value is None:
            self.errno = words[1] if len(words) > 1 and words[1].startswith("E") else "?"
        elif self.value == -1 and len(words) > 1:
            self.errno = words[1]

    @property
    def outcome(self):
        return self.errno or "ok"


class Socket:
    def __init__(self, transport, has_port=False):
        self.transport, self.has_port = transport, has_port
        self.explicit = has_port      # the program itself, not the kernel, gave it the port
        self.unsure = False           # has it got a port by a call that failed?
        self.listening = False
        self.bind_without_port = False
        self.bound_to = None          # the address of bind()
        self.nameless = []            # events whose local port is not known yet
        self.stale = False            # strace remembers a socket's addresses, also when they have changed
        self.pending = None           # the connect without a result yet

    def learn_local(self, local):
        for event in self.nameless:
            ip, port = event.local
            # The address is another one after a UDP connect() than at the autobind before it.
            if event.action == "connect" and event.transport == "tcp" and local[0] not in WILDCARDS:
                ip = local[0]
            event.local = (ip, local[1] if port is None else port)
        self.nameless = []

    def forget_port(self):
        self.has_port, self.nameless, self.stale = False, [], True


class Process:
    def __init__(self, pid, name, files):
        self.pid, self.name, self.files = pid, name, files


class Strace:
    """Follows a log of strace -f -yy. self.threads: {(pid, tid): [Event]}"""

    def __init__(self, lines):
        self.calls = list(self.read(lines))
        self.parents = {}             # tid: (tid of the parent, is a thread, shares descriptors)
        self.processes = {}           # tid: Process
        self.names = {}
        self.threads = collections.defaultdict(list)
        for tid, call in self.calls:
            if call.name in ("clone", "clone3", "fork", "vfork") and (call.value or 0) > 0:
                flags = call.arguments
                self.parents[call.value] = (tid, "CLONE_THREAD" in flags, "CLONE_FILES" in flags)
        for tid, call in self.calls:
            self.see(tid, call)

    @staticmethod
    def read(lines):
        """Whole calls in the order in which they ended; what never ended comes last."""
        begun = {}
        for line in lines:
            found = LINE.match(line)
            if not found:
                raise ValueError("not a line of strace -f -ttt: %r" % line[:80])
            tid, text = int(found[1]), found[2]
            if text.endswith(UNFINISHED):
                begun[tid] = text[:-len(UNFINISHED)]
                continue
            resumed = RESUMED.match(text)
            if resumed:
                text = begun.pop(tid, resumed[1] + "(") + resumed[2]
            call = CALL.match(text)
            if call:
                yield tid, Call(*call.groups())
        for tid, text in begun.items():
            name, _, arguments = text.partition("(")
            yield tid, Call(name, arguments, "?")

    def process(self, tid):
        """A child's first line may come before its parent's clone() has returned."""
        if tid not in self.processes:
            parent_tid, is_thread, shares = self.parents.get(tid, (None, False, False))
            if parent_tid is None:
                self.processes[tid] = Process(tid, "?", {})
            else:
                parent = self.process(parent_tid)
                files = parent.files if shares else dict(parent.files)
                self.processes[tid] = parent if is_thread else Process(tid, parent.name, files)
        return self.processes[tid]

    def see(self, tid, call):
        process = self.process(tid)
        handler = getattr(self, "see_" + call.name, None)
        if call.name == "execve":
            if call.value == 0:
                process.name = self.program(call.arguments)
        elif call.name in ("clone", "clone3", "fork", "vfork"):
            if (call.value or 0) > 0:
                self.process(call.value)
        elif call.name in ("dup", "dup2", "dup3"):
            self.see_copy(process, call)
        elif call.name == "socket":
            self.new_socket(process, call.result, transport="tcp" if "IPPROTO_MPTCP" in call.arguments else None)
        else:
            sock = self.socket(process, call.arguments)
            if sock and handler:
                self.names.setdefault(process.pid, process.name)
                handler(process, self.threads[process.pid, tid], sock, call)

    @staticmethod
    def program(arguments):
        argv0 = re.search(r'\["([^"]+)"', arguments)
        return os.path.basename(argv0[1]) if argv0 else "?"

    @staticmethod
    def new_socket(process, text, has_port=False, transport=None):
        found = DESCRIPTOR.match(text)
        transport = found and TRANSPORTS[found[2]] or transport
        if not found or not transport:
            return None
        sock = process.files[int(found[1])] = Socket(transport, has_port)
        return sock

    def socket(self, process, arguments):
        """The socket of a call's first argument; None if it is no TCP or UDP socket."""
        found = DESCRIPTOR.match(arguments)
        if not found:
            return None
        sock = process.files.get(int(found[1]))
        if TRANSPORTS[found[2]] not in (None, sock and sock.transport):
            sock = self.new_socket(process, arguments, "." in found[3] or ":" in found[3])
        if sock and ":" in found[3] and not sock.stale:
            sock.learn_local(endpoint(found[3].split("->")[0]))
        return sock

    def see_copy(self, process, call):
        found = DESCRIPTOR.match(call.arguments)
        if found and call.errno is None and int(found[1]) in process.files:
            process.files[call.value] = process.files[int(found[1])]
        elif call.errno is None:
            process.files.pop(call.value, None)

    def see_close(self, process, events, sock, call):
        process.files.pop(int(DESCRIPTOR.match(call.arguments)[1]), None)

    def see_setsockopt(self, process, events, sock, call):
        if "IP_BIND_ADDRESS_NO_PORT, [1]" in call.arguments and call.errno is None:
            sock.bind_without_port = True

    def see_getsockname(self, process, events, sock, call):
        local = sockaddr(call.arguments)
        if call.errno is None and local and local[1]:
            sock.learn_local(local)

    def see_bind(self, process, events, sock, call):
        wanted = sockaddr(call.arguments)
        if call.errno in NO_EVENT:
            return
        if not wanted:
            self.see_odd_bind(events, sock, call)
            return
        ip, port = wanted
        how = "explicit" if port else "bind0"
        if call.errno is None:
            sock.bound_to = wanted
            sock.has_port = sock.explicit = not (sock.bind_without_port and not port)
            if not sock.has_port:
                how = None
        event = Event("bind", sock.transport, call.outcome, (ip, port if port or call.errno else None), how=how)
        events.append(event)
        if event.local[1] is None and sock.has_port:
            sock.nameless.append(event)

    @staticmethod
    def see_odd_bind(events, sock, call):
        """One whose address is cut off, or of family AF_UNSPEC: strace does not say which it is."""
        events.append(Event("bind", sock.transport, call.outcome, how=ANY))
        if call.errno is None:
            sock.has_port = sock.explicit = True
            sock.nameless.append(events[-1])

    def see_listen(self, process, events, sock, call):
        if call.errno in NO_EVENT or sock.transport != "tcp" or (sock.listening and call.errno is None):
            return
        ip, port = sock.bound_to or (None, None)
        event = Event("listen", "tcp", call.outcome, (ip, port or None))
        events.append(event)
        if call.errno is None:
            sock.listening = sock.has_port = True
            sock.nameless += [event] if event.local[1] is None else []

    def see_accept(self, process, events, sock, call):
        if call.errno in NO_EVENT | RESTARTS | {"EAGAIN"}:
            return
        local, remote = (None, None), (None, None)
        if call.errno is None:
            self.new_socket(process, call.result, True, "tcp")
            remote = sockaddr(call.arguments) or remote
            shown = DESCRIPTOR.match(call.result)
            if shown and "->" in shown[3]:
                local, remote = map(endpoint, shown[3].split("->"))
        events.append(Event("accept", "tcp", call.outcome, local, remote))

    see_accept4 = see_accept

    # A UDP socket without a port gets one on the way, which has no system call of its own.
    def autobind(self, events, sock, call):
        if sock.transport == "udp" and not sock.has_port:
            event = Event("bind", "udp", "ok", how="autobind")
            events.append(event)
            sock.nameless.append(event)
            event.maybe = sock.unsure or call.errno in EARLY
            sock.unsure = call.errno in EARLY
            sock.has_port = not sock.unsure

    def see_connect(self, process, events, sock, call):
        if call.errno in NO_EVENT:
            return
        if "sa_family=AF_UNSPEC" in call.arguments:
            sock.pending = None
            if not sock.explicit:
                sock.forget_port()
        elif sock.transport == "udp":
            self.autobind(events, sock, call)
            self.new_connect(events, sock, call)
        elif sock.pending:
            self.learn(events, sock, "ok" if call.errno == "EISCONN" else call.outcome)
        elif call.errno not in ("EISCONN", "EALREADY"):
            self.new_connect(events, sock, call)

    @staticmethod
    def new_connect(events, sock, call):
        ip, port = sockaddr(call.arguments) or (None, None)
        if ip in WILDCARDS:  # the kernel takes the loopback address for it
            ip = None
        event = Event("connect", sock.transport, call.outcome, remote=(ip, port))
        events.append(event)
        # The port of one that failed is free again, and a later name is not its name.
        if sock.transport == "udp" or sock.has_port or event.result in PENDING | {"ok"}:
            sock.nameless.append(event)
        if sock.transport == "tcp" and call.errno in PENDING:
            event.result, event.end = None, FOREVER
            sock.pending = event

    @staticmethod
    def learn(events, sock, result, final=True):
        if result in PENDING | {"EALREADY"} or not sock.pending:
            return
        sock.pending.result = result
        sock.pending.end = len(events)
        if final:
            sock.pending = None

    def see_getsockopt(self, process, events, sock, call):
        found = re.search(r"SO_ERROR, \[(\w+)\]", call.arguments)
        if found and call.errno is None:
            # No error may also mean: no answer yet. A call that fails later knows better.
            self.learn(events, sock, "ok" if found[1] == "0" else found[1], found[1] != "0")

    def see_getpeername(self, process, events, sock, call):
        if call.errno is None:
            self.learn(events, sock, "ok")

    def see_recvfrom(self, process, events, sock, call):
        if call.errno is None or call.errno in CONNECT_ERRORS:
            self.learn(events, sock, call.outcome)

    see_recvmsg = see_recvfrom

    def see_sendto(self, process, events, sock, call):
        if call.errno not in NO_EVENT:
            self.autobind(events, sock, call)
            if sock.transport == "tcp" and "MSG_FASTOPEN" in call.arguments:
                self.see_connect(process, events, sock, call)
                return
        self.see_recvfrom(process, events, sock, call)

    see_sendmsg = see_sendto

    def see_sendmmsg(self, process, events, sock, call):
        if not re.search(r"NULL, 0, \w+$", call.arguments):
            self.see_sendto(process, events, sock, call)


# --- porttrace ------------------------------------------------------------------------------

def ends(record, *sides):
    found = (record.get(side, {}) for side in sides)
    return [(x.get("ip"), x.get("port")) for x in found]


def porttrace_event(record):
    action = record["event"]["action"]
    result = "ok"
    if record["event"]["outcome"] != "success":
        result = record.get("error", {}).get("type") or record["event"].get("reason") or "no success"
    sides = {"connect": ("source", "destination")}.get(action, ("destination", "source"))
    local, remote = ends(record, *sides)
    assignment = record["porttrace"].get("assignment", {})
    how = assignment.get("how")
    if action == "bind" and result != "ok" and local[1] is None:
        # A port of 0 is shown as asked for only.
        local = ends(assignment, "requested")[0]
    return Event(action, record["network"]["transport"], result, local, remote, how)


def porttrace_threads(records):
    threads, names = collections.defaultdict(list), {}
    for record in records:
        if record["event"]["action"] != "close":
            process = record["process"]
            names.setdefault(process["pid"], process.get("name", "?"))
            threads[process["pid"], process["thread"]["id"]].append(porttrace_event(record))
    return threads, names


# --- both -----------------------------------------------------------------------------------

def difference(expected, seen):
    """The first one, as (number, strace's event or None, porttrace's event or None); None: no difference."""
    late, pos = [], 0
    for number, event in enumerate(seen, 1):
        while True:
            overdue = [x for x in late if x.end < pos]
            if overdue:
                return number, overdue[0], event
            if pos < len(expected) and expected[pos].covers(event):
                pos += 1
                break
            if pos < len(expected) and expected[pos].maybe:
                pos += 1
                continue
            early = next((x for x in late if x.covers(event)), None)
            if early:
                late.remove(early)
                break
            if pos == len(expected) or expected[pos].end is None:
                return number, (expected[pos:] + late + [None])[0], event
            late.append(expected[pos])
            pos += 1
    missing = late + [x for x in expected[pos:] if not x.maybe]
    return (len(seen) + 1, missing[0], None) if missing else None


def closing_line(text, count):
    """Errors of what porttrace said at its end."""
    found = re.search(r"(\d+) events shown, (\d+) seen, (\d+) lost", text)
    if not found:
        return ["porttrace's closing line is missing"]
    errors = []
    if int(found[1]) != count:
        errors.append("porttrace says %s events shown, but showed %d" % (found[1], count))
    if int(found[3]):
        errors.append("porttrace lost %s events" % found[3])
    return errors


def compare(strace, records):
    """Lines of text, one for each thread whose sequence differs."""
    seen, names = porttrace_threads(records)
    names.update(strace.names)
    for pid, tid in sorted(set(strace.threads) | set(seen)):
        found = difference(strace.threads.get((pid, tid), []), seen.get((pid, tid), []))
        if found:
            who = "%s[%d]" % (names.get(pid, "?"), pid) + ("" if pid == tid else " thread %d" % tid)
            says = ["nothing" if x is None else str(x) for x in found[1:]]
            yield "process %s: event %d: strace says %s, porttrace says %s" % (who, found[0], *says)


def read(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def check_case(directory):
    """Errors of one case, and how many events of strace were compared."""
    if not os.path.exists(os.path.join(directory, "strace.log")):
        return ["was not run: " + read(directory, "stderr").strip()], 0
    records = [json.loads(line) for line in read(directory, "events.jsonl").splitlines()]
    strace = Strace(read(directory, "strace.log").splitlines())
    count = sum(map(len, strace.threads.values()))
    errors = list(compare(strace, records))
    errors += closing_line(read(directory, "stderr"), len(records))
    status = read(directory, "status").strip()
    if status != "0":
        errors.append("the case ended with %s: %s" % (status, " | ".join(read(directory, "stderr").splitlines()[-3:])))
    if not count:
        errors.append("strace saw no event: nothing was compared")
    return errors, count


def main(directories):
    failed = False
    for directory in directories:
        name = os.path.basename(os.path.normpath(directory))
        try:
            errors, count = check_case(directory)
        except (OSError, ValueError, KeyError) as error:
            errors, count = ["cannot be compared: %s: %s" % (type(error).__name__, error)], 0
        for text in errors:
            print("not ok - strace/%s: %s" % (name, text))
        if not errors:
            print("ok - strace/%s # %d events" % (name, count))
        failed |= bool(errors)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
