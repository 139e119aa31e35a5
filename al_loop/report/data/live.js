"use strict";
// The live page asks its server for news, and takes over what is new without losing filters, place and open parts.
(() => {
  const note = alLoop.element("span", { class: "badge", id: "live", role: "status" }, "live");
  document.querySelector(".bar").insertBefore(note, document.getElementById("theme"));
  const say = (text, isGood) => { if (note.textContent !== text) note.textContent = text; note.classList.toggle("state-running", isGood); note.classList.toggle("state-stopped", !isGood); };
  const kept = () => {
    const fields = [...document.querySelectorAll("main input[id], main select[id]")].map((field) => [field.id, field.value]);
    const open = new Set([...document.querySelectorAll("main details[open] > summary")].map((summary) => summary.textContent.replace(/\d+/g, "")));
    return { fields, open, top: scrollY, grid: document.querySelector(".grid")?.scrollTop ?? 0, by: document.getElementById("chart-map")?.dataset.by, focus: document.activeElement?.id };
  };
  const restore = (state) => {
    for (const summary of document.querySelectorAll("main details > summary")) if (state.open.has(summary.textContent.replace(/\d+/g, ""))) summary.parentElement.open = true;
    for (const [id, value] of state.fields) { const field = document.getElementById(id); if (field && field.value !== value) { field.value = value; field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input")); } }
    const map = document.getElementById("chart-map");
    if (map && state.by) { map.dataset.by = state.by; alLoop.redraw("map"); }
    if (state.focus) document.getElementById(state.focus)?.focus({ preventScroll: true });
    scrollTo({ top: state.top, behavior: "instant" });
    const grid = document.querySelector(".grid");
    if (grid) grid.scrollTop = state.grid;
  };
  const takeOver = async () => {
    const response = await fetch(location.pathname, { cache: "no-store" });
    if (!response.ok) throw new Error(String(response.status));
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html"), state = kept();
    for (const selector of ["#main", "nav", ".badge:not(#live)"]) document.querySelector(selector).replaceWith(document.importNode(fresh.querySelector(selector), true));
    document.getElementById("facts").textContent = fresh.getElementById("facts").textContent;
    document.body.dataset.live = fresh.body.dataset.live;
    await alLoop.start();
    restore(state);
  };
  const check = async () => {
    try {
      const response = await fetch("version", { cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      if ((await response.text()) !== document.body.dataset.live) { say("live, updating", true); await takeOver(); }
      say("live", true);
    } catch { say("no answer from the server", false); }
    setTimeout(check, document.hidden ? 30000 : 3000);
  };
  setTimeout(check, 3000);
})();
