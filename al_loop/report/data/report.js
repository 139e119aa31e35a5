"use strict";
(() => {
  let nodes = [], charts = null, timer = 0, width = innerWidth;
  const redraw = (name) => nodes.filter((node) => !name || node.dataset.chart === name).forEach(charts.draw);
  // called again when a live page has news
  alLoop.start = async () => {
    const facts = await (await alLoop.packed("facts")).json();
    alLoop.chem.forget();
    charts = alLoop.charts(facts); nodes = [...document.querySelectorAll("[data-chart]")];
    redraw(); // all of them: one drawn later would move what is below it away from the reader's pointer
    alLoop.candidates(facts, document.getElementById("table"));
    document.documentElement.dataset.ready = "yes";
  };
  alLoop.redraw = redraw;
  alLoop.themeButton();
  alLoop.onTheme(() => redraw());
  addEventListener("resize", () => { if (innerWidth === width) return; width = innerWidth; clearTimeout(timer); timer = setTimeout(() => redraw(), 200); });
  alLoop.start().catch((error) => {
    document.getElementById("table").textContent = `This browser cannot show charts and table (${error.message}); a current one can.`;
    console.error(error);
  });
})();
