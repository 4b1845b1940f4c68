#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""made.py PORT: metrics of a machine in every trouble that an alert is about, with the names and labels of porttrace.

The other alerts fire for a real load; these need minutes, a NAT, or losses. Prints "NAME" of each family and serves.
"""
import http.server
import sys
import time

BEGIN = time.time()
LABELS = 'netns="1",container="c",comm="made",proto="tcp"'
# name and labels, at the start, each second
SERIES = [
    (f'porttrace_port_assignments_total{{{LABELS},op="connect",half="second"}}', 1000, 10),
    ('porttrace_port_search_seconds_bucket{netns="1",proto="tcp",op="connect",le="0.0003"}', 0, 0),
    ('porttrace_port_search_seconds_bucket{netns="1",proto="tcp",op="connect",le="0.001"}', 10, 10),
    ('porttrace_port_search_seconds_bucket{netns="1",proto="tcp",op="connect",le="+Inf"}', 10, 10),
    ('porttrace_port_search_seconds_sum{netns="1",proto="tcp",op="connect"}', 0.01, 0.005),
    ('porttrace_port_search_seconds_count{netns="1",proto="tcp",op="connect"}', 10, 10),
    ('porttrace_pool_used_ports{netns="1",container="c",proto="tcp",kind="bind",src="127.0.0.6"}', 60, 0),
    ('porttrace_pool_capacity_ports{netns="1",container="c",proto="tcp",kind="bind",src="127.0.0.6"}', 100, 0),
    ('porttrace_ephemeral_blocked_ports{netns="1",reason="bound"}', 11, 0),
    ('porttrace_ephemeral_range_ports{netns="1"}', 100, 0),
    ('porttrace_conntrack_insert_failed_total{netns="1"}', 5, 1),
    ('porttrace_sink_records_total{sink="file:/made",result="lost_queue"}', 3, 1),
    ('porttrace_events_lost_total', 7, 1),
]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        since = time.time() - BEGIN
        text = "".join(f"{name} {start + slope * since}\n" for name, start, slope in SERIES).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Page)
for family in sorted({name.split("{")[0].removesuffix("_total") for name, _, _ in SERIES}):
    print(family, flush=True)
print("READY", flush=True)
server.serve_forever()
