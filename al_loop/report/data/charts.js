"use strict";
// The charts of a run, drawn by Observable Plot from the facts. Colours follow the theme.
alLoop.charts = (facts) => {
  const { short, Table, isDark, element } = alLoop;
  const table = new Table(facts), optimised = facts.objectives.filter((objective) => objective.optimised), first = optimised[0], several = optimised.length > 1;
  const named = (objective) => objective.label + (objective.unit ? ` (${objective.unit})` : "");
  const nRounds = Math.max(1, ...facts.rounds.map((round) => round.round));
  const grey = () => isDark() ? "#7d8893" : "#8b96a1";
  const ink = () => isDark() ? "#e8edf2" : "#1b2733", accent = () => isDark() ? "#ff9c70" : "#b43a0a", bad = () => isDark() ? "#ff8a80" : "#c62828";
  const ramp = (share) => d3.interpolateViridis(isDark() ? 0.3 + 0.7 * share : 0.05 + 0.75 * share);
  const roundColour = (number) => number === 0 ? grey() : ramp(nRounds > 1 ? (number - 1) / (nRounds - 1) : 0.5);
  const base = (node, options) => ({ width: Math.max(260, Math.min(node.clientWidth || 640, 1180)), height: 340, marginLeft: 58, marginBottom: 42, style: { fontSize: "12px", overflow: "visible" }, ...options });
  const rowsOf = (entry) => entry.rows;
  const values = (column, row) => table.value(column, row);
  const title = (row) => { const name = String(table.value("object", row)); return name.length > 60 ? name.slice(0, 59) + "…" : name; };
  // values far beyond the others would squeeze all of them; the better side is never cut
  const limits = (numbers, goal) => {
    const sorted = numbers.filter(Number.isFinite).sort(d3.ascending);
    if (sorted.length < 2) return undefined;
    const a = d3.quantileSorted(sorted, 0.25), b = d3.quantileSorted(sorted, 0.75), reach = 6 * (b - a) || Infinity;
    const low = goal === "minimise" ? sorted[0] : Math.max(sorted[0], a - reach), high = goal === "maximise" ? sorted.at(-1) : Math.min(sorted.at(-1), b + reach);
    const margin = 0.05 * (high - low) || 1;
    return [low - margin, high + margin];
  };
  const empty = (node, text) => node.replaceChildren(element("p", { class: "quiet" }, text));
  const legend = () => ({ label: "round (0: first batch)", type: "linear", domain: [0, nRounds], interpolate: (t) => roundColour(Math.round(t * nRounds)), legend: true });
  const drawers = {
    progress(node) {
      const shown = facts.shown, column = first.column;
      const dots = shown.rows.map((row, i) => ({ row, call: shown.calls[i], value: values(column, row), round: values("round", row), counts: shown.counts[i], record: shown.records[i] }));
      const measured = dots.filter((dot) => dot.value !== null), failed = dots.filter((dot) => dot.value === null);
      if (!measured.length && !failed.length) return empty(node, "Nothing is measured yet.");
      const goals = !several && facts.plan?.goal != null ? [facts.plan.goal] : [], domain = limits([...measured.map((dot) => dot.value), ...goals], first.goal), clip = (v) => domain ? Math.min(Math.max(v, domain[0]), domain[1]) : v;
      const best = []; let so = null;
      for (const dot of measured) if (dot.counts) { const better = so === null || (first.goal === "maximise" ? dot.value > so : dot.value < so); if (better) so = dot.value; best.push({ call: dot.call, value: so }); }
      const plan = several ? null : facts.plan, end = Math.max(1.3 * (measured.at(-1)?.call ?? 1), 20);
      const band = plan ? plan.calls.map((call, i) => ({ call, low: plan.low[i], median: plan.median[i], high: plan.high[i] })).filter((d) => d.low !== null && d.high !== null && d.call <= end) : [];
      return Plot.plot(base(node, {
        x: { label: "calls of the oracle →", nice: true }, y: { label: `${first.goal === "maximise" ? "↑" : "↓"} ${named(first)}`, domain, grid: true },
        color: legend(),
        marks: [
          band.length ? Plot.areaY(band, { x: "call", y1: (d) => clip(d.low), y2: (d) => clip(d.high), fill: grey(), fillOpacity: 0.22 }) : null,
          band.length ? Plot.line(band, { x: "call", y: (d) => clip(d.median), stroke: grey(), strokeWidth: 1.2 }) : null,
          plan && plan.goal !== null ? Plot.ruleY([clip(plan.goal)], { stroke: ink(), strokeDasharray: "5 4" }) : null,
          Plot.dot(measured.filter((d) => !d.counts), { x: "call", y: (d) => clip(d.value), stroke: grey(), r: 2.5 }),
          Plot.dot(measured.filter((d) => d.counts), { x: "call", y: (d) => clip(d.value), fill: "round", r: measured.length > 1500 ? 2 : 3.5, fillOpacity: 0.85 }),
          Plot.line(best, { x: "call", y: "value", curve: "step-after", stroke: accent(), strokeWidth: 2.2 }),
          failed.length && domain ? Plot.tickX(failed, { x: "call", stroke: bad(), insetTop: 280, strokeWidth: 1 }) : null,
          Plot.tip(measured, Plot.pointer({ x: "call", y: (d) => clip(d.value), title: (d) => `${title(d.row)}\n${short(d.value)} ${first.unit}, round ${d.round}`, fill: isDark() ? "#14191e" : "#fff" })),
        ],
      }));
    },
    forecast(node) {
      const rounds = facts.rounds.filter((round) => round.forecast && round.forecast.low !== null);
      if (!rounds.length) return empty(node, "No batch has a forecast yet.");
      const label = several ? "hypervolume" : `best ${named(first)}`;
      const actual = facts.rounds.filter((round) => round.actual !== null);
      return Plot.plot(base(node, {
        height: 280, x: { type: "linear", label: "round →", tickFormat: "d", ticks: Math.min(nRounds, 12), domain: [-0.5, nRounds + 0.5] }, y: { label: `↑ ${label}`, grid: true },
        marks: [
          Plot.ruleX(rounds, { x: "round", y1: (d) => d.forecast.low, y2: (d) => d.forecast.high, stroke: grey(), strokeWidth: 7, strokeLinecap: "round", strokeOpacity: 0.55 }),
          Plot.dot(rounds, { x: "round", y: (d) => d.forecast.expected_best, stroke: ink(), symbol: "times", r: 4.5, strokeWidth: 2 }),
          Plot.line(actual, { x: "round", y: "actual", stroke: accent(), strokeWidth: 1.5 }),
          Plot.dot(actual, { x: "round", y: "actual", fill: accent(), r: 4.5 }),
          Plot.tip(facts.rounds, Plot.pointerX({ x: "round", y: (d) => d.actual ?? d.forecast?.expected_best, fill: isDark() ? "#14191e" : "#fff", title: (d) => `round ${d.round}\n${d.forecast ? `forecast ${short(d.forecast.low)} to ${short(d.forecast.high)}\nchance of a gain ${Math.round(100 * d.forecast.probability)} %\n` : ""}${d.actual === null ? "open" : `came: ${short(d.actual)}`}` })),
        ],
      }));
    },
    map(node) {
      const place = facts.map, by = node.dataset.by ?? "value", column = first.column;
      const dots = place.rows.map((row, i) => ({ row, x: place.x[i], y: place.y[i], round: values("round", row), value: values(column, row) }));
      const open = dots.filter((dot) => dot.value === null), measured = dots.filter((dot) => dot.value !== null);
      const extent = limits(measured.map((dot) => dot.value), undefined);
      const better = first.goal === "maximise" ? 1 : -1;
      const width = Math.max(260, Math.min(node.clientWidth || 640, 880));
      const plot = Plot.plot(base(node, {
        width, height: Math.max(300, Math.min(width * 0.7, 520)), margin: 10, marginLeft: 10, marginBottom: 10, x: { axis: null }, y: { axis: null },
        color: by === "round" ? legend() : { label: named(first), legend: true, domain: extent, clamp: true, interpolate: (t) => ramp(better > 0 ? t : 1 - t), type: "linear" },
        marks: [
          Plot.frame({ stroke: isDark() ? "#3a444e" : "#d9dee3" }),
          Plot.dot(measured, { x: "x", y: "y", fill: by, r: 4.2, fillOpacity: 0.9, sort: by === "value" ? { channel: "fill", reverse: better < 0 } : null }),
          Plot.dot(open, { x: "x", y: "y", stroke: bad(), r: 4.2, symbol: "plus", strokeWidth: 1.8 }),
          Plot.dot(dots, Plot.pointer({ x: "x", y: "y", stroke: ink(), r: 7, strokeWidth: 2 })),
        ],
      }));
      plot.addEventListener("input", () => { if (plot.value) alLoop.showObject(facts, table, plot.value.row); });
      const ordered = dots.map((dot) => dot.row);
      node.onkeydown = (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const at = (Number(node.dataset.at ?? -1) + step + ordered.length) % ordered.length;
        node.dataset.at = String(at);
        alLoop.showObject(facts, table, ordered[at]);
      };
      const choose = element("label", {}, "Colour by ", element("select", { id: "map-by", onchange: (event) => { node.dataset.by = event.target.value; alLoop.redraw("map"); } }, element("option", { value: "value", selected: by === "value" }, first.label), element("option", { value: "round", selected: by === "round" }, "round")));
      return element("div", {}, element("div", { class: "controls" }, choose), plot);
    },
    front(node) {
      const [x, y] = optimised, results = facts.table.results, step = Math.max(1, Math.floor(results.length / 3000));
      const onFront = new Set(facts.front.rows);
      const dots = results.filter((row, i) => i % step === 0 || onFront.has(row)).map((row) => ({ row, x: values(x.column, row), y: values(y.column, row), round: values("round", row) })).filter((dot) => dot.x !== null && dot.y !== null);
      if (!dots.length) return empty(node, "No result yet.");
      const line = dots.filter((dot) => onFront.has(dot.row)).sort((a, b) => a.x - b.x);
      const arrow = (objective) => objective.goal === "maximise" ? "higher is better" : "lower is better";
      return Plot.plot(base(node, {
        x: { label: `${named(x)}, ${arrow(x)} →`, grid: true, nice: true }, y: { label: `↑ ${named(y)}, ${arrow(y)}`, grid: true, nice: true }, color: legend(),
        marks: [
          optimised.length === 2 ? Plot.line(line, { x: "x", y: "y", stroke: accent(), strokeOpacity: 0.6 }) : null,
          Plot.dot(dots, { x: "x", y: "y", fill: "round", r: 3.6, fillOpacity: 0.85 }),
          Plot.dot(line, { x: "x", y: "y", stroke: accent(), r: 6.5, strokeWidth: 1.8 }),
          Plot.tip(dots, Plot.pointer({ x: "x", y: "y", fill: isDark() ? "#14191e" : "#fff", title: (d) => `${title(d.row)}\n${x.label} ${short(d.x)}, ${y.label} ${short(d.y)}, round ${d.round}` })),
        ],
      }));
    },
    hypervolume(node) {
      const rounds = facts.rounds.filter((round) => round.hypervolume !== null);
      if (!rounds.length) return empty(node, "No round is closed yet.");
      return Plot.plot(base(node, { height: 260, x: { label: "answers →", nice: true }, y: { label: "↑ hypervolume", grid: true, zero: true }, marks: [
        Plot.line(rounds, { x: "calls", y: "hypervolume", stroke: accent(), strokeWidth: 2 }), Plot.dot(rounds, { x: "calls", y: "hypervolume", fill: accent(), r: 4, tip: { fill: isDark() ? "#14191e" : "#fff" } })] }));
    },
    calibration(node, index) {
      const entry = facts.calibration[index], objective = facts.objectives.find((o) => o.column === entry.column), [mean, std] = objective.predicted;
      const dots = rowsOf(entry).map((row) => ({ row, measured: values(entry.column, row), mean: values(mean, row), std: values(std, row) ?? 0, round: values("round", row) }));
      const a = limits(dots.map((d) => d.measured)), b = limits(dots.map((d) => d.mean)), domain = [Math.min(a?.[0] ?? Infinity, b?.[0] ?? Infinity), Math.max(a?.[1] ?? -Infinity, b?.[1] ?? -Infinity)];
      if (!(domain[0] < domain[1])) return empty(node, "Too few predictions were measured yet.");
      const inside = dots.filter((d) => d.measured >= domain[0] && d.measured <= domain[1] && d.mean >= domain[0] && d.mean <= domain[1]);
      const width = Math.max(260, Math.min(node.clientWidth || 640, 520));
      return Plot.plot(base(node, { width, height: width * 0.9, x: { domain, label: `measured ${named(objective)} →`, grid: true }, y: { domain, label: `↑ predicted ${named(objective)}`, grid: true }, color: legend(), marks: [
        Plot.line([[domain[0], domain[0]], [domain[1], domain[1]]], { stroke: grey(), strokeDasharray: "5 4" }),
        Plot.ruleX(inside.slice(0, 1500), { x: "measured", y1: (d) => Math.max(d.mean - d.std, domain[0]), y2: (d) => Math.min(d.mean + d.std, domain[1]), stroke: grey(), strokeOpacity: 0.45 }),
        Plot.dot(inside, { x: "measured", y: "mean", fill: "round", r: inside.length > 1500 ? 2 : 3.4, fillOpacity: 0.9 }),
        Plot.tip(inside, Plot.pointer({ x: "measured", y: "mean", fill: isDark() ? "#14191e" : "#fff", title: (d) => `${title(d.row)}\nmeasured ${short(d.measured)}, predicted ${short(d.mean)} ± ${short(d.std, 2)}` })),
      ] }));
    },
    cost(node) {
      const rounds = facts.rounds.filter((round) => round.answers);
      if (!rounds.some((round) => round.cost)) return empty(node, "No cost was recorded.");
      return Plot.plot(base(node, { height: 220, x: { label: "round →", type: "band", tickFormat: "d" }, y: { label: "↑ cost", grid: true }, marks: [Plot.barY(rounds, { x: "round", y: "cost", fill: accent(), tip: { fill: isDark() ? "#14191e" : "#fff" } }), Plot.ruleY([0])] }));
    },
    time(node) {
      const rounds = facts.rounds.flatMap((round) => [{ round: round.round, hours: round.oracle_hours, what: "calls of the oracle" }, { round: round.round, hours: round.own_hours, what: "the campaign's own work" }]).filter((d) => d.hours);
      if (!rounds.length) return empty(node, "No time was recorded.");
      const most = d3.max(rounds, (d) => d.hours), [unit, size] = most > 1 ? ["hours", 1] : most > 1 / 60 ? ["minutes", 60] : ["seconds", 3600];
      return Plot.plot(base(node, { height: 240, x: { label: null, axis: null, domain: ["calls of the oracle", "the campaign's own work"] }, fx: { label: "round", tickFormat: "d" }, y: { label: `↑ ${unit}`, grid: true }, color: { legend: true, domain: ["calls of the oracle", "the campaign's own work"], range: [accent(), grey()] }, marks: [Plot.barY(rounds, { fx: "round", x: "what", y: (d) => d.hours * size, fill: "what" }), Plot.ruleY([0])] }));
    },
    outcomes(node) {
      const order = ["new best", "among the ten best", "other value", "cheaper fidelity", "outside the bounds", "failed"];
      const colours = isDark() ? ["#ff9c70", "#e8c46b", "#6f7d8a", "#5a7f9e", "#8f7aa8", "#ff8a80"] : ["#b43a0a", "#d19a1e", "#a9b4bf", "#6c93b5", "#8f7aa8", "#c62828"];
      const present = order.filter((name) => facts.spending.outcomes.some((o) => o.outcome === name));
      return Plot.plot(base(node, { height: 70 + 36 * new Set(facts.spending.outcomes.map((o) => o.origin)).size, marginLeft: 90, x: { label: "calls →", grid: true }, y: { label: null }, color: { legend: true, domain: present, range: present.map((name) => colours[order.indexOf(name)]) }, marks: [Plot.barX(facts.spending.outcomes, { y: "origin", x: "calls", fill: "outcome", order, tip: { fill: isDark() ? "#14191e" : "#fff" } })] }));
    },
    timeline(node) {
      const line = facts.timeline, [unit, size] = line.seconds > 172800 ? ["days", 86400] : line.seconds > 7200 ? ["hours", 3600] : line.seconds > 180 ? ["minutes", 60] : ["seconds", 1];
      const bars = line.bars.map(([worker, start, end, round, outcome, n]) => ({ worker: line.workers[worker].name, start: start / size, end: Math.max(end, start + line.seconds / 2000) / size, round, outcome, n }));
      return Plot.plot(base(node, { height: 60 + 24 * line.workers.length, marginLeft: 90, x: { label: `${unit} since ${line.start.replace("T", " ").slice(0, 16)} UTC →`, grid: true }, y: { label: null, domain: line.workers.map((w) => w.name), tickFormat: (name) => name.length > 13 ? name.slice(0, 12) + "…" : name }, color: legend(), marks: [
        Plot.barX(bars.filter((b) => b.outcome !== "failed"), { y: "worker", x1: "start", x2: "end", fill: "round", insetTop: 2, insetBottom: 2 }),
        Plot.barX(bars.filter((b) => b.outcome === "failed"), { y: "worker", x1: "start", x2: "end", fill: bad(), insetTop: 2, insetBottom: 2 })] }));
    },
  };
  const draw = (node) => {
    const [name, index] = node.dataset.chart.split("-");
    if (!drawers[name]) return;
    const chart = drawers[name](node, Number(index ?? 0));
    if (!chart) return;
    for (const svg of chart.tagName === "svg" ? [chart] : chart.querySelectorAll("svg")) {
      svg.querySelectorAll("[aria-label], [aria-description]").forEach((part) => { part.removeAttribute("aria-label"); part.removeAttribute("aria-description"); });
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", node.parentElement.querySelector("figcaption")?.textContent ?? name);
    }
    node.replaceChildren(chart);
  };
  return { draw };
};
alLoop.showObject = (facts, table, row) => {
  const { element, short } = alLoop, box = document.getElementById("map-object"), name = String(table.value("object", row));
  if (!box || box.dataset.row === String(row)) return;
  box.dataset.row = String(row);
  const picture = element("div", { class: "picture" }, element("code", { class: "object" }, name));
  const lines = facts.objectives.filter((o) => o.optimised).map((o) => `${o.label}: ${short(table.value(o.column, row))} ${o.unit}`.trim());
  lines.push(`round ${table.value("round", row)}, ${table.value("status", row)}, ${table.value("choice", row)}`);
  box.replaceChildren(picture, ...lines.map((line) => element("p", {}, line)), element("p", {}, element("code", {}, name)));
  if (facts.run.object_type === "molecule" && alLoop.chem.has()) alLoop.chem.draw(name, 230, 170).then((svg) => { if (svg && box.dataset.row === String(row)) picture.replaceChildren(svg); });
};
