"use strict";
// Shared by all pages: unpacking, numbers, elements, theme. Text of the ledger only ever becomes textContent.
const alLoop = (() => {
  const bytesOf = (text) => { const raw = atob(text.trim()), bytes = new Uint8Array(raw.length); for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i); return bytes; };
  const unpack = (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  const packed = async (id) => unpack(bytesOf(document.getElementById(id).textContent));
  const short = (value, digits = 4) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(Math.max(digits - 1, 1));
    if (Number.isInteger(value)) return String(value);
    return String(Number(value.toPrecision(Math.max(digits, Math.floor(Math.log10(size || 1)) + 1))));
  };
  const element = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "class") node.className = value;
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };
  const download = (name, type, parts) => {
    const link = element("a", { href: URL.createObjectURL(new Blob(parts, { type })), download: name });
    document.body.append(link); link.click(); link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const isDark = () => { const set = document.documentElement.dataset.theme; return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; };
  const listeners = [];
  const onTheme = (listener) => listeners.push(listener);
  const themeButton = () => {
    const button = document.getElementById("theme");
    if (button) button.onclick = () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; listeners.forEach((listener) => listener()); };
    if (isDark()) document.documentElement.dataset.theme = "dark";
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => listeners.forEach((listener) => listener()));
  // a column of the table: its cell in a row, as a value and as text
  class Table {
    constructor(facts) {
      this.n = facts.table.n; this.columns = facts.table.columns; this.order = facts.table.order;
      this.byName = new Map(this.columns.map((column) => [column.name, column]));
    }
    has(name) { return this.byName.has(name); }
    value(name, row) {
      const column = this.byName.get(name);
      if (!column) return null;
      const cell = column.cells[row];
      return column.kind === "category" ? (cell < 0 ? null : column.names[cell]) : cell;
    }
    title(name) { const c = this.byName.get(name); return c ? c.label + (c.unit && c.unit !== "time, UTC" ? ` (${c.unit})` : "") : name; }
  }
  return { packed, unpack, short, element, download, isDark, onTheme, themeButton, Table };
})();
