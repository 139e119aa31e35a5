"use strict";
(async () => {
  alLoop.themeButton();
  const facts = await (await alLoop.packed("facts")).json(), { short, isDark } = alLoop;
  const colours = () => isDark() ? ["#ff9c70", "#6fb5ff", "#7bd69f", "#e8c46b", "#c8a2ff", "#ff8a80", "#6fe0dc", "#c9d1d9"] : ["#b43a0a", "#1f6fc0", "#1a7f45", "#9a6b00", "#7a45b8", "#c62828", "#00797a", "#4d5a67"];
  const names = facts.groups.map((group) => group.group), label = facts.what + (facts.unit ? ` (${facts.unit})` : "");
  const cut = (text) => text.length > 44 ? text.slice(0, 43) + "…" : text;
  const base = (node, options) => ({ width: Math.max(260, Math.min(node.clientWidth || 640, 1180)), height: 360, marginLeft: 58, marginBottom: 42, style: { fontSize: "12px", overflow: "visible" }, ...options });
  const scale = () => ({ domain: names, range: names.map((_, i) => colours()[i % 8]), legend: true, tickFormat: cut });
  const tip = () => ({ fill: isDark() ? "#14191e" : "#fff" });
  const drawers = {
    bands: (node) => Plot.plot(base(node, { x: { label: "calls of the oracle →", nice: true }, y: { label: `↑ ${label}`, grid: true }, color: scale(), marks: [
      Plot.areaY(facts.bands.filter((d) => d.std !== null), { x: "calls", y1: (d) => d.mean - d.std, y2: (d) => d.mean + d.std, fill: "group", fillOpacity: 0.16 }),
      Plot.line(facts.bands, { x: "calls", y: "mean", stroke: "group", strokeWidth: 2.2 }),
      Plot.ruleX([facts.at], { stroke: isDark() ? "#a9b4bf" : "#4d5a67", strokeDasharray: "4 4" }),
      Plot.tip(facts.bands, Plot.pointer({ x: "calls", y: "mean", ...tip(), title: (d) => `${d.group}\n${short(d.mean)}${d.std === null ? "" : ` ± ${short(d.std, 2)}`} after ${d.calls} calls\n${d.n} run${d.n === 1 ? "" : "s"}` })),
    ] })),
    final: (node) => Plot.plot(base(node, { height: 300, x: { label: null, domain: names, tickFormat: (name) => name.length > 22 ? name.slice(0, 21) + "…" : name }, y: { label: `↑ ${label}`, grid: true, nice: true }, color: { ...scale(), legend: false }, marks: [
      Plot.line(facts.runs.filter((d) => d.value !== null), { x: "group", y: "value", z: "seed", stroke: isDark() ? "#7d8893" : "#8b96a1", strokeOpacity: 0.6 }),
      Plot.dot(facts.runs, { x: "group", y: "value", fill: "group", r: 4.5, title: (d) => `seed ${d.seed}: ${short(d.value)}`, tip: tip() }),
      Plot.tickY(facts.groups, { x: "group", y: "mean", stroke: "group", strokeWidth: 3, insetLeft: 20, insetRight: 20 }),
    ] })),
  };
  const draw = () => { for (const node of document.querySelectorAll("[data-chart]")) { const chart = drawers[node.dataset.chart](node); for (const svg of chart.tagName === "svg" ? [chart] : chart.querySelectorAll("svg")) { svg.querySelectorAll("[aria-label], [aria-description]").forEach((part) => { part.removeAttribute("aria-label"); part.removeAttribute("aria-description"); }); svg.setAttribute("role", "img"); svg.setAttribute("aria-label", node.parentElement.querySelector("figcaption").textContent); } node.replaceChildren(chart); } };
  draw();
  alLoop.onTheme(draw);
  let timer = 0;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(draw, 200); });
  document.documentElement.dataset.ready = "yes";
})();
