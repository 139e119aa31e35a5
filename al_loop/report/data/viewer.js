"use strict";
// Reads a ledger with SQLite in the browser, into the part of a run's facts that charts and table need.
(() => {
  const { element, short } = alLoop, byId = (id) => document.getElementById(id);
  let sqlite = null, charts = null;
  const load = () => sqlite ??= alLoop.packed("sql-wasm").then((r) => r.arrayBuffer()).then((wasmBinary) => initSqlJs({ wasmBinary }));
  const rowsOf = (database, query) => { const [result] = database.exec(query); return result ? result.values.map((row) => Object.fromEntries(result.columns.map((name, i) => [name, row[i]]))) : []; };
  const json = (text) => text === null || text === undefined ? null : JSON.parse(text);
  const factsOf = async (database) => {
    const [campaign] = rowsOf(database, "SELECT name, config, objectives FROM campaign");
    if (!campaign) throw new Error("the ledger is still empty");
    const [session] = rowsOf(database, "SELECT config FROM sessions ORDER BY id DESC LIMIT 1"), config = json(session?.config ?? campaign.config);
    const all = json(campaign.objectives), wanted = config.optimise ? [config.optimise].flat() : [all[0].name];
    const objectives = wanted.map((name) => all.find((o) => o.name === name)).map((o) => ({ ...o, column: o.name, label: o.name.replace(/_/g, " "), optimised: true, index: all.indexOf(all.find((a) => a.name === o.name)), predicted: [] }));
    if (objectives.length === 1) objectives[0].predicted = ["predicted_mean", "predicted_std"];
    const rounds = rowsOf(database, "SELECT r.number, r.info, p.metrics FROM rounds r LEFT JOIN round_reports p ON p.round = r.number ORDER BY r.number").map((r) => {
      const info = json(r.info), metrics = json(r.metrics) ?? {}, forecast = info.forecast ?? null;
      return { round: r.number, forecast, actual: metrics[objectives.length > 1 ? "hypervolume" : "best"] ?? null, hypervolume: metrics.hypervolume ?? null, calls: metrics.calls ?? null };
    });
    const vetoed = new Set(rowsOf(database, "SELECT candidate_id FROM decisions WHERE action = 'veto'").map((r) => r.candidate_id));
    const records = rowsOf(database, `SELECT c.id AS candidate, c.object, c.round, c.origin, c.fidelity, c.predicted_mean, c.predicted_std, c.acquisition, e."values" AS measured, e.failure_kind AS failure, e.failure_reason AS reason, e.cost, e.seconds, e.finished, e.worker, e.attempts, e.number
      FROM candidates c LEFT JOIN evaluations e ON e.candidate_id = c.id AND e.revision = (SELECT max(revision) FROM evaluations WHERE candidate_id = c.id)
      AND NOT EXISTS (SELECT 1 FROM retries t WHERE t.candidate_id = c.id AND t.revision = e.revision) ORDER BY c.id`);
    for (const record of records) { const values = json(record.measured); objectives.forEach((o) => { record[o.column] = values?.[o.index] ?? null; }); record.status = record.failure ? "failed" : values ? "measured" : vetoed.has(record.candidate) ? "vetoed" : "pending"; }
    const kinds = { status: 1, origin: 1, failure: 1, worker: 1, fidelity: 1 }, texts = { object: 1, reason: 1 };
    const column = (name, unit = "") => {
      const cells = records.map((record) => record[name]), base = { name, label: name.replace(/_/g, " "), unit, meaning: "" };
      if (texts[name]) return { ...base, kind: "text", cells };
      if (name === "finished") return { ...base, kind: "time", cells: cells.map((cell) => cell?.slice(0, 19) ?? null) };
      if (!kinds[name]) return { ...base, kind: "number", cells };
      const names = [...new Set(cells.filter((cell) => cell !== null && cell !== ""))].sort();
      return { ...base, kind: "category", names, cells: cells.map((cell) => names.indexOf(cell)) };
    };
    const columns = [column("candidate"), column("object"), column("status"), column("round"), ...objectives.map((o) => column(o.column, o.unit)), ...["predicted_mean", "predicted_std", "acquisition", "origin", "fidelity", "failure", "reason", "cost", "seconds", "finished", "worker", "attempts"].map((name) => column(name))].filter((c) => c.kind === "category" ? c.names.length : c.cells.some((cell) => cell !== null));
    const first = objectives[0], sign = first.goal === "maximise" ? -1 : 1;
    const has = records.map((_, i) => i).filter((i) => records[i][first.column] !== null), results = has.slice().sort((a, b) => sign * (records[a][first.column] - records[b][first.column]) || a - b);
    const answered = records.map((_, i) => i).filter((i) => records[i].number !== null).sort((a, b) => records[a].number - records[b].number);
    let calls = 0;
    const called = answered.map((i) => calls += records[i].origin === "imported" ? 0 : Math.max(records[i].attempts, 1)), step = Math.max(1, Math.ceil(answered.length / 4000));
    const shown = answered.map((row, i) => [row, called[i]]).filter((_, i) => i % step === 0);
    const predicted = has.filter((i) => records[i].predicted_mean !== null);
    const environment = config.environment ?? {}, kind = environment.kind ?? environment, sample = records.slice(0, 40).map((r) => r.object);
    const RDKit = ["sequence", "assignment"].includes(kind) ? null : await alLoop.chem.load();
    const parses = (text) => { try { const m = RDKit.get_mol(text); m?.delete(); return Boolean(m); } catch { return false; } };
    const type = environment.object_type ?? (RDKit === null ? "sequence" : sample.filter(parses).length >= 0.8 * sample.length ? "molecule" : "other");
    const bars = rowsOf(database, "SELECT e.worker, e.started, e.finished, c.round, e.failure_kind FROM evaluations e JOIN candidates c ON c.id = e.candidate_id WHERE c.origin != 'imported' ORDER BY e.worker, e.started");
    const workers = [...new Set(bars.map((b) => b.worker))].slice(0, 40), times = bars.flatMap((b) => [Date.parse(b.started), Date.parse(b.finished)]), start = times.reduce((a, b) => Math.min(a, b), Infinity), end = times.reduce((a, b) => Math.max(a, b), 0), every = Math.max(1, Math.ceil(bars.length / 2000));
    return {
      run: { name: campaign.name, object_type: type }, objectives, rounds, shown: { rows: shown.map(([row]) => row), calls: shown.map(([, call]) => call), counts: shown.map(([row]) => records[row][first.column] !== null), records: [] },
      calibration: [{ column: first.column, rows: objectives.length === 1 ? predicted : [] }], front: { rows: [] }, map: null, spending: { outcomes: [] },
      timeline: { start: bars.length ? new Date(start).toISOString() : null, seconds: (end - start) / 1000, workers: workers.map((name) => ({ name })), bars: bars.filter((b, i) => i % every === 0 && workers.includes(b.worker)).map((b) => [workers.indexOf(b.worker), (Date.parse(b.started) - start) / 1000, (Date.parse(b.finished) - start) / 1000, b.round, b.failure_kind ? "failed" : "value", 1]) },
      table: { n: records.length, columns, results, order: [...results, ...records.map((_, i) => i).filter((i) => records[i][first.column] === null)], is_canonical: false },
      counts: { answered: answered.length, failed: records.filter((r) => r.failure).length, calls, cost: records.reduce((sum, r) => sum + (r.origin === "imported" ? 0 : r.cost ?? 0), 0) },
    };
  };
  const show = (facts) => {
    const table = new alLoop.Table(facts), first = facts.objectives[0];
    byId("name").textContent = facts.run.name;
    byId("goal").textContent = facts.objectives.map((o) => `${o.goal} ${o.label}${o.unit ? ` (${o.unit})` : ""}`).join(" and ");
    const tile = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
    const best = facts.table.results.slice(0, 10);
    byId("tiles").replaceChildren(tile(`best ${first.label}`, best.length ? `${short(table.value(first.column, best[0]))} ${first.unit}` : "–"), tile("rounds", String(facts.rounds.length)), tile("answers", `${facts.counts.answered} (${facts.counts.failed} failed)`), tile("oracle calls", String(facts.counts.calls)), tile("cost", short(facts.counts.cost)));
    byId("best").replaceChildren(...best.map((row, i) => {
      const name = String(table.value("object", row)), picture = element("div", { class: "picture" }, element("code", { class: "object" }, name));
      if (facts.run.object_type === "molecule") alLoop.chem.draw(name, 220, 160).then((svg) => { if (svg) picture.replaceChildren(svg); });
      return element("li", { class: "card" }, picture, element("div", { class: "facts" }, element("p", { class: "value" }, element("span", { class: "rank" }, String(i + 1)), " ", element("strong", {}, short(table.value(first.column, row))), ` ${first.unit}`), element("p", { class: "meta" }, `round ${table.value("round", row)}`), element("p", { class: "smiles" }, element("code", {}, name))));
    }));
    const reasons = new Map();
    for (let row = 0; row < table.n; row++) { const reason = table.value("reason", row); if (reason !== null) reasons.set(reason, (reasons.get(reason) ?? 0) + 1); }
    const lines = [...reasons].sort((a, b) => b[1] - a[1]).slice(0, 20).map(([reason, n]) => element("tr", {}, element("td", {}, String(n)), element("td", { class: "text" }, reason)));
    byId("failures").replaceChildren(lines.length ? element("table", { class: "plain" }, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "n"), element("th", { scope: "col" }, "reason"))), element("tbody", {}, ...lines)) : element("p", {}, "No answer is a failure."));
    byId("content").hidden = false;
    alLoop.chem.forget();
    charts = alLoop.charts(facts);
    for (const node of document.querySelectorAll("[data-chart]")) if (node.dataset.chart !== "timeline" || facts.timeline.bars.length) charts.draw(node);
    alLoop.candidates(facts, byId("table"));
  };
  const open = async (file) => {
    const message = byId("message");
    message.textContent = `reading ${file.name}`;
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      if (new TextDecoder().decode(bytes.slice(0, 15)) !== "SQLite format 3") throw new Error("this is not a SQLite file; expected the ledger.db of a run directory");
      bytes[18] = bytes[19] = 1; // SQLite in a browser has no write-ahead log; what it holds was merged after the last round
      const SQL = await load(), database = new SQL.Database(bytes);
      try { show(await factsOf(database)); } finally { database.close(); }
      message.textContent = `${file.name}: open, and nowhere but in this browser`;
      document.documentElement.dataset.open = "yes";
    } catch (error) { message.textContent = `${file.name} cannot be opened: ${error.message}`; }
  };
  alLoop.themeButton();
  alLoop.redraw = () => {};
  alLoop.onTheme(() => { if (charts) document.querySelectorAll("[data-chart]").forEach((node) => { if (node.firstChild) charts.draw(node); }); });
  byId("file").addEventListener("change", (event) => { if (event.target.files[0]) open(event.target.files[0]); });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]); });
  document.documentElement.dataset.ready = "yes";
})();
