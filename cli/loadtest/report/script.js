// Draws the report from the result that the page carries. Text reaches the page
// as text nodes only, so that no name in a result can be markup.
(() => {
  "use strict";
  const root = document.documentElement;
  addEventListener("error", (event) => { root.dataset.error = event.message; });

  const source = document.getElementById("result").textContent;
  const r = JSON.parse(source);

  // ---- words and numbers
  const trimmed = (v) => String(Number(v.toPrecision(3)));
  const ms = (v) => v == null ? "–" : v === 0 ? "0 ms" : v < 1 ? `${Math.round(v * 1000)} µs` : v < 10 ? `${v.toFixed(2)} ms`
    : v < 100 ? `${v.toFixed(1)} ms` : v < 1000 ? `${Math.round(v)} ms` : `${(v / 1000).toFixed(2)} s`;
  const msTick = (v) => v >= 1000 ? `${trimmed(v / 1000)} s` : v >= 1 || v === 0 ? `${trimmed(v)} ms` : `${trimmed(v * 1000)} µs`;
  const count = (v) => v == null ? "–"
    : v.toLocaleString("en-US", { maximumFractionDigits: Math.abs(v) < 10 ? 2 : Math.abs(v) < 1000 ? 1 : 0 });
  const short = (v) => Math.abs(v) >= 1e6 ? `${trimmed(v / 1e6)}M` : Math.abs(v) >= 1e4 ? `${trimmed(v / 1e3)}k` : count(v);
  const percent = (v) => `${trimmed(v * 100)} %`;
  const bytes = (v) => {
    let unit = 0;
    for (; v >= 1024 && unit < 4; ++unit) v /= 1024;
    return `${unit ? v.toFixed(1) : v} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
  };
  const clock = (s) => {
    if (s < 120) return `${trimmed(s)} s`;
    const whole = Math.round(s), two = (n) => String(n).padStart(2, "0");
    return (whole >= 3600 ? `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}` : Math.floor(whole / 60)) + `:${two(whole % 60)}`;
  };

  // ---- building the page
  const node = (name, style, ...children) => {
    const made = document.createElement(name);
    if (style) made.className = style;
    made.append(...children.filter((child) => child != null));
    return made;
  };
  const page = document.getElementById("page");
  const heading = (text) => page.append(node("h2", "", text));
  const row = (cell, styles, values) =>
    node("tr", "", ...values.map((value, i) => node(i === 0 && cell === "td" ? "th" : cell, styles[i] || "", value)));
  const table = (styles, head, rows) => node("div", "scroll", node("table", "",
    head ? node("thead", "", row("th", styles, head)) : null,
    node("tbody", "", ...rows.map((values) => row("td", styles, values)))));
  const tableCard = (title, styles, head, rows) => node("section", "card", title ? node("h3", "", title) : null, table(styles, head, rows));
  const facts = (title, pairs) => {
    const card = tableCard(title, [], null, pairs.filter(([, value]) => value != null && value !== ""));
    card.classList.add("facts");
    return card;
  };

  // ---- verdict
  const boundBy = { generator_bound: "generator-bound", network_bound: "network-bound" };
  const verdict = () => {
    const failed = r.thresholds.filter((t) => !t.ok).length;
    const notes = [];
    let kind = "good", title = `Passed: ${r.thresholds.length === 1 ? "the threshold is" : r.thresholds.length === 2 ? "both thresholds are" : `all ${r.thresholds.length} thresholds are`} met`;
    if (r.generator.verdict !== "valid") {
      kind = "bad";
      title = `Not valid: the measurement is ${boundBy[r.generator.verdict] || r.generator.verdict}`;
      notes.push("These figures are the generator's limit, not the target's; they say nothing about its capacity.");
    } else if (r.requests === 0) {
      kind = "bad";
      title = "Nothing was measured";
    } else if (failed || r.aborted_by) {
      kind = "bad";
      title = failed ? `Failed: ${failed} of ${r.thresholds.length} thresholds not met` : "Failed: ended early by a threshold";
    } else if (r.interrupted) {
      kind = "warn";
      title = "Interrupted before the end";
    } else if (r.thresholds.length === 0) {
      kind = "plain";
      title = "Valid measurement, no thresholds set";
    }
    if (r.interrupted) notes.push("The run was interrupted; this is what was measured until then.");
    if (r.aborted_by) notes.push(`Ended early by the threshold ${r.aborted_by}.`);
    if (r.rate && !r.rate.met)
      notes.push(`The rate was not met: ${count(r.rate.asked)}/s asked, ${count(r.rate.sent)}/s sent, ${count(r.rate.unsent)} left unsent.`);
    if (r.rate && !r.rate.met && (kind === "good" || kind === "plain")) {
      kind = "warn";
      title += ", but the rate was not";
      if (r.thresholds.length === 0) title = "The asked rate was not met";
    }
    notes.push(...r.generator.reasons);
    if (r.watch.first_saturated) notes.push(`First saturated: ${r.watch.first_saturated}.`);
    if (r.watch.drain_s != null) notes.push(`Drained ${clock(r.watch.drain_s)} after the load ended.`);
    const box = node("section", `verdict ${kind}`, node("strong", kind, title),
      notes.length ? node("ul", "", ...notes.map((note) => node("li", "", note))) : null);
    box.id = "verdict";
    return box;
  };

  const thresholdValue = (t) => {
    const metric = t.expr.split(/[<>={]/)[0].trim();
    if (metric === "error_rate" || metric === "checks") return percent(t.value);
    return ["rps", "requests", "errors"].includes(metric) ? count(t.value) : ms(t.value);
  };

  page.append(
    node("h1", "", r.scenario || "Load test"),
    node("p", "muted", `${r.target} · ${count(r.users)} users · ${clock(r.duration_s)} · ${r.started_at.replace("T", " ").replace("Z", " UTC")}`),
    verdict());
  if (r.thresholds.length) {
    const card = tableCard("", ["", "", "number"], ["Threshold", "", "Measured"], r.thresholds.map((t) =>
      [node("code", "", t.expr), node("span", t.ok ? "good" : "bad", t.ok ? "✓ met" : "✗ not met"), thresholdValue(t)]));
    card.style.marginTop = "14px";
    page.append(card);
  }

  const response = r.latency_ms.response, service = r.latency_ms.service;
  page.append(node("div", "tiles", ...[
    [r.requests < 1e7 ? count(r.requests) : short(r.requests), "requests"], [`${count(r.rps)}/s`, "throughput"],
    [ms(response.p50), "response p50"], [ms(response.p95), "response p95"], [ms(response.p99), "response p99"],
    [ms(response.max), "response max"],
    [node("span", r.errors.total ? "bad" : "good", count(r.errors.total)), `errors (${percent(r.errors.rate)})`],
  ].map(([value, label]) => node("div", "tile card", node("b", "", value), node("span", "", label)))));
  for (const colored of page.querySelectorAll(".tile b span")) colored.style.cssText = "font-size:inherit;color:inherit";
  for (const colored of page.querySelectorAll(".tile b")) if (colored.querySelector(".bad")) colored.classList.add("bad");

  // ---- charts
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const palette = ["--s1", "--s2", "--s3", "--s4", "--s5", "--s6"];
  const charts = [];  // {holder, make, plot, timed}
  const timeline = r.timeline;
  const loadEnds = timeline.length ? timeline[timeline.length - 1].t_s : 0;
  const watched = r.watch.series.filter((one) => one.points.length);
  const timeEnds = Math.max(loadEnds, ...watched.map((one) => one.points[one.points.length - 1][0]));

  const seconds = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

  const powers = (from, to, steps) => {
    const out = [];
    for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); ++power)
      for (const step of steps) if (step * 10 ** power >= from * 0.999 && step * 10 ** power <= to * 1.001) out.push(step * 10 ** power);
    return out;
  };
  // Stalls make a latency chart unreadable on a linear axis.
  const latencyScale = (values, from) => {
    const real = values.flat().filter((v) => v > 0).sort((a, b) => a - b);
    if (!real.length) return { scale: { range: [0, 1] }, log: false };
    const top = real[real.length - 1];
    if (top > 20 * real[Math.floor(real.length / 2)]) {
      const low = real[0] * 0.8, high = top * 1.3;
      const splits = powers(low, high, high / low > 1e3 ? [1] : [1, 2, 5]);
      return { scale: { distr: 3, log: 10, range: [low, high] }, log: true, splits: () => splits };
    }
    return { scale: { range: [from, top * 1.08] }, log: false };
  };

  // Lines across a chart, with words: limits and the end of the load.
  const marks = (list) => (u) => {
    const { ctx, bbox } = u, dpr = devicePixelRatio || 1;
    ctx.save();
    ctx.font = `${11 * dpr}px system-ui, sans-serif`;
    ctx.setLineDash([4 * dpr, 4 * dpr]);
    ctx.lineWidth = dpr;
    for (const mark of list) {
      const upright = mark.x != null, scale = u.scales[upright ? "x" : "y"], at = upright ? mark.x : mark.y;
      if (!(at > scale.min && at < scale.max)) continue;
      const place = u.valToPos(at, upright ? "x" : "y", true);
      ctx.strokeStyle = ctx.fillStyle = color(mark.color);
      ctx.beginPath();
      if (upright) { ctx.moveTo(place, bbox.top); ctx.lineTo(place, bbox.top + bbox.height); }
      else { ctx.moveTo(bbox.left, place); ctx.lineTo(bbox.left + bbox.width, place); }
      ctx.stroke();
      ctx.textBaseline = "bottom";
      ctx.textAlign = upright ? "left" : "right";
      if (upright) ctx.fillText(mark.text, place + 5 * dpr, bbox.top + 14 * dpr);
      else ctx.fillText(mark.text, bbox.left + bbox.width - 4 * dpr, place - 3 * dpr);
    }
    ctx.restore();
  };

  // All charts with time under them show the same stretch of it.
  const sameTime = (u, key) => {
    if (key !== "x") return;
    const { min, max } = u.scales.x;
    for (const other of charts)
      if (other.timed && other.plot && other.plot !== u && (other.plot.scales.x.min !== min || other.plot.scales.x.max !== max))
        other.plot.setScale("x", { min, max });
  };

  const addChart = (into, { title, note, data, series, y, tick, value, timed = true, x, lines = [], height = 220, wide }) => {
    const holder = node("div", "plot");
    into.append(node("section", wide ? "card chart wide" : "card chart", node("h3", "", title), node("p", "note", note || ""), holder));
    const axis = (more) => ({ stroke: () => color("--muted"), grid: { stroke: () => color("--grid"), width: 1 },
      ticks: { stroke: () => color("--line"), width: 1, size: 5 }, font: "12px system-ui, sans-serif", ...more });
    const first = data[0][0], last = data[0][data[0].length - 1];
    const make = () => new uPlot({
      width: Math.max(260, holder.clientWidth), height,
      scales: { x: timed ? { time: false, range: (u, low, high) => low === first && high === last ? [0, timeEnds] : [low, high] } : x.scale, y: y.scale },
      series: [timed ? { label: "at", value: (u, v) => v == null ? "" : clock(v) } : { label: "at", value: x.value },
        ...series.map((one, i) => ({
          label: one.label, stroke: color(one.color || palette[i % palette.length]), width: one.bars ? 0 : data[0].length > 600 ? 1 : 1.75, dash: one.dash, spanGaps: true,
          fill: one.fill ? color(one.color) + (one.bars ? "b0" : "2e") : undefined,
          paths: one.bars ? uPlot.paths.bars({ size: [0.7, 24], align: -1 }) : undefined,
          points: { show: !one.bars && timed && data[0].length < 2, size: 6 }, value: (u, v) => v == null ? "–" : value(v) }))],
      axes: [timed ? axis({ values: (u, splits) => splits.map(clock), incrs: seconds, size: 34 }) : axis({ size: 34, ...x.axis }),
        axis({ size: 64, values: (u, splits) => splits.map((v) => v == null ? "" : tick(v)), ...(y.splits ? { splits: y.splits, filter: (u, splits) => splits } : {}) })],
      cursor: { y: false, sync: timed ? { key: "time" } : undefined, drag: { x: timed, y: false }, points: { size: 7 } },
      hooks: {
        draw: [marks(timed && timeEnds > loadEnds + 1 ? [...lines, { x: loadEnds, text: "load ends", color: "--muted" }] : lines)],
        setCursor: [(u) => u.root.classList.toggle("pointed", u.cursor.idx != null)],
        setScale: timed ? [sameTime] : [],
      },
    }, data, holder);
    charts.push({ holder, make, timed, plot: null, height });
  };

  if (timeline.length) {
    heading("Over time");
    const grid = node("div", "charts");
    page.append(grid);
    const times = timeline.map((p) => p.t_s), column = (key) => timeline.map((p) => p[key]);
    const positive = (keys, log) => keys.map((key) => column(key).map((v) => v > 0 || !log ? v : null));
    const keys = ["p50", "p95", "p99"], serviceKeys = ["service_p50", "service_p95", "service_p99"];
    const y = latencyScale([...keys, ...serviceKeys].map(column), 0);
    const percentiles = keys.map((label) => ({ label }));
    const limits = r.thresholds.flatMap((t) => {
      const found = /^p\(?([\d.]+)\)?<=?([\d.]+)(us|µs|ms|s)(,abort)?$/.exec(t.expr.replace(/\s/g, ""));
      return found ? [{ y: found[2] * { us: 1e-3, "µs": 1e-3, ms: 1, s: 1e3 }[found[3]], text: t.expr, color: t.ok ? "--good" : "--bad" }] : [];
    });
    const scaleNote = y.log ? " · log scale" : "";
    addChart(grid, { title: "Response time", note: `from the intended send: what users wait${scaleNote}`, data: [times, ...positive(keys, y.log)],
      series: percentiles, y, tick: msTick, value: ms, lines: limits, height: 250 });
    addChart(grid, { title: "Service time", note: `from the actual send: what the target takes${scaleNote}`, data: [times, ...positive(serviceKeys, y.log)],
      series: percentiles, y, tick: msTick, value: ms, height: 250 });
    const fromZero = (values) => ({ scale: { range: [0, Math.max(1, ...values) * 1.08] } });
    addChart(grid, { title: "Throughput", note: "requests per second", data: [times, column("rps")], series: [{ label: "requests/s", color: "--s1", fill: true }],
      y: fromZero(column("rps")), tick: short, value: (v) => `${count(v)}/s`, lines: r.rate ? [{ y: r.rate.asked, text: "asked rate", color: "--muted" }] : [] });
    addChart(grid, { title: "Users", note: "at the same time", data: [times, column("users")], series: [{ label: "users", color: "--s4", fill: true }],
      y: fromZero(column("users")), tick: short, value: count });
    addChart(grid, { title: "Errors", note: r.errors.total ? "per second, all kinds" : "none", data: [times, column("errors")],
      series: [{ label: "errors/s", color: "--bad", fill: true, bars: timeline.length <= 120 }], y: fromZero(column("errors")), tick: short, value: count, height: 180, wide: true });

    if (watched.length) {
      heading("Watched, on the same clock");
      const watchGrid = node("div", "charts");
      page.append(watchGrid);
      const groups = new Map();
      for (const one of watched) {
        const key = JSON.stringify([one.resource, one.unit]);
        groups.set(key, [...(groups.get(key) || []), one]);
      }
      for (const group of groups.values()) {
        const { resource, unit } = group[0];
        const data = uPlot.join(group.map((one) => [one.points.map((p) => p[0]), one.points.map((p) => p[1])]));
        const values = group.flatMap((one) => one.points.map((p) => p[1]));
        const low = Math.min(0, ...values), high = Math.max(...values);
        addChart(watchGrid, { title: resource || group[0].name, note: unit, data, series: group.map((one, i) => ({ label: one.name, dash: i >= palette.length ? [6, 4] : undefined })),
          y: { scale: { range: [low, high > low ? low + (high - low) * 1.08 : low + 1] } }, tick: short, value: (v) => unit ? `${count(v)} ${unit}` : count(v),
          wide: groups.size === 1 });
      }
    }
  } else {
    page.append(node("p", "note", "The run ended before its first measured second, so there is nothing to draw over time."));
  }

  // ---- distribution: 1 / (1 - p) on a log axis gives 90, 99, 99.9 … the same room
  const curve = (points) => {
    const xs = [], ys = [];
    for (const [p, v] of points) {
      const x = p < 100 ? 100 / (100 - p) : Math.max(r.requests, 1);
      if (xs.length && x <= xs[xs.length - 1]) { ys[ys.length - 1] = Math.max(ys[ys.length - 1], v); continue; }
      xs.push(x);
      ys.push(v);
    }
    return [xs, ys];
  };
  const shape = r.distribution || { service: [], response: [] };
  heading("Distribution");
  const tail = node("div", "charts");
  if (shape.response.length > 1 && r.requests > 1) {
    const data = uPlot.join([curve(shape.response), curve(shape.service)]);
    const y = latencyScale(data.slice(1), 0), end = data[0][data[0].length - 1];
    const ticks = [1, 2, ...powers(10, end, [1])];
    const nines = (x) => x <= 1 ? "0" : trimmedNines(100 - 100 / x);
    const trimmedNines = (p) => String(Number(p.toFixed(Math.min(8, Math.max(0, Math.ceil(-Math.log10(1 - p / 100 + 1e-12)) - 1)))));
    addChart(tail, { title: "Latency by percentile", note: `log scale towards 100 %${y.log ? " · log latency" : ""}; the last point is the slowest request`,
      data: y.log ? [data[0], ...data.slice(1).map((column) => column.map((v) => v > 0 ? v : null))] : data,
      series: [{ label: "response", color: "--s1" }, { label: "service", color: "--s3", dash: [6, 4] }], y, tick: msTick, value: ms, timed: false, wide: true, height: 280,
      x: { scale: { time: false, distr: 3, log: 10, range: [1, Math.max(end * 1.05, 10)] }, value: (u, v) => v == null ? "" : `${v >= r.requests ? "100" : nines(v)} %`,
        axis: { splits: () => ticks, filter: (u, splits) => splits, values: (u, splits) => splits.map((v) => `${nines(v)} %`) } } });
    page.append(tail);
  }

  const rows = [["min", "min"], ["mean", "mean"], ["p50", "p50"], ["p75", "p75"], ["p90", "p90"], ["p95", "p95"], ["p99", "p99"], ["p99.9", "p99_9"], ["max", "max"]];
  const kinds = Object.entries(r.errors.by_kind).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  const share = (n) => r.requests ? percent(n / r.requests) : "–";
  const where = (kind) => r.by_name.map((one) => [one.name, (one.errors_by_kind || {})[kind] || 0]).filter(([, n]) => n)
    .sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${count(n)}`).join(", ");
  const errorCard = tableCard("Errors by kind", ["short", "number", "number", ""], ["Kind", "Count", "Of all requests", "In"],
    kinds.length ? kinds.map(([kind, n]) => [kind, count(n), share(n), where(kind)]) : [["none", "0", "0 %", ""]]);
  if (r.errors.example) errorCard.append(node("p", "note", `For example: ${r.errors.example}`));
  const statuses = Object.entries(r.status);
  const side = node("div", "", errorCard);
  if (statuses.length) {
    const card = tableCard("Answers by status", ["", "number", "number"], ["Status", "Count", "Of all requests"], statuses.map(([code, n]) => [code, count(n), share(n)]));
    card.style.marginTop = "14px";
    side.append(card);
  }
  const latencyCard = tableCard("Latency", ["", "number", "number"], ["", "Service", "Response"], rows.map(([label, key]) => [label, ms(service[key]), ms(response[key])]));
  const under = node("div", "tables", latencyCard, side);
  under.style.marginTop = "14px";
  page.append(under);

  // ---- per name
  heading("By name");
  const num = "number", edge = "number edge";
  const names = tableCard("", ["", num, num, edge, num, num, num, edge, num, num, num, edge],
    ["", "requests", "per s", "response p50", "p95", "p99", "max", "service p50", "p95", "p99", "max", "errors"],
    r.by_name.map((one) => {
      const tags = Object.entries(one.tags || {}).map(([key, value]) => node("span", "tag", `${key}:${value}`));
      const four = (l) => [ms(l.p50), ms(l.p95), ms(l.p99), ms(l.max)];
      return [node("span", "", one.name, ...tags), count(one.requests), count(one.rps), ...four(one.latency_ms.response), ...four(one.latency_ms.service),
        node("span", one.errors ? "bad" : "", count(one.errors))];
    }));
  page.append(names);

  if (r.baseline) {
    heading("Against the baseline");
    const measured = (c, v) => /p\d|mean|max|min|latency/.test(c.metric) ? ms(v) : /rate/.test(c.metric) ? percent(v) : count(v);
    const card = tableCard("", ["", num, num, num, ""], ["", "before", "now", "change", ""], r.baseline.changes.map((c) =>
      [c.metric, measured(c, c.before), measured(c, c.after), `${c.change > 0 ? "+" : ""}${percent(c.change)}`,
        node("span", c.significant ? (c.better ? "good" : "bad") : "muted", c.significant ? (c.better ? "better" : "worse") : "within noise")]));
    card.prepend(node("p", "", `Verdict: ${r.baseline.verdict}`));
    for (const caveat of r.baseline.caveats || []) card.append(node("p", "note", caveat));
    page.append(card);
  }

  // ---- how it was measured
  heading("How it was measured");
  const g = r.generator, m = r.machine, think = r.think_ms || { min: 0, max: 0 };
  const three = (a, b, c) => `p50 ${ms(a)}, p99 ${ms(b)}, max ${ms(c)}`;
  const seed = /"seed":(\d+)/.exec(source);  // as written: larger than a JavaScript number holds exactly
  page.append(node("div", "tables",
    facts("Configuration", [["Target", r.target], ["Scenario", r.scenario],
      ["Model", r.rate ? `open, ${count(r.rate.asked)} arrivals/s` : "closed"], ["Users", `${count(r.users)} at most`],
      ["Think time", think.max ? `${ms(think.min)} to ${ms(think.max)}` : "none"], ["Measured for", clock(r.duration_s)],
      ["Warm-up", r.warmup_s ? `${clock(r.warmup_s)}, not in the figures` : "none"], ["Started", r.started_at], ["Seed", seed ? seed[1] : ""],
      ["Checks", r.checks && r.checks.passed + r.checks.failed ? `${count(r.checks.passed)} passed, ${count(r.checks.failed)} failed` : ""],
      ["Traffic", `${bytes(r.bytes_in)} in, ${bytes(r.bytes_out)} out`]]),
    facts("Generator", [["Verdict", boundBy[g.verdict] || g.verdict], ["Threads", count(g.threads)], ["Connections", count(g.connections)],
      ["Processor", `${trimmed(g.cpu_percent)} % of a core, busiest thread ${trimmed(g.busiest_thread_percent)} %`],
      ["Waited for a core", `${trimmed(g.run_queue_wait_percent)} %`], ["Stolen by the host", `${trimmed(g.steal_percent)} %`],
      ["Send lag", three(g.send_lag_p50_ms, g.send_lag_p99_ms, g.max_send_lag_ms)], ["Loop lag", three(g.loop_lag_p50_ms, g.loop_lag_p99_ms, g.max_loop_lag_ms)],
      ["Calibrated", g.calibrated_rps ? `${count(g.calibrated_rps)} requests/s per thread` : "not measured"], ["Peak memory", bytes(g.peak_rss_bytes)]]),
    facts("Machine", [["Host", m.host], ["Processor", m.cpu], ["Cores", count(m.cores)], ["Memory", bytes(m.memory_bytes)], ["Kernel", m.kernel]])));
  page.append(node("footer", "", "Service time runs from the actual send, response time from the intended send: a slow target cannot hide behind a generator that waits for it. Drag over a chart to zoom, double-click for all."));

  // ---- draw, again in the other colours when the theme changes, and to the new width
  const draw = () => {
    for (const chart of charts) {
      if (chart.plot) chart.plot.destroy();
      chart.plot = chart.make();
    }
    root.dataset.charts = charts.length;
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", () => {
    for (const { plot, holder, height } of charts) plot.setSize({ width: Math.max(260, holder.clientWidth), height });
  });
})();
