"use strict";
// RDKit, compiled to WebAssembly, is unpacked when the first structure has to be drawn or searched.
alLoop.chem = (() => {
  let loading = null;
  const has = () => document.getElementById("rdkit-wasm") !== null;
  const load = () => loading ??= (async () => {
    const [code, wasm] = await Promise.all([alLoop.packed("rdkit-js").then((r) => r.text()), alLoop.packed("rdkit-wasm").then((r) => r.arrayBuffer())]);
    if (typeof initRDKitModule === "undefined") { const script = document.createElement("script"); script.textContent = code; document.head.append(script); }
    // where the browser cannot compile it, RDKit itself would wait for ever
    const RDKit = await new Promise((resolve, reject) => {
      const instantiateWasm = (imports, receive) => { WebAssembly.instantiate(wasm, imports).then((result) => receive(result.instance)).catch(reject); return {}; };
      initRDKitModule({ instantiateWasm, print: () => {}, printErr: () => {} }).then(resolve, reject);
    });
    RDKit.prefer_coordgen?.(false);
    try { RDKit.disable_logging?.(); } catch { /* an older build */ }
    return RDKit;
  })();
  // an svg element of the structure, or null; RDKit's text is parsed as an image's XML, so nothing in it can run
  const draw = async (smiles, width, height) => {
    let RDKit = null, molecule = null;
    try { RDKit = await load(); molecule = RDKit.get_mol(smiles); } catch { return null; }
    if (!molecule) return null;
    try {
      const text = molecule.get_svg_with_highlights(JSON.stringify({ width, height, clearBackground: false, padding: 0.06 }));
      const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
      svg.setAttribute("role", "img"); svg.setAttribute("aria-label", "structure");
      return document.importNode(svg, true);
    } finally { molecule.delete(); }
  };
  const molblock = (RDKit, smiles) => {
    let molecule = null;
    try { molecule = RDKit.get_mol(smiles); if (!molecule) return null; molecule.set_new_coords(); return molecule.get_molblock(); } catch { return null; } finally { molecule?.delete(); }
  };
  const pause = () => new Promise((resolve) => setTimeout(resolve));
  // molecules that were read, in libraries of a few thousand; each search goes on where the last one stopped reading
  const SHARD = 2000, library = { shards: [], next: 0 };
  const forget = () => { library.shards.forEach((shard) => shard.molecules.delete()); library.shards = []; library.next = 0; };
  const read = async (RDKit, objects, order, isCanonical, isStopped) => {
    const molecules = new RDKit.SubstructLibrary(), rows = [], end = Math.min(library.next + SHARD, order.length);
    let start = performance.now();
    for (let i = library.next; i < end; i++) {
      let index = -1;
      try { index = isCanonical ? molecules.add_trusted_smiles(objects[order[i]]) : molecules.add_smiles(objects[order[i]]); } catch { index = -1; }
      if (index >= 0) rows[index] = order[i];
      if (performance.now() - start > 60) { await pause(); if (isStopped()) { molecules.delete(); return null; } start = performance.now(); }
    }
    library.next = end;
    library.shards.push({ molecules, rows });
    return library.shards.at(-1);
  };
  // onProgress(rows that match so far, share of the molecules searched), best first; true once all are searched
  const search = async ({ objects, order, isCanonical }, pattern, onProgress, isStopped) => {
    const RDKit = await load();
    let query = null;
    try { query = RDKit.get_qmol(pattern); } catch { query = null; }
    if (!query) throw new Error("not a SMARTS or SMILES pattern");
    const found = new Set();
    let shown = performance.now();
    try {
      for (let i = 0; i < library.shards.length || library.next < order.length; i++) {
        const shard = library.shards[i] ?? await read(RDKit, objects, order, isCanonical, isStopped);
        if (shard === null || isStopped()) return false;
        for (const index of JSON.parse(shard.molecules.get_matches(query, true, 1, SHARD))) found.add(shard.rows[index]);
        if (performance.now() - shown > 700) { onProgress(found, Math.min((i + 1) * SHARD / order.length, 1)); shown = performance.now(); await pause(); }
      }
    } finally { query.delete(); }
    onProgress(found, 1);
    return true;
  };
  return { has, forget, load, draw, molblock, search, pause };
})();
