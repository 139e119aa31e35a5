"use strict";
// The table of all candidates: only the rows on the screen exist, so that 100,000 are no slower than a hundred.
alLoop.candidates = (facts, root) => {
  const { element, short, Table } = alLoop;
  const table = new Table(facts), type = facts.run.object_type, objects = table.byName.get("object").cells;
  let order = table.order.slice(), rows = order, sorted = { name: null, down: false }, found = null, searched = 1, searchId = 0, drawn = false;
  const input = (label, attributes) => element("label", {}, label, element("input", attributes));
  const options = (names) => [element("option", { value: "" }, "all"), ...names.map((name) => element("option", { value: name }, name))];
  const textBox = element("input", { type: "search", id: "f-text" });
  const pattern = element("input", { type: "search", id: "f-pattern", placeholder: type === "molecule" ? "c1ccncc1" : type === "sequence" ? "GC.A" : "", spellcheck: "false", autocapitalize: "off" });
  const categories = ["status", "choice", "origin"].filter((name) => table.has(name) && table.byName.get(name).names.length > 1);
  const selects = new Map(categories.map((name) => [name, element("select", { id: `f-${name}` }, ...options(table.byName.get(name).names))]));
  const numeric = table.columns.filter((column) => column.kind === "number");
  const first = facts.objectives.find((objective) => objective.optimised)?.column;
  const which = element("select", { id: "f-column", "aria-label": "column for the limits" }, ...numeric.map((column) => element("option", { value: column.name, selected: column.name === first }, table.title(column.name))));
  const low = element("input", { type: "number", step: "any", id: "f-low", "aria-label": "from", placeholder: "from" });
  const high = element("input", { type: "number", step: "any", id: "f-high", "aria-label": "to", placeholder: "to" });
  const count = element("p", { id: "count", role: "status" });
  const body = element("tbody"), grid = element("div", { class: "grid", tabindex: "0", role: "region", "aria-label": "Table of candidates" });
  const heads = new Map();
  const text = (column, row) => { const value = table.value(column.name, row); return column.kind === "number" ? short(value, 5) : value === null || value === undefined ? "" : column.kind === "time" ? String(value).replace("T", " ").replace("Z", "") : String(value); };
  const exact = (value) => value === null || value === undefined ? "" : String(value);

  const filter = (keepsPlace = false) => {
    const words = textBox.value.trim().toLowerCase(), from = low.value === "" ? -Infinity : Number(low.value), to = high.value === "" ? Infinity : Number(high.value);
    const limited = from > -Infinity || to < Infinity ? table.byName.get(which.value).cells : null;
    const chosen = [...selects].filter(([, select]) => select.value !== "").map(([name, select]) => { const column = table.byName.get(name); return [column.cells, column.names.indexOf(select.value)]; });
    const texts = table.columns.filter((column) => column.kind === "text" || column.kind === "category");
    const matches = words === "" ? null : texts.map((column) => column.kind === "category" ? new Set(column.names.map((name, i) => name.toLowerCase().includes(words) ? i : -2)) : column.cells);
    rows = order.filter((row) => {
      for (const [cells, code] of chosen) if (cells[row] !== code) return false;
      if (limited) { const value = limited[row]; if (value === null || value < from || value > to) return false; }
      if (found && !found.has(row)) return false;
      if (matches && !matches.some((cells, i) => texts[i].kind === "category" ? cells.has(cells && texts[i].cells[row]) : cells[row] !== null && cells[row].toLowerCase().includes(words))) return false;
      return true;
    });
    count.textContent = `${rows.length} of ${table.n} candidates${found && searched < 1 ? `, best first; ${Math.round(100 * searched)} % searched` : ""}`;
    inner.setAttribute("aria-rowcount", String(rows.length + 1));
    if (keepsPlace !== true) grid.scrollTop = 0;
    render();
  };
  const sort = (name) => {
    sorted = { name, down: sorted.name === name ? !sorted.down : false };
    const column = table.byName.get(name), cells = column.kind === "category" ? column.cells.map((code) => code < 0 ? null : column.names[code]) : column.cells;
    const sign = sorted.down ? -1 : 1;
    order = Array.from({ length: table.n }, (_, i) => i).sort((a, b) => {
      const x = cells[a], y = cells[b];
      if (x === null || x === undefined) return y === null || y === undefined ? a - b : 1; // missing cells come last
      if (y === null || y === undefined) return -1;
      return x < y ? -sign : x > y ? sign : a - b;
    });
    for (const [key, head] of heads) { head.setAttribute("aria-sort", key === name ? (sorted.down ? "descending" : "ascending") : "none"); head.querySelector("span").textContent = key === name ? (sorted.down ? " ▼" : " ▲") : ""; }
    filter();
  };
  let shownFrom = -1, shownTo = -1;
  const height = () => (drawn ? 7 : 2.5) * parseFloat(getComputedStyle(document.documentElement).fontSize) + 1;
  const spacer = (size) => element("tr", { class: "spacer", "aria-hidden": "true" }, element("td", { colspan: String(table.columns.length), style: `height:${size}px` }));
  const render = (always = true) => {
    const size = height(), from = Math.max(0, Math.floor(grid.scrollTop / size) - 8), to = Math.min(rows.length, Math.ceil((grid.scrollTop + grid.clientHeight) / size) + 8);
    if (!always && from === shownFrom && to === shownTo) return;
    [shownFrom, shownTo] = [from, to];
    const lines = [];
    if (from > 0) lines.push(spacer(from * size));
    for (let i = from; i < to; i++) {
      const row = rows[i];
      lines.push(element("tr", { "aria-rowindex": String(i + 2) }, ...table.columns.map((column) => {
        const cell = element("td", { class: column.kind === "number" ? "number" : "" });
        const shown = text(column, row);
        if (column.name === "object" && drawn) {
          const picture = element("div", { class: "picture" });
          cell.append(picture); cell.title = shown;
          alLoop.chem.draw(shown, 150, 105).then((svg) => { picture.replaceChildren(svg ?? element("code", {}, shown)); });
        } else if (column.name === "object") cell.append(element("code", {}, shown));
        else cell.textContent = shown;
        if (shown.length > 30) cell.title = shown;
        return cell;
      })));
    }
    if (to < rows.length) lines.push(spacer((rows.length - to) * size));
    body.replaceChildren(...lines);
  };
  // a spreadsheet takes a text that begins like this for a formula
  const inert = (cell) => /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  const quoted = (cell) => /[",\n\r]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell;
  const csv = () => {
    const cell = (column, row) => { const value = exact(table.value(column.name, row)); return quoted(column.kind === "number" ? value : inert(value)); };
    const lines = [table.columns.map((column) => quoted(inert(column.name))).join(",")];
    for (const row of rows) lines.push(table.columns.map((column) => cell(column, row)).join(","));
    alLoop.download(`${fileName}.csv`, "text/csv", [lines.join("\n"), "\n"]);
  };
  const oneLine = (value) => exact(value).replace(/[\r\n]+/g, " ");
  const sdf = async () => {
    const RDKit = await alLoop.chem.load(), parts = [];
    let skipped = 0, start = performance.now();
    for (let i = 0; i < rows.length; i++) {
      const block = alLoop.chem.molblock(RDKit, objects[rows[i]]);
      if (block === null) { skipped++; continue; }
      const properties = table.columns.map((column) => [column.name, oneLine(table.value(column.name, rows[i]))]).filter(([, value]) => value !== "");
      parts.push(block.trimEnd(), "\n", ...properties.flatMap(([name, value]) => [`>  <${name.replace(/[<>\r\n]/g, " ")}>\n${value}\n\n`]), "$$$$\n");
      if (performance.now() - start > 60) { count.textContent = `writing SDF: ${i + 1} of ${rows.length}`; await alLoop.chem.pause(); start = performance.now(); }
    }
    count.textContent = `${rows.length} of ${table.n} candidates${skipped ? `; ${skipped} are no molecules and not in the file` : ""}`;
    alLoop.download(`${fileName}.sdf`, "chemical/x-mdl-sdfile", parts);
  };
  const fasta = () => alLoop.download(`${fileName}.fasta`, "text/x-fasta", rows.map((row) => `>${oneLine(table.value("candidate", row))} ${first ? `${first}=${exact(table.value(first, row))}` : ""}\n${oneLine(objects[row])}\n`));
  const fileName = (facts.run.name.replace(/[^\w.-]+/g, "_") || "run") + "_candidates";
  const search = async () => {
    const wanted = pattern.value.trim(), id = ++searchId;
    searched = 1;
    if (wanted === "") { found = null; grid.setAttribute("aria-busy", "false"); filter(); return; }
    try {
      if (type === "molecule" && alLoop.chem.has()) {
        const all = { objects, order: table.order, isCanonical: facts.table.is_canonical };
        grid.setAttribute("aria-busy", "true");
        await alLoop.chem.search(all, wanted, (matches, share) => {
          if (id !== searchId) return;
          found = matches; searched = share;
          filter(share < 1);
        }, () => id !== searchId);
        if (id !== searchId) return;
        grid.setAttribute("aria-busy", "false");
        pattern.setAttribute("aria-invalid", "false");
        return;
      } else {
        const expression = new RegExp(wanted, "i");
        found = new Set(); objects.forEach((name, row) => { if (expression.test(name)) found.add(row); });
      }
      pattern.setAttribute("aria-invalid", "false");
      filter();
    } catch (error) { pattern.setAttribute("aria-invalid", "true"); count.textContent = `${wanted}: ${error.message}`; }
  };
  const later = (action, wait = 200) => { let timer = 0; return () => { clearTimeout(timer); timer = setTimeout(action, wait); }; };
  const reset = () => { for (const box of [textBox, pattern, low, high]) box.value = ""; for (const select of selects.values()) select.value = ""; found = null; searchId++; order = table.order.slice(); sorted = { name: null, down: false }; for (const head of heads.values()) { head.setAttribute("aria-sort", "none"); head.querySelector("span").textContent = ""; } filter(); };
  const controls = element("div", { class: "controls" },
    element("label", {}, "Text in any column", textBox),
    element("label", {}, { molecule: "Substructure (SMARTS or SMILES)", sequence: "Motif (. for any letter)" }[type] ?? "Pattern", pattern),
    ...[...selects].map(([name, select]) => element("label", {}, table.title(name), select)),
    element("fieldset", {}, element("legend", {}, "Limits"), which, low, high),
    element("button", { type: "button", id: "reset", onclick: reset }, "Reset"),
    element("button", { type: "button", id: "save-csv", onclick: csv }, "Download CSV"),
    type === "molecule" && alLoop.chem.has() ? element("button", { type: "button", id: "save-sdf", onclick: () => sdf().catch((error) => { count.textContent = `no SDF: ${error.message}`; }) }, "Download SDF") : null,
    type === "sequence" ? element("button", { type: "button", id: "save-fasta", onclick: fasta }, "Download FASTA") : null,
    type === "molecule" && alLoop.chem.has() ? element("button", { type: "button", id: "draw", "aria-pressed": "false", onclick: (event) => { drawn = !drawn; event.currentTarget.setAttribute("aria-pressed", String(drawn)); grid.classList.toggle("drawn", drawn); filter(); } }, "Draw structures") : null);
  const inner = element("table", { "aria-rowcount": String(table.n + 1) }, element("caption", { class: "skip" }, "All candidates"), element("thead", {}, element("tr", { "aria-rowindex": "1" }, ...table.columns.map((column) => {
    const head = element("th", { scope: "col", "aria-sort": "none", title: column.meaning }, element("button", { type: "button", onclick: () => sort(column.name) }, table.title(column.name), element("span", { "aria-hidden": "true" })));
    heads.set(column.name, head);
    return head;
  }))), body);
  grid.append(inner);
  grid.addEventListener("scroll", () => requestAnimationFrame(() => render(false)), { passive: true });
  new ResizeObserver(() => render()).observe(grid);
  for (const box of [textBox, low, high]) box.addEventListener("input", later(() => filter()));
  for (const select of [...selects.values(), which]) select.addEventListener("change", () => filter());
  pattern.addEventListener("input", later(search, 400));
  pattern.addEventListener("keydown", (event) => { if (event.key === "Enter") search(); });
  root.replaceChildren(controls, count, grid);
  filter();
  return { reset };
};
