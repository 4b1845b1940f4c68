# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An OTLP/HTTP receiver that does as it is told, and takes nothing that the protocol does not have.

A plan is a list of what becomes of the requests, one after the other; after its end all are answered with 200:

    "200", "201", "400", "503"...   that status
    "429:2"                         with Retry-After: 2
    "partial:3"                     200, with three records rejected
    "deaf"                          taken, and never answered
    "mute"                          taken, and the connection closed without an answer
    "hang"                          not even read
"""

import gzip
import http.server
import json
import re
import sys
import threading
import time

# OpenTelemetry's semantic conventions, of those we use: name -> type
SEMCONV = {
    "network.transport": str, "network.type": str, "network.local.address": str, "network.local.port": int,
    "network.peer.address": str, "network.peer.port": int, "process.pid": int, "process.vpid": int,
    "process.parent_pid": int, "process.executable.name": str, "process.executable.path": str,
    "process.command_line": str, "thread.id": int, "user.id": str, "user.name": str, "container.id": str,
    "container.runtime.name": str, "k8s.pod.uid": str, "error.type": str, "error.message": str}
RESOURCE = {"service.name", "service.version", "service.instance.id", "host.name", "porttrace.boot.id"}


class Refused(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Refused(why)


def value_of(value):
    """An AnyValue: exactly one member, of the right type; int64 as a decimal string."""
    need(isinstance(value, dict) and len(value) == 1, f"not an AnyValue: {value}")
    (kind, v), = value.items()
    if kind == "stringValue":
        need(isinstance(v, str), f"{value}")
        return v
    if kind == "boolValue":
        need(isinstance(v, bool), f"{value}")
        return v
    if kind == "intValue":
        need(isinstance(v, str) and re.fullmatch(r"-?\d+", v) and -2**63 <= int(v) < 2**63, f"{value}")
        return int(v)
    if kind == "arrayValue":
        need(list(v) == ["values"], f"{value}")
        return [value_of(x) for x in v["values"]]
    if kind == "kvlistValue":
        need(list(v) == ["values"], f"{value}")
        return attributes_of(v["values"])
    raise Refused(f"unknown kind of value: {kind}")


def attributes_of(attributes):
    found = {}
    for a in attributes:
        need(set(a) == {"key", "value"}, f"not a KeyValue: {a}")
        need(a["key"] not in found, f"{a['key']} is there twice")
        found[a["key"]] = value_of(a["value"])
        need(found[a["key"]] != "", f"{a['key']} is empty")
    return found


def nanos(text):
    need(isinstance(text, str) and re.fullmatch(r"[1-9]\d{17,18}", text), f"not nanoseconds: {text}")
    return int(text)


def record_of(record):
    need(set(record) == {"timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "eventName", "body",
                         "attributes"}, f"members: {sorted(record)}")
    need((record["severityNumber"], record["severityText"]) in ((9, "INFO"), (13, "WARN")), "severity")
    need(nanos(record["observedTimeUnixNano"]) >= nanos(record["timeUnixNano"]), "observed before it happened")
    attributes = attributes_of(record["attributes"])
    for name, value in attributes.items():
        need(name.startswith("porttrace.") or name in SEMCONV, f"no such name: {name}")
        need(type(value) is SEMCONV.get(name, type(value)), f"{name} is {value!r}")
    return {"time": nanos(record["timeUnixNano"]), "severity": record["severityNumber"], "name": record["eventName"],
            "body": value_of(record["body"]), "attributes": attributes}


def no_doubles(pairs):
    need(len({k for k, _ in pairs}) == len(pairs), f"a name twice: {[k for k, _ in pairs]}")
    return dict(pairs)


def request_of(body):
    """(resource attributes, records)"""
    message = json.loads(body.decode("utf-8"), object_pairs_hook=no_doubles)
    need(list(message) == ["resourceLogs"] and len(message["resourceLogs"]) == 1, "resourceLogs")
    logs = message["resourceLogs"][0]
    need(set(logs) == {"resource", "scopeLogs"} and len(logs["scopeLogs"]) == 1, "resource, scopeLogs")
    scope = logs["scopeLogs"][0]
    need(set(scope) == {"scope", "logRecords"} and scope["logRecords"], "scope, logRecords")
    need(scope["scope"]["name"] == "porttrace" and scope["scope"]["version"], "scope")
    resource = attributes_of(logs["resource"]["attributes"])
    need(set(resource) <= RESOURCE and resource["service.name"] == "porttrace", f"resource: {resource}")
    return resource, [record_of(r) for r in scope["logRecords"]]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        act = self.server.next_act()
        if act == "hang":
            self.server.released.wait()
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.taken.append((time.monotonic(), act, self.path, dict(self.headers), body))
        self.act(act)

    def act(self, act):
        if act == "deaf":
            self.server.released.wait()
        if act in ("deaf", "mute"):
            self.close_connection = True
            return
        word, _, number = act.partition(":")
        if word == "partial":
            rejected = {"rejectedLogRecords": number, "errorMessage": 'not "rejectedLogRecords":9'}
            self.answer(200, json.dumps({"partialSuccess": rejected}).encode())
        elif word in ("200", "201", "202", "204"):
            self.answer(int(word), b'{"partialSuccess":{}}' if word == "200" else b"")
        else:
            self.answer(int(word), b'{"code":3,"message":"as it \\"was\\" planned"}', number)

    def answer(self, status, body, retry_after=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status != 204:
            self.send_header("Content-Type", "application/json")
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)


class Receiver(http.server.ThreadingHTTPServer):
    """What it got is looked at when the run is over: it answers at once.

    requests: (when, act, resource, records, headers) of each that is valid; complaints about the others
    """
    daemon_threads = True

    def __init__(self, plan=(), path="/v1/logs", port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.plan, self.path, self.lock = list(plan), path, threading.Lock()
        self.taken, self.requests, self.complaints, self.released = [], [], [], threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_):
        """The other end may go away."""

    def next_act(self):
        with self.lock:
            return self.plan.pop(0) if self.plan else "200"

    def look(self):
        for when, act, path, headers, body in self.taken:
            try:
                need(path == self.path, f"path {path}")
                need(headers["Content-Type"] == "application/json", "Content-Type")
                need(headers["Content-Encoding"] == "gzip", "Content-Encoding")
                need(headers["User-Agent"].startswith("porttrace/"), "User-Agent")
                self.requests.append((when, act, *request_of(gzip.decompress(body)), headers))
            except (Refused, ValueError, KeyError, OSError) as e:
                self.complaints.append(f"{type(e).__name__}: {e}")
        self.taken = []

    @property
    def port(self):
        return self.server_address[1]

    def records(self, *acts):
        """Of the requests that were answered so (or of all)."""
        return [r for _, act, _, records, _ in self.requests if not acts or act.split(":")[0] in acts
                for r in records]

    def close(self):
        self.released.set()
        self.shutdown()
        self.server_close()


def main():
    """receiver.py [ACT...]: prints its port; when stdin ends, what it got, as JSON."""
    receiver = Receiver(sys.argv[1:])
    print(receiver.port, flush=True)
    sys.stdin.read()
    receiver.look()
    print(json.dumps({"complaints": receiver.complaints, "runs": sorted({r[2]["service.instance.id"] for r in receiver.requests}),
                      "sequences": sorted(r["attributes"]["porttrace.sequence"] for r in receiver.records())}))


if __name__ == "__main__":
    main()
