"use strict";
// RDKit, compiled to WebAssembly, is unpacked when the first structure has to be drawn or searched.
alLoop.chem = (() => {
  let loading = null;
  const has = () => document.getElementById("rdkit-wasm") !== null;
  const load = () => loading ??= (async () => {
    const [code, wasm] = await Promise.all([alLoop.packed("rdkit-js").then((r) => r.text()), alLoop.packed("rdkit-wasm").then((r) => r.arrayBuffer())]);
    if (typeof initRDKitModule === "undefined") { const script = document.createElement("script"); script.textContent = code; document.head.append(script); }
    const RDKit = await initRDKitModule({ instantiateWasm: (imports, receive) => { WebAssembly.instantiate(wasm, imports).then((result) => receive(result.instance)); return {}; }, print: () => {}, printErr: () => {} });
    RDKit.prefer_coordgen?.(false);
    try { RDKit.disable_logging?.(); } catch { /* an older build */ }
    return RDKit;
  })();
  // an svg element of the structure, or null; RDKit's text is parsed as an image's XML, so nothing in it can run
  const draw = async (smiles, width, height) => {
    const RDKit = await load();
    let molecule = null;
    try { molecule = RDKit.get_mol(smiles); } catch { return null; }
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
  const library = { molecules: null };
  // calls onProgress(share) while the molecules are read for the first time; returns the set of rows that match
  const search = async (objects, pattern, onProgress, isStopped) => {
    const RDKit = await load();
    let query = null;
    try { query = RDKit.get_qmol(pattern); } catch { query = null; }
    if (!query || !query.is_valid?.() && query.is_valid) throw new Error("not a SMARTS or SMILES pattern");
    const found = new Set();
    try {
      if (!library.molecules) {
        const molecules = new RDKit.SubstructLibrary(), rows = [];
        let start = performance.now();
        for (let i = 0; i < objects.length; i++) {
          let index = -1;
          try { index = molecules.add_smiles(objects[i]); } catch { index = -1; }
          if (index >= 0) rows[index] = i;
          if (performance.now() - start > 60) { onProgress(i / objects.length); await pause(); if (isStopped()) { molecules.delete(); return null; } start = performance.now(); }
        }
        library.molecules = molecules; library.rows = rows;
      }
      onProgress(1);
      await pause();
      for (const index of JSON.parse(library.molecules.get_matches(query, true, 1, objects.length))) found.add(library.rows[index]);
    } finally { query.delete(); }
    return found;
  };
  return { has, load, draw, molblock, search, pause };
})();
