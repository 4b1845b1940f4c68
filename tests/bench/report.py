# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The figures of tests/bench/cost: what a load costs more with a tool than alone, and the tables of results.md."""
import json
import re

SPREAD_MAX = 0.3 # percent, between the runs of the load alone in one boot
KINDS = ("bind", "listen", "connect", "accept", "close")
LINES_TOLERANCE = 0.03 # what is left in a tool's buffer after a load
HEAD = """# What porttrace costs, beside its peers

Written by `make bench` (tests/bench/cost); not by hand. A figure is a number of instructions, kernel and user space, that the whole
machine executes **more** with the tool than without it: per cycle of the load, and in brackets per line that the tool wrote of it.
Virtual machine with one processor, QEMU's TCG with `-icount shift=0`: its clock counts instructions. So cache misses, interrupts
between processors and the like are not in it. What the tool has still to do after the load ended is in it; what it does when
nothing happens is not. All tools write to a file in memory.

"""
CYCLES = """A cycle: `connect` connect, accept, close both, with a reset; `listen` bind, listen, close; `refused` connect to a port that nobody
has, close; `udp` socket, send (and receive), close; each to 127.0.0.1 (4) or ::1 (6). `getppid`: a system call that no tracer of
sockets looks at.

"""


def cycles(run):
    """Counted cycles, of all the times that the load came in a row."""
    return int(run["load"].split()[2]) * run.get("of", 1)


def short(load):
    return " ".join(load.split()[:2]) if load.split()[0] != "getppid" else "getppid"


def total(run):
    """Instructions a cycle: while the load ran, and what was left to do after it."""
    return (run["ns"] + run["tail"]) / cycles(run)


def bare(result):
    """{load: [instructions a cycle, of each run without a tool]}"""
    found = {}
    for run in result["runs"]:
        if run["name"] == "bare" and "ns" in run:
            found.setdefault(run["load"], []).append(total(run))
    return found


def spreads(result):
    """{load: percent between the cheapest and the dearest run without a tool}"""
    return {load: (max(v) - min(v)) / min(v) * 100 for load, v in bare(result).items()}


def said(result, name, load):
    """What the tool wrote of losses and at its end, of this run."""
    start = f"{name}|{load}|"
    return [line[len(start):] for line in result["said"] if line.startswith(start)]


def recorded(lines):
    return next((int(line.split()[1]) for line in lines if line.startswith("recorded ")), None)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def costs(result):
    """{(name, load): {added: instructions a cycle; tax: the same, but only while the load ran; run: the numbers}}"""
    found = {}
    alone = {load: mean(v) for load, v in bare(result).items()}
    quick = {load: mean(r["ns"] for r in result["runs"] if r["name"] == "bare" and r["load"] == load and "ns" in r) for load in alone}
    for run in result["runs"]:
        if run["load"] in alone and run["name"] not in ("bare", "warm-up") and "ns" in run:
            found[run["name"], run["load"]] = {"added": total(run) - alone[run["load"]], "run": run,
                                               "tax": (run["ns"] - quick[run["load"]]) / cycles(run)}
    give_recordings_their_lines(result, found)
    return found


def give_recordings_their_lines(result, found):
    """A recording is counted when it is over: if it then holds as many events as JSON Lines told of, each load made as many."""
    for name in {name for name, _ in found if name.endswith("recording")}:
        json_name = name.replace("recording", "JSON")
        loads = [load for n, load in found if n == name]
        shown = {load: found[json_name, load]["run"]["shown"] for load in loads if (json_name, load) in found}
        held = [int(line.split()[-1]) for line in result["said"] if line.startswith(name + "|") and "|recorded " in line]
        if held and sum(held) == sum(shown.values()):
            for load in loads:
                found[name, load]["run"]["shown"] = shown[load]


def lines_a_cycle(run):
    n = run["shown"] / run["all_cycles"]
    return round(n) if abs(n - round(n)) < LINES_TOLERANCE else n


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n\n"


README_TOOLS = ("porttrace: table", "porttrace: JSON", "porttrace: JSON, -p 1 (nothing matches)", "libbpf-tools tcptracer", "libbpf-tools tcplife", "bpftrace tcpaccept.bt",
                "bcc tcptracer", "strace -f --seccomp-bpf", "perf trace", "conntrack -E")


# ---- what was to be reached ----

def a_line(result, name):
    """Instructions a line of connect + accept + close, IPv4, in this boot."""
    cost = next((c for (n, load), c in costs(result).items() if n == name and load.startswith("connect 4")), None)
    lines = lines_a_cycle(cost["run"]) if cost else 0
    return cost["added"] / lines if lines > 0.05 else None


def times_cheaper(results):
    """(the smallest ratio of a peer's line to one of porttrace's table in the same boot, that peer)"""
    found = []
    for result in results:
        ours = a_line(result, "porttrace: table")
        for name in {r["name"] for r in result["runs"]}:
            theirs = None if name.startswith("porttrace") else a_line(result, name)
            if ours and theirs:
                found.append((theirs / ours, name))
    return min(found, default=None)


def filtered_share(result):
    added = {n: c["added"] for (n, load), c in costs(result).items() if load.startswith("connect 4")}
    whole, none = added.get("porttrace: JSON"), added.get("porttrace: JSON, -p 1 (nothing matches)")
    return none / whole * 100 if whole and none else None


def native_cells(fragments, start):
    """The numbers behind the first cell of the first row of a native table that begins so."""
    for line in "".join(fragments).split("\n"):
        if line.startswith(f"| {start}"):
            return [float(cell) for cell in line.split("|")[2:] if re.fullmatch(r" *[0-9.]+ *", cell)]
    return []


def at_most(what, value, most, unit=""):
    return what, f"at most {most:,}{unit}", None if value is None else f"{value:,.4g}{unit}" if value < 1000 else f"{value:,.0f}{unit}", \
        None if value is None else value <= most


def at_least(what, value, least, unit=""):
    _, _, said, _ = at_most(what, value, least, unit)
    return what, f"at least {least:,}{unit}", said, None if value is None else value >= least


def cheaper_line(where, results, least):
    found = times_cheaper(results)
    what = f"a line of the table, beside that of each peer in the same boot, {where}"
    line = at_least(what, found and found[0], least, "x cheaper")
    return (*line[:2], found and f"{line[2]} ({found[1]})", line[3])


def loss_lines(results, tools):
    rows = [r for result in results if result["group"] == "loss" for r in loss_rows(result, tools)]
    usual = [r for r in rows if r[0] in ("porttrace: table", "porttrace: JSON")]
    for p in ("2", "8", "32"):
        lost = [int(r[5].replace(",", "")) for r in usual if r[1] == p]
        yield at_most(f"lost of a load of {p} processes on one processor, table and JSON", max(lost, default=None), 0)
    silent = [abs(int(r[6].replace(",", ""))) for r in rows]
    yield at_most("lost in silence, all rings from one page up", max(silent, default=None), 0)


def start_lines(results, fragments):
    runs = [r for result in results if result["group"] == "start" for r in result["runs"] if r["name"] == "porttrace: table" and "first" in r]
    kinds = [max(r[w] for w in KINDS) / 1000 for r in runs if all(w in r for w in KINDS)]
    yield at_most("first line after exec(), tracing, 6.1", runs[0]["first"] / 1000 if runs else None, 30, " ms")
    yield at_most("all kinds seen, tracing, 6.1", kinds[0] if kinds else None, 130, " ms")
    native = native_cells(fragments, "first line |")
    yield at_most("first line after exec(), cgroup backend, natively (median)", native[1] if len(native) > 1 else None, 50, " ms")


def memory_lines(results, fragments):
    peaks = [r["hwm"] for result in results if result["group"] == "tracing" for r in result["runs"]
             if r["name"] in ("porttrace: table", "porttrace: JSON") and r.get("hwm")]
    yield at_most("peak memory, plain tracing, the mapped ring with it", max(peaks) * 1024 / 1e6 if peaks else None, 4, " MB")
    sinks = native_cells(fragments, "50000 sockets, all seven sinks, 10 s later |")
    yield at_most("peak memory with 50,000 sockets in the ledger and seven sinks, natively", sinks[0] if sinks else None, 25, " MB")


def acceptance(results, tools, fragments):
    """(what, the line, the figure or None, whether it is met) of each line that was set before."""
    of = {result["group"]: result for result in results}
    first, new = of.get("tracing"), of.get("newest")
    yield at_most("JSON, instructions an event, 6.1", first and a_line(first, "porttrace: JSON"), 2600)
    yield at_most("table, instructions an event, 6.1", first and a_line(first, "porttrace: table"), 2200)
    yield cheaper_line("6.1", [r for r in results if r is not new], 8)
    yield cheaper_line("the newest kernel (mode X)", [new] if new else [], 5)
    for where, result in (("6.1", first), ("the newest kernel", new)):
        yield at_most(f"a filter that matches nothing (-p 1), of the cost of JSON unfiltered, {where}", result and filtered_share(result), 10, " %")
    yield from loss_lines(results, tools)
    yield from start_lines(results, fragments)
    yield from memory_lines(results, fragments)
    for way, least in (("JSON Lines", 3), ("table", 2)):
        cells = native_cells(fragments, way + " |")
        yield at_least(f"replay to {way} on /dev/null, natively", cells[0] if cells else None, least, " million events/s")
    ratio = native_cells(fragments, "connect, accept, close both |")
    yield at_most("CPU time of the traced program, cgroup backend, natively (median of the pairs)", ratio[1] if len(ratio) > 1 else None, 1.12)


def acceptance_table(results, tools, fragments):
    words = {None: "not measured", True: "met", False: "**missed**"}
    return table(["", "line", "figure", ""], [[what, line, figure or "-", words[met]] for what, line, figure, met in acceptance(results, tools, fragments)])


def acceptance_section(results, tools, fragments, tried):
    return "## Lines that are missed\n\nAll lines that were set before, and the figures of this file:\n\n" + acceptance_table(
        results, tools, fragments) + tried


# ---- the tables ----

def cost_cell(cost):
    if cost is None:
        return "not measured"
    n = lines_a_cycle(cost["run"])
    return f"{cost['added']:,.0f}" + (f" ({cost['added'] / n:,.0f})" if n > 0.05 else "")


def cost_rows(result):
    found, loads = costs(result), list(bare(result))
    taxed = next((l for l in loads if l.startswith("getppid")), None)
    for name in dict.fromkeys(name for name, _ in found):
        tax = found.get((name, taxed))
        yield [name, *(cost_cell(found.get((name, l))) for l in loads if l != taxed), f"{tax['tax']:+.1f}" if tax else "not measured"]


def alone_row(result):
    """The loads alone; of each column whose runs differ too much, that it is void."""
    cells = []
    for load, values in bare(result).items():
        spread = spreads(result)[load]
        cells.append(f"{mean(values):,.0f} ±{spread / 2:.2f} %" + (" **void**" if spread > SPREAD_MAX else ""))
    return [f"*the load alone, boot \"{result['group']}\"*", *cells]


def cost_section(results):
    measured = [result for result in results if bare(result)]
    good = all(spread <= SPREAD_MAX for result in measured for spread in spreads(result).values())
    if not measured:
        return "", good
    rows = [row for result in measured for row in (alone_row(result), *cost_rows(result))]
    end = (f"The figures below a load that alone spreads by more than {SPREAD_MAX} % between its runs in that boot are void."
           + ("" if good else " There are some: **this run does not count as a proof**, it has to be made again.") + "\n\n")
    return "## Added instructions a cycle (and a line)\n\n" + CYCLES + table(["", *map(short, bare(measured[0]))], rows) + end, good


def memory_section(results):
    rows = []
    for result in filter(bare, results):
        for name in dict.fromkeys(r["name"] for r in result["runs"] if r.get("rss") and r["load"].startswith("connect 4")):
            run = next(r for r in result["runs"] if r["name"] == name and r.get("rss"))
            rows.append([name, *(f"{run[k]:,}" if k in run else "not measured" for k in ("rss", "hwm", "pss", "maps"))])
    if not rows:
        return ""
    return ("## Memory after the first load, KiB\n\n" + table(["", "resident", "peak", "Pss, with the mapped ring", "BPF maps"], rows)
            + "Maps as the kernel counts them; 6.1 does not count rings.\n\n")


def size_section(results):
    found = {what: size for result in results for what, size in result.get("sizes", {}).items()}
    rows = [[what, f"{kib / 1024:,.1f}", n] for what, (kib, n) in sorted(found.items(), key=lambda i: i[1][0])]
    if not rows:
        return ""
    return ("## Installed size, MiB: with all that it needs beside what each Debian system has\n\n" + table(["", "MiB", "packages"], rows)
            + "Of porttrace the stripped binary, and the packages of its libraries. bcc needs the kernel's headers too.\n\n")


def overview_rows(results, tools):
    """One row a tool: of each boot what it is for."""
    for result in filter(bare, results):
        same = [r for r in results if r["release"] == result["release"]] # on another kernel it is another figure
        starts = {r["name"]: r for s in same if s["group"] == "start" for r in s["runs"] if "first" in r}
        lost = {(row[0], row[1]): row for s in same if s["group"].startswith("loss") for row in loss_rows(s, tools)}
        found = costs(result)
        ours = next((c for (name, load), c in found.items() if name == "porttrace: table" and load.startswith("connect 4")), None)
        for (name, load), cost in found.items():
            if load.startswith("connect 4"):
                yield [f"{name}, boot \"{result['group']}\"", f"{cost['added']:,.0f}", *per_line(cost, ours), *lost_cells(lost, name),
                       *start_cells(starts.get(name, {})),
                       f"{cost['run'].get('hwm', 0):,}"]


def start_cells(run):
    """The first line; and all kinds, which is the last of their words."""
    kinds = [run[w] for w in KINDS if w in run]
    return [f"{run['first'] / 1000:,.0f}" if run else "-", f"{max(kinds) / 1000:,.0f}" if len(kinds) == len(KINDS) else "-"]


def per_line(cost, ours):
    """Instructions a line, and how many times that of porttrace's table in the same boot."""
    lines = [lines_a_cycle(c["run"]) if c else 0 for c in (cost, ours)]
    if lines[0] < 0.05:
        return ["-", "-"]
    each = cost["added"] / lines[0]
    return [f"{each:,.0f}", f"{each / (ours['added'] / lines[1]):.1f}" if lines[1] > 0.05 else "-"]


def lost_cells(lost, name):
    return [f"{lost[name, p][4]} ({lost[name, p][6]})" if (name, p) in lost else "-" for p in ("2", "8", "32")]


def overview_section(results, tools):
    rows = list(overview_rows(results, tools))
    if not rows:
        return ""
    head = ["connect + accept + close, IPv4", "added instructions a cycle", "a line", "times porttrace's table", "not shown at P = 2 (in silence)", "P = 8",
            "P = 32", "first line, ms", "all kinds, ms", "peak memory, KiB"]
    return "## Overview\n\n" + table(head, rows) + "Each column from its part below, where it is explained.\n\n"


def lost_reported(lines):
    """The sum of what a tool says it has lost: porttrace in its closing line, the others each time anew."""
    text = "\n".join(l for l in lines if not l.startswith(("end:", "line:")))
    closing = re.findall(r"(\d+) lost", text)
    if closing:
        return int(closing[-1])
    return sum(int(n) for n in re.findall(r"[Ll]ost (\d+)", text))


def generated(run, per_cycle, is_ours):
    """By the load's own count. porttrace shows the preparation too, which is two events and a close."""
    if is_ours:
        return run["bind"] + run["listen"] + run["connect"] + run["accept"] + run["close"]
    return per_cycle * run["all_cycles"]


def loss_rows(result, tools):
    for tool in tools:
        for run in (r for r in result["runs"] if r["name"] == tool["name"] and "ns" in r):
            lines = said(result, run["name"], run["load"])
            made = generated(run, tool["per_cycle"], run["name"].startswith("porttrace"))
            shown = recorded(lines)
            shown = run["shown"] - tool["header"] if shown is None else shown
            lost = lost_reported(lines)
            silent = made - shown - lost
            yield [run["name"], run["load"].split()[3], f"{made:,}", f"{shown:,}", f"{(made - shown) / made * 100:.1f} %", f"{lost:,}", f"{silent:,}"]


def loss_section(results, tools):
    rows = [row for result in results if result["group"].startswith("loss") for row in loss_rows(result, tools)]
    if not rows:
        return ""
    return ("## Loss: P processes connect as fast as they can, beside the tool, on one processor\n\n"
            + table(["", "P", "generated", "shown", "not shown", "lost as reported", "lost in silence"], rows)
            + "Generated: by the load's own count; for a peer, the lines it writes of an unhurried cycle times the cycles. Below zero: "
            "it has reported more than there was.\n\n")


def program_rows(result):
    for line in result["programs"]:
        name, load, text = line.split("|", 2)
        run = next((r for r in result["runs"] if (r["name"], r["load"]) == (name, load)), None)
        for p in sorted(json.loads(text), key=lambda p: -p.get("run_time_ns", 0)):
            if run and p.get("run_cnt", 0) > run["all_cycles"] / 10:
                n = run["all_cycles"]
                yield [name, short(load), p["name"], p["type"], f"{p['run_cnt'] / n:.2f}", f"{p['run_time_ns'] / p['run_cnt']:,.0f}",
                       f"{p['run_time_ns'] / n:,.0f}"]


def program_section(results):
    rows = [row for result in results if result["group"] == "programs" for row in program_rows(result)]
    if not rows:
        return ""
    return ("## porttrace's BPF programs, by the kernel's count (kernel.bpf_stats_enabled)\n\n"
            + table(["", "load", "program", "type", "runs a cycle", "instructions a run", "instructions a cycle"], rows)
            + "The count itself is in it; what it costs to get into a program (the probe) is not.\n\n")


def start_section(results):
    words = ("first", *KINDS)
    rows = []
    for result in results:
        for run in result["runs"]:
            if run["load"] == "start":
                rows.append([run["name"], *(f"{run[w] / 1000:,.0f}" if w in run else "-" for w in words)])
    if not rows:
        return ""
    return ("## Start: from exec() until a line can be read on a terminal, in ms of the machine's clock\n\n"
            + table(["", "first line", *(f"first \"{w}\"" for w in words[1:])], rows)
            + "A program binds, listens, connects, accepts and closes each millisecond. A tool that does not write those words has only a first line.\n\n")


def missing_section(results, tools, groups):
    """What is not in the tables, and why."""
    lines = []
    present = {r["group"] for r in results}
    for result in results:
        lines += [f"* {m}" for m in result["missing"]]
        lines += [f"* {r['name']}: {r['failed']}" + "".join(f" ({w[4:]})" for w in said(result, r["name"], r["load"])
                                                            if w.startswith("end:")) for r in result["runs"] if "failed" in r]
        if result["status"]:
            lines.append(f"* {result['group']}: the machine ended with {result['status']}; what came before is shown")
    lines += [f"* {g}: the whole group; it was left out of this run (`make bench BENCH={g}`)" for g in groups if g not in present]
    run = {r["name"] for result in results for r in result["runs"]}
    lines += [f"* {t['name']}: left out of this run, though others of its group were in it" for t in tools
              if t["group"] in present and t["name"] not in run]
    with_reasons = open_reasons()
    return "## Not measured\n\n" + "\n".join([*dict.fromkeys(lines), *with_reasons]) + "\n"


def open_reasons():
    return ["* Other kernels than the one named above, more than one processor (an emulator that counts instructions has one), and real time.",
            "* Lines that a tool of libbpf-tools still has in its buffer after a load: up to 60 of them count for the next load."]


def about(results):
    rows = []
    for result in results:
        packages = ", ".join(f"{k} {v}" for k, v in sorted(result["packages"].items())) or "-"
        rows.append([result["group"], result["date"], result["release"], result["version"], result["qemu"], packages])
    said = "" if len({row[3] for row in rows}) < 2 else (
        "Not all boots were of the same porttrace: a figure is that of the version of its boot.\n\n")
    return table(["boot", "date", "kernel", "porttrace", "emulator", "peers"], rows) + said


def readme(results, tools, fragments):
    """The small table of README: some rows and columns of the overview."""
    rows, taken = [], set()
    for row in overview_rows(results, tools):
        name = row[0].split(", boot ")[0]
        if name in README_TOOLS and name not in taken:
            taken.add(name)
            rows.append([name, row[1], row[2], *row[4:10]])
    peers = table(["connect + accept + close, IPv4", "added instructions a cycle", "a line", "not shown at P = 2 (in silence)", "P = 8", "P = 32",
                   "first line, ms", "all kinds, ms", "peak memory, KiB"], sorted(rows, key=lambda r: README_TOOLS.index(r[0])))
    return peers + "What was to be reached, and what is:\n\n" + acceptance_table(results, tools, fragments)


def text(results, tools, groups, fragments=(), tried=""):
    """The whole file, and whether no boot is void. fragments: what was measured without a virtual machine; tried: missed.md."""
    cost, good = cost_section(results)
    parts = [HEAD, about(results), overview_section(results, tools), cost, loss_section(results, tools), program_section(results), start_section(results), memory_section(results),
             size_section(results), *fragments, acceptance_section(results, tools, fragments, tried), missing_section(results, tools, groups)]
    return "".join(parts), good
