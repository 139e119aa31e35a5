"use strict";
(async () => {
  alLoop.themeButton();
  const start = async () => {
    const facts = await (await alLoop.packed("facts")).json();
    const charts = alLoop.charts(facts), nodes = [...document.querySelectorAll("[data-chart]")];
    // a chart is drawn when it comes near the screen, so that a large page opens at once
    const watcher = new IntersectionObserver((entries) => { for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); charts.draw(entry.target); entry.target.dataset.drawn = "yes"; } }, { rootMargin: "600px" });
    nodes.forEach((node) => watcher.observe(node));
    const redraw = (name) => nodes.filter((node) => node.dataset.drawn && (!name || node.dataset.chart === name)).forEach(charts.draw);
    alLoop.redraw = redraw;
    alLoop.onTheme(() => redraw());
    let timer = 0, width = innerWidth;
    addEventListener("resize", () => { if (innerWidth === width) return; width = innerWidth; clearTimeout(timer); timer = setTimeout(redraw, 200); });
    addEventListener("beforeprint", () => nodes.filter((node) => !node.dataset.drawn).forEach((node) => { charts.draw(node); node.dataset.drawn = "yes"; }));
    alLoop.candidates(facts, document.getElementById("table"));
    document.documentElement.dataset.ready = "yes";
  };
  try { await start(); } catch (error) {
    document.getElementById("table").textContent = `This browser cannot show charts and table (${error.message}); a current one can.`;
    console.error(error);
  }
})();
