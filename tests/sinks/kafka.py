#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The sink kafka: against the cluster that librdkafka has for tests (kafka.c), read back by kcat.

    tests/sinks/kafka.py [TEST...]
"""

import json
import os
import shutil
import subprocess
import sys

import drive
from drive import Drive, verdict

# error codes of the protocol
REQUEST_TIMED_OUT, NOT_LEADER, NOT_ENOUGH_REPLICAS, TOPIC_DENIED, CLUSTER_DENIED, OUT_OF_ORDER = 7, 6, 19, 29, 31, 45


class Cluster:
    def __init__(self):
        self.process = subprocess.Popen([os.path.join(drive.BUILD, "tests/sinks-kafka")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.brokers = self.process.stdout.readline().strip()
        self.tell("topic porttrace 4")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise RuntimeError(f"{line}: {answer}")

    def uri(self, params=""):
        return f"kafka:{self.brokers.split(',')[0]}/porttrace{params}"

    def messages(self):
        """(key, partition, text) of all there are, in the order of each partition."""
        r = subprocess.run(["kcat", "-C", "-q", "-b", self.brokers, "-t", "porttrace", "-o", "beginning", "-e", "-f",
                            "%k\t%p\t%s\n"], stdout=subprocess.PIPE, text=True, timeout=drive.PATIENCE_S, check=True)
        return [line.split("\t", 2) for line in r.stdout.split("\n") if line]

    def close(self):
        self.process.stdin.close()
        self.process.wait(drive.PATIENCE_S)


def compare(run, cluster):
    """None twice, in order, each as it was generated; what was delivered is there, and what is there was generated."""
    got = cluster.messages()
    texts = [text for _, _, text in got]
    generated = set(run.lines)
    twice = len(texts) - len(set(texts))
    sequences = [json.loads(text)["event"]["sequence"] for text in texts]
    if twice:
        run.problems.append(f"{twice} messages are there twice")
    if sequences != sorted(sequences):
        run.problems.append("not in their order")
    if not set(texts) <= generated:
        run.problems.append(f"not generated: {next(t for t in texts if t not in generated)}")
    if {key for key, _, _ in got} - {"web-1"} or len({partition for _, partition, _ in got}) > 1:
        run.problems.append("a key that is not the host, or many partitions")
    # a record of which no answer came is counted as lost, and may be there
    if not run.account["delivered"] <= len(texts) <= run.account["delivered"] + run.account["lost_sink"]:
        run.problems.append(f"{len(texts)} messages are there, the account is {run.account}")


def test_healthy(cluster):
    run = Drive("-n", 3000, "-r", 20000, uris=[cluster.uri()]).end()
    run.expect_no_loss()
    return run


def test_errors_that_pass(cluster):
    for error in NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT, NOT_LEADER:
        cluster.tell(f"fail 2 {error}")
    run = Drive("-n", 3000, "-r", 5000, uris=[cluster.uri()]).end()
    run.expect_no_loss()
    return run


def test_refused(cluster):
    cluster.tell(f"fail 1 {TOPIC_DENIED}")
    run = Drive("-n", 2000, "-r", 2000, uris=[cluster.uri()]).end()
    run.expect_loss()
    run.expect_said("Topic authorization failed")
    run.expect_said("works")
    return run


def test_broken_producer(cluster):
    """One that is not let in is fatal to librdkafka's producer: porttrace makes another."""
    cluster.tell(f"init 1 {CLUSTER_DENIED}")
    run = Drive("-n", 2000, "-r", 2000, uris=[cluster.uri()]).end()
    run.expect_said("uthorization failed")
    run.expect_said("works")
    if not run.account["delivered"]:
        run.problems.append("nothing was delivered after it")
    return run


def test_slow_acknowledgements(cluster):
    cluster.tell("rtt 1500")
    run = Drive("-n", 3000, "-r", 3000, uris=[cluster.uri()]).end()
    cluster.tell("rtt 0")
    run.expect_no_loss()
    return run


def test_down_and_back(cluster):
    run = Drive("-n", 4000, "-r", 1000, "-q", 4096, uris=[cluster.uri()])
    drive.until("some messages", lambda: len(cluster.messages()) > 300)
    cluster.tell("down")
    run.await_said("kafka:")
    cluster.tell("up")
    run.end()
    run.expect_no_loss()
    return run


def test_down_too_long(cluster):
    """More than its queue and librdkafka's hold: the oldest are lost, and counted; then it goes on."""
    params = "?rdkafka.queue.buffering.max.messages=500"
    run = Drive("-n", 6000, "-r", 2000, "-q", 500, "-w", uris=[cluster.uri(params)])
    drive.until("some messages", lambda: len(cluster.messages()) > 300)
    cluster.tell("down")
    run.await_said("given")
    cluster.tell("up")
    run.await_said("works")
    run.go_on()
    run.end()
    if not run.account["lost_queue"]:
        run.problems.append("its queue has lost nothing")
    return run


def test_away_at_the_end(cluster):
    cluster.tell("down")
    run = Drive("-n", 1000, "-w", "-f", 2000, uris=[cluster.uri()])
    run.await_said("given")
    run.await_said("kafka:")
    run.terminate()
    run.end()
    cluster.tell("up")
    if run.account["lost_sink"] != run.generated:
        run.problems.append(f"delivered to nobody: {run.account}")
    return run


def test_hanging(cluster):
    """Answers come after 30 s, so not in this run: the file beside it gets all, and each record is counted."""
    cluster.tell("rtt 30000")
    run = Drive("-n", 20000, "-r", 10000, "-f", 1000, "-w", uris=[cluster.uri()])
    run.await_said("given")
    run.terminate()
    run.end()
    cluster.tell("rtt 0")
    run.expect_loss()
    return run


def test_parameters(cluster):
    problems = []
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"porttrace-kafka-{os.getpid()}")
    for uri, text in ((cluster.uri("?rdkafka.no.such=1"), "librdkafka does not know 'no.such'"),
                      (cluster.uri("?rdkafka.linger.ms=x"), "does not take this value of 'linger.ms'"),
                      (cluster.uri("?rdkafka.sasl.password=x"), "into a file"),
                      (cluster.uri(f"?config={path}"), "cannot read"),
                      (cluster.uri("?acks=1"), "unknown parameter 'acks' of kafka:"),
                      ("kafka:host:9092", "needs brokers and a topic"), ("kafka:/topic", "needs brokers and a topic"),
                      ("kafka:host/a b", "needs brokers and a topic")):
        r = subprocess.run([os.path.join(drive.BUILD, "tests/sinks-drive"), uri], stderr=subprocess.PIPE, text=True,
                           timeout=drive.PATIENCE_S)
        if r.returncode != 1 or text not in r.stderr:
            problems.append(f"{uri}: {r.returncode} {r.stderr.strip()}")
    with open(path, "w", encoding="utf-8") as f:
        f.write("# comment\n\nlinger.ms = 5\r\ncompression.codec=none\nclient.id=a=b\n")
    run = Drive("-n", 100, uris=[cluster.uri(f"?config={path}")]).end()
    os.unlink(path)
    run.expect_no_loss()
    run.problems += problems
    return run


TESTS = {name[5:]: test for name, test in list(globals().items()) if name.startswith("test_")}


def main():
    why = drive.why_not("kafka:127.0.0.1:1/none") or ("" if shutil.which("kcat") else "kcat is not installed")
    if why:
        print(f"skip - kafka: {why}")
        return 0
    if not sys.argv[1:]:
        return drive.run_all(__file__, TESTS)
    for name in sys.argv[1:]:
        cluster = Cluster()
        try:
            run = TESTS[name](cluster)
            compare(run, cluster)
            verdict("kafka/" + name.replace("_", "-"), run.problems)
        except (TimeoutError, RuntimeError, subprocess.SubprocessError) as e:
            verdict("kafka/" + name.replace("_", "-"), [e])
        cluster.close()
    return 1 if drive.failed else 0


if __name__ == "__main__":
    sys.exit(main())
