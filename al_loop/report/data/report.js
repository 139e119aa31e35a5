"use strict";
(() => {
  let watcher = null, nodes = [], charts = null, timer = 0, width = innerWidth;
  const redraw = (name) => nodes.filter((node) => node.dataset.drawn && (!name || node.dataset.chart === name)).forEach(charts.draw);
  const show = (node) => { charts.draw(node); node.dataset.drawn = "yes"; };
  // called again when a live page has news
  alLoop.start = async () => {
    const facts = await (await alLoop.packed("facts")).json();
    alLoop.chem.forget();
    charts = alLoop.charts(facts); nodes = [...document.querySelectorAll("[data-chart]")];
    watcher?.disconnect();
    // a chart is drawn when it comes near the screen, so that a large page opens at once
    watcher = new IntersectionObserver((entries) => { for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); show(entry.target); } }, { rootMargin: "600px" });
    nodes.forEach((node) => watcher.observe(node));
    alLoop.candidates(facts, document.getElementById("table"));
    document.documentElement.dataset.ready = "yes";
  };
  alLoop.redraw = redraw;
  alLoop.themeButton();
  alLoop.onTheme(() => redraw());
  addEventListener("resize", () => { if (innerWidth === width) return; width = innerWidth; clearTimeout(timer); timer = setTimeout(() => redraw(), 200); });
  addEventListener("beforeprint", () => nodes.filter((node) => !node.dataset.drawn).forEach(show));
  alLoop.start().catch((error) => {
    document.getElementById("table").textContent = `This browser cannot show charts and table (${error.message}); a current one can.`;
    console.error(error);
  });
})();
