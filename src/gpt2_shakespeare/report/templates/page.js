"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const colour = (row) => `var(${data.rows[row] ? data.rows[row].style : "--base"})`;

function make(name, attributes = {}, text = "") {
  const svg = ["svg", "g", "path", "line", "circle", "text"].includes(name);
  const found = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.textContent = text;
  return found;
}

function options(select, values, chosen) {
  select.replaceChildren(...values.map(([value, text]) => make("option", { value }, text)));
  if (chosen !== undefined) select.value = String(chosen);
  return select;
}

// --- table ---------------------------------------------------------------------------------------------------------

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("thead th")];
  const key = (line, column) => {
    const cell = line.children[column];
    const number = parseFloat(cell.dataset.key);
    return cell.dataset.key === undefined || Number.isNaN(number) ? cell.textContent.trim() : number;
  };
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const compare = (a, b) => {
      const [x, y] = [key(a, column), key(b, column)];
      if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1; // what isn't there comes last
      const order = typeof x === "number" ? x - y : x.localeCompare(y);
      return down ? -order : order;
    };
    body.replaceChildren(...[...body.rows].sort(compare));
  }));
}

// --- charts --------------------------------------------------------------------------------------------------------

function ticks(low, high, log) {
  const found = [];
  if (log) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
  } else {
    const rough = (high - low) / 6;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((digit) => digit * unit).find((size) => size >= rough);
    for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(n * step);
  }
  return found.filter((tick) => tick >= low && tick <= high);
}

/** Draws lines with axes into a box: series of {row, x, y, tips, thin, points, end: text at its last point}, of which y may have gaps. */
function chart(box, { series, log, xLabel, yLabel, level, label }) {
  const width = Math.max(300, box.clientWidth), height = Math.min(440, Math.max(300, width * 0.55));
  const left = 48, right = 12, top = 20, bottom = 42;
  const shown = series.map((one) => one.x.map((x, n) => [x, one.y[n], n]).filter(([x, y]) => x !== null && y !== null && (!log || x > 0)));
  const all = shown.flat();
  if (!all.length) { box.replaceChildren(make("p", {}, "No row is chosen.")); return; }
  const span = (values) => [Math.min(...values), Math.max(...values)];
  const [x0, x1] = span(all.map((point) => point[0]));
  let [y0, y1] = span([...all.map((point) => point[1]), ...(level ? [level.y] : [])]);
  const pad = (y1 - y0 || 1) * 0.05;
  y0 -= series.some((one) => one.end) ? 2.5 * pad : pad; y1 += pad;
  const scale = log ? Math.log : (value) => value;
  const sx = (x) => left + (width - left - right) * (scale(x) - scale(x0)) / (scale(x1) - scale(x0) || 1);
  const sy = (y) => top + (height - top - bottom) * (y1 - y) / (y1 - y0);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-label": label });
  const axis = svg.appendChild(make("g", { class: "axis" }));
  for (const tick of ticks(x0, x1, log)) {
    axis.append(make("line", { x1: sx(tick), x2: sx(tick), y1: top, y2: height - bottom }));
    axis.append(make("text", { x: sx(tick), y: height - bottom + 16, "text-anchor": "middle" }, String(+tick.toPrecision(4))));
  }
  for (const tick of ticks(y0, y1, false)) {
    axis.append(make("line", { x1: left, x2: width - right, y1: sy(tick), y2: sy(tick) }));
    axis.append(make("text", { x: left - 6, y: sy(tick) + 4, "text-anchor": "end" }, String(+tick.toPrecision(4))));
  }
  axis.append(make("text", { class: "label", x: width - right, y: height - 6, "text-anchor": "end" }, xLabel));
  axis.append(make("text", { class: "label", x: 2, y: 12 }, yLabel));
  if (level) {
    svg.append(make("line", { x1: left, x2: width - right, y1: sy(level.y), y2: sy(level.y), stroke: "var(--base)", "stroke-dasharray": "2 3" }));
    svg.append(make("text", { class: "label", x: width - right, y: sy(level.y) - 5, "text-anchor": "end" }, level.text));
  }
  series.forEach((one, place) => {
    const d = shown[place].map(([x, y], n) => `${n ? "L" : "M"}${sx(x).toFixed(1)} ${sy(y).toFixed(1)}`).join("");
    const dash = one.thin ? "4 3" : data.rows[one.row].dash ? "8 3 2 3" : "none";
    svg.append(make("path", { d, fill: "none", stroke: colour(one.row), "stroke-width": one.thin ? 1 : 2, "stroke-dasharray": dash, opacity: one.thin ? 0.6 : 1 }));
    if (one.end && shown[place].length) {
      const [x, y] = shown[place].at(-1);
      svg.append(make("text", { x: sx(x), y: sy(y) + 17, "text-anchor": "end" }, one.end));
    }
    if (one.points) for (const [x, y] of shown[place]) svg.append(make("circle", { cx: sx(x), cy: sy(y), r: 3, style: `fill:${colour(one.row)}` }));
  });
  const dot = svg.appendChild(make("circle", { r: 5, style: "fill:none;stroke:var(--ink);stroke-width:2;visibility:hidden" }));
  const tip = make("div", { class: "tip", role: "status", hidden: "" });
  const spots = shown.flatMap((points, place) => points.map(([x, y, n], nth) => ({ x: sx(x), y: sy(y), place, nth, text: series[place].tips[n] })));
  let here = null;
  const show = (spot) => {
    here = spot;
    dot.setAttribute("cx", spot.x); dot.setAttribute("cy", spot.y); dot.style.visibility = "visible";
    tip.textContent = spot.text; tip.hidden = false;
    const ratio = box.clientWidth / width;
    const x = Math.min(spot.x * ratio + 12, box.clientWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(0, x)}px`; tip.style.top = `${Math.max(0, spot.y * ratio - tip.offsetHeight - 10)}px`;
  };
  const hide = () => { tip.hidden = true; dot.style.visibility = "hidden"; };
  svg.addEventListener("pointermove", (event) => {
    const place = svg.getBoundingClientRect(), ratio = width / place.width;
    const [x, y] = [(event.clientX - place.left) * ratio, (event.clientY - place.top) * ratio];
    const far = (spot) => (spot.x - x) ** 2 + (spot.y - y) ** 2;
    show(spots.reduce((best, spot) => (far(spot) < far(best) ? spot : best)));
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const [along, across] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] || [0, 0];
    if (event.key === "Escape") return hide();
    if (!along && !across) return;
    event.preventDefault();
    if (!here) return show(spots[0]);
    const lines = shown.map((_, place) => place).filter((place) => shown[place].length);
    const next = lines[(lines.indexOf(here.place) + across + lines.length) % lines.length];
    const line = spots.filter((spot) => spot.place === next);
    show(line[Math.min(line.length - 1, Math.max(0, here.nth + along))]);
  });
  box.replaceChildren(svg, tip);
}

const drawn = [];
function keep(draw) { drawn.push(draw); draw(); }
let waiting = 0;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => drawn.forEach((draw) => draw()), 150); });

/** Boxes to tick, a row each; gives the function that says whether a row is wanted. */
function legend(name, draw, lines = data.curves) {
  const box = document.querySelector(`[data-legend="${name}"]`);
  const rows = [...new Set(lines.map((line) => line.row))];
  for (const row of rows) {
    const label = make("label");
    const input = make("input", { type: "checkbox", checked: "" });
    input.dataset.row = row;
    input.addEventListener("change", () => draw());
    label.append(input, make("span", { class: "swatch", style: `background:${colour(row)}` }), make("span", {}, row));
    box.append(label);
  }
  return (row) => box.querySelector(`[data-row="${CSS.escape(row)}"]`).checked;
}

const told = (curve, n, more = "") =>
  `${curve.row}, seed ${curve.seed}\nstep ${curve.step[n]}, ${curve.passes[n].toFixed(2)} passes\ndev ${curve.dev_loss[n].toFixed(3)}, train ${curve.train_loss[n].toFixed(3)}${more}`;

let wanted = () => true;
function curves() {
  const series = data.curves.filter((curve) => wanted(curve.row)).flatMap((curve) => {
    const tips = curve.step.map((_, n) => told(curve, n));
    return ["train_loss", "dev_loss"].map((kind) => ({ row: curve.row, x: curve.passes, y: curve[kind], tips, thin: kind === "train_loss" }));
  });
  const level = data.base.dev_loss && { y: data.base.dev_loss, text: `base, zero-shot: ${data.base.dev_loss.toFixed(2)}` };
  chart($("chart-curves"), { series, log: true, xLabel: "passes over the training text (log scale)", yLabel: "loss, nats per token", level, label: "Loss of every row against passes; use the arrow keys" });
}
wanted = legend("curves", curves);
keep(curves);

if ($("chart-learning")) {
  let chosen = () => true;
  const learning = () => {
    const series = data.learning.filter((line) => chosen(line.row)).map((line) => ({
      row: line.row, end: line.row, points: true, x: line.share.map((share) => 100 * share), y: line.val_loss,
      tips: line.share.map((share, n) => `${line.row}\n${+(100 * share).toPrecision(3)} % of train, ${line.tokens[n].toLocaleString("en")} tokens\nval ${line.val_loss[n].toFixed(3)}`),
    }));
    chart($("chart-learning"), { series, log: true, xLabel: "share of train in % (log scale)", yLabel: "val loss, nats per token", label: "Val loss against the share of train; use the arrow keys" });
  };
  chosen = legend("learning", learning, data.learning);
  keep(learning);
}

if ($("chart-forgetting")) {
  let chosen = () => true;
  const forgetting = () => {
    const key = $("other").value, name = data.others[key];
    const series = data.curves.filter((curve) => curve[key] && chosen(curve.row)).map((curve) => {
      const tip = (value, n) => told(curve, n, value === null ? "" : `\n${name} ${value.toFixed(3)}`);
      return {
        row: curve.row, points: true, x: [data.base.dev_loss ?? null, ...curve.dev_loss], y: [data.base[key], ...curve[key]],
        tips: [`base\ndev ${data.base.dev_loss}\n${name} ${data.base[key]}`, ...curve[key].map(tip)],
      };
    });
    chart($("chart-forgetting"), { series, log: false, xLabel: "dev loss: learning goes to the left", yLabel: `loss on ${name}: forgetting goes up`, label: "Loss on other text against dev loss; use the arrow keys" });
  };
  chosen = legend("forgetting", forgetting);
  $("other").addEventListener("change", forgetting);
  keep(forgetting);
}

// --- samples -------------------------------------------------------------------------------------------------------

const texts = data.samples;
const sampled = [...new Set(texts.items.map((item) => item.row))];
options($("prompt"), texts.prompts.map((prompt, n) => [n, prompt.trim() || "(empty)"]));
options($("temperature"), texts.temperatures.map((t) => [t, t === 0 ? "0 (greedy)" : `${t}${t === texts.temperature ? ` (top-p ${texts.top_p})` : ""}`]), texts.temperature);
options($("row"), [["", "all, side by side"], ...sampled.map((row) => [row, row])]);

function marked(item) {
  const parts = [];
  let done = 0;
  for (const [start, end] of item.copied) {
    parts.push(item.characters.slice(done, start).join(""), make("mark", { title: "word for word in the training text" }, item.characters.slice(start, end).join("")));
    done = end;
  }
  return [...parts, item.characters.slice(done).join("")];
}

function cards() {
  const at = texts.items.filter((item) => item.prompt === +$("prompt").value && item.temperature === +$("temperature").value);
  const most = Math.max(1, ...sampled.map((row) => at.filter((item) => item.row === row).length));
  const nth = Math.min(+$("sample").value || 0, most - 1);
  options($("sample"), Array.from({ length: most }, (_, n) => [n, `${n + 1} of ${most}`]), nth);
  const rows = $("row").value ? [$("row").value] : sampled;
  $("cards").replaceChildren(...rows.map((row) => {
    const item = at.filter((one) => one.row === row)[nth];
    const card = make("article", { class: "card", style: `--row:${colour(row)}` });
    const head = make("h3", {}, `${row} `);
    card.append(head);
    if (!item) { card.append(make("p", {}, "No sample.")); return card; }
    item.characters ??= Array.from(item.text);
    const copied = item.copied.reduce((sum, [start, end]) => sum + end - start, 0);
    head.append(make("small", {}, `seed ${item.seed}, ${Math.round(100 * copied / Math.max(1, item.characters.length))} % copied`));
    const text = make("p", { tabindex: "0" });
    text.append(make("span", { class: "prompt" }, texts.prompts[item.prompt]), ...marked(item));
    card.append(text);
    return card;
  }));
}
for (const id of ["prompt", "temperature", "sample", "row"]) $(id).addEventListener("change", cards);
cards();

// --- decoding ------------------------------------------------------------------------------------------------------

const grid = data.decoding;
options($("grid-row"), Object.keys(grid.rows).map((row) => [row, row]));

function cells() {
  const found = grid.rows[$("grid-row").value] || [], figure = $("grid-figure").value;
  const human = grid.human[figure];
  const off = (cell) => Math.abs(figure === "off" || human === undefined ? cell[figure] : Math.log(cell[figure] / human));
  const far = (cell) => Math.log(Math.max(off(cell), 1e-3)); // as greedy text is far out
  const known = found.filter((cell) => cell[figure] !== undefined).map(far).filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const table = make("table");
  const head = table.createTHead().insertRow();
  head.append(make("th", {}, "temperature"), ...grid.top_ps.map((p) => make("th", {}, `top-p ${p}`)));
  const body = table.createTBody();
  for (const temperature of grid.temperatures) {
    const line = body.insertRow();
    line.append(make("th", { scope: "row" }, temperature === 0 ? "0 (greedy)" : String(temperature)));
    for (const cell of found.filter((one) => one.temperature === temperature)) {
      const value = cell[figure], near = 1 - (far(cell) - low) / (high - low || 1);
      const shade = Number.isFinite(near) ? `background:rgba(var(--shade), ${(0.05 + 0.4 * near).toFixed(2)})` : "";
      const colspan = temperature === 0 ? grid.top_ps.length : 1;
      line.append(make("td", { colspan, style: shade }, value === undefined ? "–" : value.toFixed(3)));
    }
  }
  const said = figure === "off" ? `Another draw of human text: ${human ?? "–"}.` : `Human text: ${human ?? "–"}.`;
  $("grid").replaceChildren(table, make("p", {}, said));
}
for (const id of ["grid-row", "grid-figure"]) $(id).addEventListener("change", cells);
cells();

// --- conditions, in a copy that has them ---------------------------------------------------------------------------

const conditions = JSON.parse($("conditions-data").textContent);
if (conditions) {
  const facts = {};
  for (const stage of Object.values(conditions.stages))
    for (const [key, value] of Object.entries(stage)) if (key !== "seconds") (facts[key] ??= new Set()).add([value].flat().join(", "));
  const list = make("dl");
  for (const [key, values] of Object.entries(facts)) list.append(make("dt", {}, key), make("dd", {}, [...values].join("; ")));
  const times = Object.entries(conditions.stages).map(([name, stage]) => `${name} ${stage.seconds} s`).join(", ");
  list.append(make("dt", {}, "time of each stage"), make("dd", {}, times));
  $("conditions").replaceChildren(list);
}
