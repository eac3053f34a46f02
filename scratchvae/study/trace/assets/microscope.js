"use strict";
// One training step, shown moment by moment. The data stand in #data; arrays are base64 of little-endian numbers: after a d float64, after an f float32.

const data = JSON.parse(document.getElementById("data").textContent);
const steps = data.steps;
const byId = (id) => document.getElementById(id);
const arrays = new Map();
let current = -1;

function array(number) {
  if (!arrays.has(number)) {
    const bytes = Uint8Array.from(atob(data.arrays[number].slice(1)), (c) => c.charCodeAt(0)).buffer;
    arrays.set(number, data.arrays[number][0] === "f" ? new Float32Array(bytes) : new Float64Array(bytes));
  }
  return arrays.get(number);
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function short(v) {
  if (Number.isNaN(v)) return "–";
  const size = Math.abs(v);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? v.toExponential(2) : String(Number(v.toPrecision(size < 0.1 ? 3 : 4)));
  return text.replace(/^-/, "−").replace("e-", "e−").replace("e+", "e");
}

// Colours -------------------------------------------------------------------------------------------------------------

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : systemDark.matches;
};
const SIGNED = { // negative, zero, positive: blue and orange differ for every kind of colour vision
  light: [[8, 75, 148], [128, 178, 222], [247, 246, 243], [240, 165, 95], [163, 67, 0]],
  dark: [[128, 196, 255], [38, 106, 173], [29, 32, 38], [176, 84, 16], [255, 178, 102]],
};

function colour(v, limit, kind) {
  if (kind === "image") {
    const gray = Math.round(255 * Math.min(1, Math.max(0, v)));
    return [gray, gray, gray];
  }
  const ramp = SIGNED[isDark() ? "dark" : "light"];
  const place = limit > 0 ? 2 + 2 * Math.max(-1, Math.min(1, v / limit)) : 2;
  const low = Math.min(3, Math.floor(place));
  return ramp[low].map((c, i) => Math.round(c + (place - low) * (ramp[low + 1][i] - c)));
}

const css = (rgb) => `rgb(${rgb.join(" ")})`;
const inkOn = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#111318" : "#ffffff");
const largest = (numbers) => numbers.reduce((m, v) => (Number.isNaN(v) ? m : Math.max(m, Math.abs(v))), 0);

function legend(limit, kind) {
  const [from, to] = kind === "image" ? [0, 1] : [kind === "signed" ? -limit : 0, limit];
  const stops = Array.from({ length: 9 }, (_, i) => css(colour(from + (i / 8) * (to - from), limit, kind)));
  const bar = make("i", { style: `background: linear-gradient(to right, ${stops.join(",")})` });
  if (kind === "signed") bar.className = "zero";
  const words = kind === "image" ? "black 0 to white 1" : kind === "positive" ? `from 0 to ${short(limit)}` : `from ${short(-limit)} through 0, the mark, to ${short(limit)}`;
  return make("div", { class: "legend", role: "img", "aria-label": `Colours: ${words}` }, short(from), bar, short(to));
}

// Arrays ----------------------------------------------------------------------------------------------------------------

const COLOURS = ["red", "green", "blue"];
const columnOf = (value, i) => (value.ids ? value.ids[i] : i);
// A float32 is told by 9 digits.
const full = (v, numbers) => (numbers instanceof Float32Array ? String(Number(v.toPrecision(9))) : String(v));

function whereOf(value, row, column) {
  const parts = [value.names[0][row]];
  if (value.tile) {
    const [, wide, colours = 1] = value.tile, pixel = Math.floor(column / colours);
    parts.push(`pixel ${pixel} (row ${Math.floor(pixel / wide)}, column ${pixel % wide}${colours > 1 ? `, ${COLOURS[column % colours]}` : ""})`);
  } else if (value.columns > 1) parts.push(`${value.names[1]} ${columnOf(value, column)}`);
  return parts.filter(Boolean).join(", ");
}

// The number under the pointer or the cursor, in full, beside it.
function readOut(value, k, v, box) {
  const where = whereOf(value, Math.floor(k / value.columns), k % value.columns);
  const readout = byId("readout");
  readout.textContent = where ? `${where}: ${v}` : String(v);
  readout.dataset.index = k;
  readout.hidden = false;
  const wide = readout.offsetWidth, high = readout.offsetHeight;
  readout.style.left = `${Math.max(4, Math.min(box.right + 10, innerWidth - wide - 4))}px`;
  readout.style.top = `${box.top > high + 12 ? box.top - high - 8 : box.bottom + 8}px`;
}
const readNothing = () => { byId("readout").hidden = true; };

function table(value, numbers, limit) {
  const wrap = value.rows === 1 && value.columns > 9 ? 8 : value.columns;
  const body = make("table", { class: "numbers" });
  if (value.columns > 1) {
    const heads = Array.from({ length: wrap }, (_, c) => make("th", { scope: "col" }, String(wrap < value.columns ? c : columnOf(value, c))));
    body.append(make("tr", {}, make("th", {}, value.names[1]), ...heads));
  }
  for (let start = 0; start < numbers.length; start += wrap) {
    const name = wrap < value.columns ? `${start} +` : value.names[0][start / wrap];
    const row = make("tr", {}, make("th", { scope: "row" }, name));
    for (let k = start; k < Math.min(start + wrap, numbers.length); k++) {
      const rgb = colour(numbers[k], limit, value.kind);
      const cell = make("td", { "data-value": String(numbers[k]), "data-index": k }, short(numbers[k]));
      cell.style.background = css(rgb);
      cell.style.color = inkOn(rgb);
      row.append(cell);
    }
    body.append(row);
  }
  return make("div", { class: "scroll" }, body);
}

const STRIP = 400; // numbers in a line of a vector

// Where each number of a heat map stands: tiles side by side with a gap, a long vector broken into lines.
function layout(value) {
  const count = value.rows * value.columns;
  if (value.view !== "tiles") {
    const width = value.view === "strip" ? Math.min(value.columns, STRIP) : value.columns, lines = Math.ceil(value.columns / width);
    return {
      width,
      height: value.rows * lines,
      at: (k) => [(k % value.columns) % width, Math.floor(k / value.columns) * lines + Math.floor((k % value.columns) / width)],
    };
  }
  const [high, wide, colours = 1] = value.tile; // each colour has a tile of its own
  const across = colours * Math.ceil(Math.sqrt(value.rows / colours));
  return {
    width: across * (wide + 1) - 1,
    height: Math.ceil((value.rows * colours) / across) * (high + 1) - 1,
    at: (k) => {
      const column = k % value.columns, pixel = Math.floor(column / colours);
      const tile = Math.floor(k / value.columns) * colours + (column % colours);
      return [(tile % across) * (wide + 1) + (pixel % wide), Math.floor(tile / across) * (high + 1) + Math.floor(pixel / wide)];
    },
  };
}

function heatMap(value, numbers, limit) {
  const plan = layout(value);
  const target = value.rows > 1 && value.role === "out" ? 350 : value.role === "in" && value.kind === "signed" ? 190 : 250;
  const zoom = Math.max(1, Math.min(14, Math.floor(target / plan.width)));
  const canvas = make("canvas", { width: plan.width, height: plan.height, tabindex: 0, role: "img", "data-array": value.name });
  canvas.style.width = `${plan.width * zoom}px`;
  if (value.view === "strip") {
    canvas.className = "vector";
    canvas.style.width = "";
    canvas.style.height = `${Math.max(22, Math.min(22, 200 / plan.height)) * plan.height}px`;
  }
  const range = `${short(Math.min(...numbers))} to ${short(Math.max(...numbers))}`;
  canvas.setAttribute("aria-label", `Heat map of ${value.name}, ${value.counts}, ${range}. Arrow keys read its numbers.`);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(plan.width, plan.height);
  const cells = new Map();
  numbers.forEach((v, k) => {
    const [x, y] = plan.at(k);
    cells.set(y * plan.width + x, k);
    pixels.data.set([...colour(v, limit, value.kind), 255], 4 * (y * plan.width + x));
  });
  context.putImageData(pixels, 0, 0);

  let cursor = null;
  const tell = (x, y) => {
    const k = cells.get(y * plan.width + x);
    if (k === undefined) return;
    context.putImageData(pixels, 0, 0);
    context.fillStyle = isDark() ? "#ffe14d" : "#d0006f";
    context.fillRect(x, y, 1, 1);
    cursor = [x, y];
    const box = canvas.getBoundingClientRect();
    const left = box.left + ((x + 0.5) / plan.width) * box.width, top = box.top + ((y + 0.5) / plan.height) * box.height;
    readOut(value, k, full(numbers[k], numbers), { left, right: left, top, bottom: top });
  };
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    const cell = (at, from, size, cells) => Math.floor(((at - from - 1) / (size - 2)) * cells); // 1 px of border on each side
    tell(cell(event.clientX, box.left, box.width, plan.width), cell(event.clientY, box.top, box.height, plan.height));
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", (event) => { event.preventDefault(); point(event); });
  const leave = () => {
    context.putImageData(pixels, 0, 0);
    readNothing();
  };
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("blur", leave);
  canvas.addEventListener("focus", () => tell(...(cursor || [0, 0])));
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    let [x, y] = cursor || [0, 0];
    do { x += move[0]; y += move[1]; } while (x >= 0 && y >= 0 && x < plan.width && y < plan.height && !cells.has(y * plan.width + x));
    if (cells.has(y * plan.width + x)) tell(x, y);
  });
  return canvas;
}

function figure(value) {
  const numbers = array(value.array);
  const limit = largest(numbers);
  const shape = value.shape.length ? `(${value.shape.join(", ")}${value.shape.length === 1 ? "," : ""})` : "a number";
  const caption = make("figcaption", {}, make("b", {}, value.name), ` ${shape}`);
  const fine = [value.counts, value.note].filter(Boolean).join(" · ");
  if (fine) caption.append(make("small", {}, fine));
  if (value.chosen) caption.append(make("small", {}, value.chosen));
  const from = steps.findIndex((s) => s.key === value.source);
  if (from >= 0) caption.append(make("small", {}, "made in ", make("a", { href: `#${steps[from].key}` }, [steps[from].where, steps[from].title].filter(Boolean).join(": "))));
  const box = make("figure", { "data-name": value.name, "data-role": value.role }, caption);

  if (value.shape.length === 0) {
    box.append(make("div", { class: "big", "data-value": String(numbers[0]), "data-index": 0 }, short(numbers[0])));
  } else if (value.view === "numbers") {
    const measured = value.check && value.check.numeric !== null ? array(value.check.numeric) : null;
    const tables = make("div", { class: "pair" }, make("div", {}, table(value, numbers, limit)));
    if (measured) {
      tables.firstChild.prepend(make("div", { class: "head" }, "backward wrote"));
      const second = make("div", { class: "measured" }, make("div", { class: "head" }, "complex step measured"), table(value, measured, limit));
      tables.append(second);
    }
    box.append(tables, value.role === "out" && numbers.length > 1 ? legend(limit, value.kind) : "");
  } else {
    const map = make("div", {}, make("div", { class: "scroll" }, heatMap(value, numbers, limit)), legend(limit, value.kind));
    if (value.view === "strip") map.append(histogram(numbers, limit, value.kind));
    box.append(make("div", { class: "measure" }, map, value.check ? make("div", {}, ...verdict(value.check)) : ""));
  }
  box.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("[data-index]");
    if (cell) readOut(value, Number(cell.dataset.index), cell.dataset.value, cell.getBoundingClientRect());
    else if (event.target.tagName !== "CANVAS") readNothing();
  });
  box.addEventListener("pointerleave", readNothing);
  if (value.check && value.view === "numbers") box.append(...verdict(value.check));
  return box;
}

function verdict(check) {
  const parts = [];
  if (check.rows) {
    const rows = check.rows.map(([where, analytic, numeric]) => make("tr", {}, make("th", { scope: "row" }, where), number(analytic), number(numeric)));
    if (check.along) {
      rows.push(make("tr", {}, make("th", { scope: "row" }, "slope along a random direction"), number(check.along[0]), number(check.along[1])));
    }
    const head = make("tr", {}, make("th", {}, "gradient at"), make("th", { scope: "col" }, "backward wrote"), make("th", { scope: "col" }, "complex step"));
    parts.push(make("div", { class: "scroll" }, make("table", { class: "checked" }, head, ...rows)));
  }
  const error = Math.max(check.error, check.along ? check.along[2] : 0);
  const good = error <= data.agrees;
  const how = check.checked === check.size ? `all ${check.size} entries` : `${check.checked} of ${check.size.toLocaleString("en")} entries, and one direction through all`;
  const words = `${good ? "✓ agrees" : "✗ differs"}: ${how}; largest difference ${short(error)} of the largest gradient.`;
  parts.push(make("p", { class: good ? "verdict" : "verdict off" }, words));
  return parts;
}

// How often which numbers come: a vector says little place by place.
function histogram(numbers, limit, kind) {
  const bins = 41, low = kind === "signed" ? -limit : 0, counts = new Array(bins).fill(0);
  for (const v of numbers) counts[Math.min(bins - 1, Math.floor(((v - low) / (limit - low || 1)) * bins))]++;
  const most = Math.max(...counts);
  const bars = counts.map((n, i) => {
    const bar = make("i", { title: `${n} between ${short(low + (i / bins) * (limit - low))} and ${short(low + ((i + 1) / bins) * (limit - low))}` });
    bar.style.height = n ? `${Math.max(1, (n / most) * 44)}px` : "0";
    bar.style.background = css(colour(low + ((i + 0.5) / bins) * (limit - low), limit, kind));
    return bar;
  });
  const box = make("div", { class: "bars", role: "img", "aria-label": `Histogram of ${numbers.length} numbers from ${short(low)} to ${short(limit)}` }, ...bars);
  return make("div", { class: "histogram" }, box, make("small", { class: "fine" }, `how often: at most ${most} in one bar`));
}

const number = (v) => make("td", { "data-value": String(v) }, short(v));

// Where gradients meet ----------------------------------------------------------------------------------------------------

const KINDS = ["one", "two"];
function meetingTable(meeting) {
  const parts = meeting.parts.map(([, place]) => array(place)), total = array(meeting.total);
  const numeric = meeting.numeric === null ? null : array(meeting.numeric);
  const limit = Math.max(...[...parts, total].map(largest));
  const bar = (v, kind) => {
    const size = limit > 0 ? (Math.abs(v) / limit) * 48 : 0;
    return make("i", { class: kind, style: `left: ${v < 0 ? 50 - size : 50}%; width: ${size}%` });
  };
  const rows = meeting.where.map((label, k) => {
    const bars = make("td", { class: "bars", "aria-hidden": "true" }, ...parts.map((p, i) => bar(p[k], KINDS[i])),
      make("b", { style: `left: ${50 + (limit > 0 ? (48 * total[k]) / limit : 0)}%` }));
    return make("tr", {}, make("th", { scope: "row" }, label), bars, ...parts.map((p) => number(p[k])), number(total[k]), numeric ? number(numeric[k]) : "");
  });
  const heads = ["", "", ...meeting.parts.map(([label]) => label), "sum", ...(numeric ? ["complex step"] : [])].map((h) => make("th", { scope: "col" }, h));
  const key = make("div", { class: "key" }, ...meeting.parts.map(([label], i) => make("span", { class: KINDS[i] }, label)), make("span", { class: "sum" }, "their sum"));
  const box = make("figure", { "data-name": `meeting ${meeting.name}` }, make("figcaption", {}, make("b", {}, `gradient at ${meeting.name.replace(/^d ?/, "")}`)), key,
    make("div", { class: "scroll" }, make("table", { class: "meeting" }, make("tr", {}, ...heads), ...rows)));
  if (meeting.error !== null) {
    const good = meeting.error <= data.agrees;
    box.append(make("p", { class: good ? "verdict" : "verdict off" }, `${good ? "✓ agrees" : "✗ differs"}: largest difference ${short(meeting.error)} of the largest gradient.`));
  }
  return box;
}

// The page -----------------------------------------------------------------------------------------------------------------

function code(text) {
  const pre = make("pre", { tabindex: 0 });
  const pattern = /("""[\s\S]*?""")|(#[^\n]*)|("[^"\n]*")|\b(def|return|if|else|elif|for|in|is|not|and|or|None|lambda|with|as|self)\b/g;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    pre.append(text.slice(end, match.index));
    pre.append(make("span", { class: match[1] || match[3] ? "doc" : match[2] ? "note" : "word" }, match[0]));
    end = match.index + match[0].length;
  }
  pre.append(text.slice(end));
  return pre;
}

const PHASES = { forward: "Forward", backward: "Backward", update: "Update" };

const nodes = [...document.querySelectorAll("#tree [data-node]")];
const boxes = [...document.querySelectorAll("#tree .box")];

// What has been, where we are, and where that comes from; what is folded opens around it.
function lightTree(step) {
  const seen = new Set(steps.slice(0, current + 1).map((s) => s.place));
  const feeds = new Set(step.values.filter((v) => v.source).map((v) => v.came || steps.find((s) => s.key === v.source).place));
  let here = null;
  for (const node of nodes) {
    const id = node.dataset.node, lit = id === step.place;
    node.classList.toggle("here", lit);
    node.classList.toggle("done", seen.has(id));
    KINDS.forEach((kind, i) => node.classList.toggle(kind, step.through[i] === id));
    node.classList.toggle("feeds", feeds.has(id) && !lit);
    if (lit) here = node;
    if (lit) node.setAttribute("aria-current", "step");
    else node.removeAttribute("aria-current");
  }
  for (const box of boxes) fold(box, data.fold && !box.classList.contains("top") && !box.contains(here));
  const tree = byId("tree");
  if (here && tree.scrollHeight > tree.clientHeight) {
    tree.scrollTop += here.getBoundingClientRect().top - tree.getBoundingClientRect().top - tree.clientHeight / 2;
  }
}

function fold(box, folded) {
  box.classList.toggle("folded", folded);
  box.querySelector(".head").setAttribute("aria-expanded", String(!folded));
}

function show(index) {
  readNothing();
  current = Math.max(0, Math.min(steps.length - 1, index));
  const step = steps[current];
  document.documentElement.dataset.phase = step.phase;
  document.documentElement.dataset.step = step.key;
  byId("place").textContent = `${current + 1} / ${steps.length}`;
  byId("first").disabled = byId("back").disabled = current === 0;
  byId("last").disabled = byId("next").disabled = current === steps.length - 1;
  for (const link of byId("strip").children) {
    if (link.hash === `#${step.key}`) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  }
  lightTree(step);
  const words = step.words ? [make("p", {})] : [];
  if (step.words) words[0].innerHTML = step.words; // the book's, with its formulas
  byId("lesson").replaceChildren(make("div", { class: "phase" }, PHASES[step.phase], ...(step.where ? [make("span", { class: "path" }, step.where)] : [])), make("h2", {}, step.title), ...words, ...(step.text ? [make("p", {}, step.text)] : []));
  const lines = make("div", { class: "lines" });
  lines.innerHTML = step.formulas.join("");
  byId("formula").hidden = !step.formulas.length && !step.equations.length;
  byId("formula").replaceChildren(lines, make("div", { class: "number" }, step.equations.length ? `(${step.equations.join(", ")})` : ""));
  byId("code").replaceChildren(make("h3", {}, step.ran ? "The code that ran" : "Where training does this"), ...step.sources.flatMap(([where, text]) => [make("div", { class: "where" }, where), code(text)]));
  const groups = step.meetings.map((meeting) => make("div", {}, meetingTable(meeting)));
  for (const [role, name] of [["in", "What goes in"], ["out", "What comes out"]]) {
    const chosen = step.meetings.length ? [] : step.values.filter((v) => v.role === role);
    if (chosen.length) groups.push(make("div", {}, make("h3", {}, name), make("div", { class: "group" }, ...chosen.map(figure))));
  }
  byId("values").replaceChildren(...groups);
}

function go(index, replace = false) {
  const target = Math.max(0, Math.min(steps.length - 1, index));
  if (target === current) return;
  const address = `#${steps[target].key}`;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  show(target);
  byId("announce").textContent = `Step ${target + 1} of ${steps.length}: ${steps[target].title}`;
}

function fromAddress() {
  const name = decodeURIComponent(location.hash.slice(1));
  const found = steps.findIndex((s) => s.key === name);
  return found >= 0 ? found : /^\d+$/.test(name) ? Number(name) - 1 : 0;
}

function toPlace(id) { // the next step here, or in here, going round
  const inside = new Set([id, ...[...document.querySelectorAll(`#tree [data-box="${CSS.escape(id)}"] [data-node]`)].map((node) => node.dataset.node)]);
  const order = [...steps.keys()].map((i) => (current + 1 + i) % steps.length);
  const found = order.find((i) => steps[i].place === id) ?? order.find((i) => inside.has(steps[i].place));
  if (found !== undefined) go(found);
}

byId("strip").classList.toggle("many", steps.length > 60); // thinner than the gaps between them
for (const [i, step] of steps.entries()) {
  const link = make("a", { href: `#${step.key}`, "data-phase": step.phase, title: [step.where, step.title].filter(Boolean).join(": "), "aria-label": `Step ${i + 1}: ${step.title}` });
  byId("strip").append(link);
}
for (const node of nodes) {
  node.addEventListener("click", () => {
    const box = node.classList.contains("head") && node.parentElement;
    if (box && box.classList.contains("folded")) fold(box, false);
    else toPlace(node.dataset.node);
  });
}
byId("first").addEventListener("click", () => go(0));
byId("back").addEventListener("click", () => go(current - 1));
byId("next").addEventListener("click", () => go(current + 1));
byId("last").addEventListener("click", () => go(steps.length - 1));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inCode = event.target.tagName === "PRE" && event.key.startsWith("Arrow"); // there, arrows scroll
  const to = { ArrowRight: current + 1, j: current + 1, ArrowLeft: current - 1, k: current - 1, Home: 0, End: steps.length - 1 }[event.key];
  if (to === undefined || inCode) return;
  event.preventDefault();
  go(to);
});
addEventListener("hashchange", () => { if (fromAddress() !== current) show(fromAddress()); });
addEventListener("popstate", () => { if (fromAddress() !== current) show(fromAddress()); });

const THEMES = ["auto", "light", "dark"];
function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").lastElementChild.textContent = theme;
  byId("theme").setAttribute("aria-label", `Colours: ${theme}. Press to change.`);
  if (current >= 0) show(current);
}
byId("theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme || "auto") + 1) % 3]));
systemDark.addEventListener("change", () => show(current));
setTheme("auto");
show(fromAddress());
