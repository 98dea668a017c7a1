"use strict";
// Only tiles in sight exist as elements, so that thousands of images scroll like dozens.
const data = JSON.parse(document.getElementById("data").textContent);
const {columns, names} = data;
const GAP = 8, CAPTION = 18, AHEAD = 2;
const by = id => document.getElementById(id);
const scroll = by("scroll"), grid = by("grid");
const state = {shown: [], tiles: new Map(), perRow: 1, side: 88, focused: 0, chosen: null};

// A short address per sheet, made when it is first seen: as data in every tile's style, sheets would
// be copied thousands of times.
const addresses = [];

function addressOf(sheet) {
  if (!addresses[sheet]) {
    const [type, text] = data.sheets[sheet], letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
    addresses[sheet] = URL.createObjectURL(new Blob([bytes], {type}));
  }
  return addresses[sheet];
}

const number = (value, digits = 3) => value === null ? "none" : value.toFixed(digits);
const label = row => `${names.method[columns.method[row]]}, ${names.class[columns.class[row]]}, ` +
  `increment ${columns.increment[row]}, position ${columns.position[row]}`;

function paint(element, row, side) {
  const cell = row % data.per_sheet, across = data.across, down = Math.ceil(data.per_sheet / across);
  element.style.width = element.style.height = `${side}px`;
  element.style.backgroundImage = `url(${addressOf(Math.floor(row / data.per_sheet))})`;
  element.style.backgroundSize = `${across * side}px ${down * side}px`;
  element.style.backgroundPosition =
    `${-(cell % across) * side}px ${-Math.floor(cell / across) * side}px`;
}

function picture(row, side) {
  const element = document.createElement("span");
  element.className = "picture";
  paint(element, row, side);
  return element;
}

function tileAt(place) {
  const row = state.shown[place], tile = document.createElement("button");
  tile.className = "tile";
  tile.type = "button";
  tile.dataset.row = row;
  tile.setAttribute("role", "option");
  tile.setAttribute("aria-posinset", place + 1);
  tile.setAttribute("aria-setsize", state.shown.length);
  const score = columns.score[row];
  tile.setAttribute("aria-label", label(row) + (score === null ? "" : `, S ${number(score)}`));
  const caption = score === null ? `k${columns.increment[row]}` : `S ${number(score, 2)}`;
  tile.append(picture(row, state.side), caption);
  tile.addEventListener("click", () => choose(place));
  tile.addEventListener("focus", () => { state.focused = place; });
  const step = state.side + GAP, line = Math.floor(place / state.perRow);
  const left = (place % state.perRow) * step, top = line * (step + CAPTION);
  tile.style.transform = `translate(${left}px, ${top}px)`;
  return tile;
}

function draw() {
  const height = state.side + GAP + CAPTION;
  const lines = Math.ceil(state.shown.length / state.perRow);
  grid.style.height = `${lines * height}px`;
  const first = Math.max(0, Math.floor(scroll.scrollTop / height) - AHEAD) * state.perRow;
  const last = (Math.ceil((scroll.scrollTop + scroll.clientHeight) / height) + AHEAD) * state.perRow;
  for (const [place, tile] of state.tiles) {
    const used = place === state.focused && tile === document.activeElement;
    if ((place < first || place >= last) && !used) {
      tile.remove();
      state.tiles.delete(place);
    }
  }
  for (let place = first; place < Math.min(last, state.shown.length); place++) {
    if (!state.tiles.has(place)) {
      state.tiles.set(place, grid.appendChild(tileAt(place)));
    }
  }
  const entry = state.tiles.has(state.focused) ? state.focused : first;
  for (const [place, tile] of state.tiles) {
    tile.tabIndex = place === entry ? 0 : -1;
    tile.setAttribute("aria-selected", state.shown[place] === state.chosen);
  }
}

function lay() {
  for (const tile of state.tiles.values()) tile.remove();
  state.tiles.clear();
  state.side = Number(by("size").value);
  state.perRow = Math.max(1, Math.floor((scroll.clientWidth - GAP) / (state.side + GAP)));
  draw();
}

function select() {
  const wanted = ["method", "class", "increment", "seed"]
    .map(key => [columns[key], by(key).value]).filter(([, value]) => value !== "")
    .map(([column, value]) => [column, Number(value)]);
  const rows = [];
  for (let row = 0; row < data.images; row++) {
    if (wanted.every(([column, value]) => column[row] === value)) rows.push(row);
  }
  const [key, way] = by("order").value.split(":"), column = columns[key], sign = way === "up" ? 1 : -1;
  // Images without the number come last, whichever way.
  const rank = row => column[row] === null ? Infinity : sign * column[row];
  if (column) rows.sort((a, b) => rank(a) === rank(b) ? a - b : rank(a) < rank(b) ? -1 : 1);
  state.shown = rows;
  state.focused = 0;
  by("empty").hidden = rows.length > 0;
  const total = data.images.toLocaleString("en");
  by("count").textContent = `${rows.length.toLocaleString("en")} of ${total} images`;
  scroll.scrollTop = 0;
  lay();
}

function reach(place) {
  state.focused = Math.max(0, Math.min(place, state.shown.length - 1));
  const height = state.side + GAP + CAPTION, top = Math.floor(state.focused / state.perRow) * height;
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  const below = top + height - scroll.clientHeight + GAP;
  if (below > scroll.scrollTop) scroll.scrollTop = below;
  draw();
  state.tiles.get(state.focused)?.focus({preventScroll: true});
}

function facts(pairs) {
  const list = document.createElement("dl");
  for (const [term, value] of pairs) {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = value;
    list.append(dt, dd);
  }
  return list;
}

function heading(level, text) {
  const element = document.createElement(level);
  element.textContent = text;
  return element;
}

function nearestOf(row) {
  const near = columns.nearest[row];
  if (near === null) return facts([["The first of its class", ""]]);
  const link = document.createElement("button");
  link.type = "button";
  link.className = "link";
  link.dataset.row = near;
  const text = document.createElement("span");
  text.textContent = `cosine ${number(columns.cosine[row])}, increment ` +
    `${columns.increment[near]}, position ${columns.position[near]}`;
  link.append(picture(near, 80), text);
  link.addEventListener("click", () => show(near));
  return link;
}

function show(row) {
  state.chosen = row;
  const large = picture(row, 208);
  large.setAttribute("role", "img");
  large.setAttribute("aria-label", label(row));
  const values = facts([
    ["Method", names.method[columns.method[row]]],
    ["Seed", columns.seed[row]],
    ["Increment", columns.increment[row]],
    ["Position", columns.position[row]],
    ["S", number(columns.score[row])],
    ["Learner loss", number(columns.learner[row])],
    ["Reference loss", number(columns.reference[row])],
  ]);
  by("details").dataset.row = row;
  by("details").replaceChildren(large, heading("h2", names.class[columns.class[row]]), values,
    heading("h3", "Nearest in memory, by latents"), nearestOf(row));
  draw();
}

function choose(place) {
  reach(place);
  show(state.shown[place]);
}

function fill(key, values) {
  by(key).append(new Option("all", ""), ...values.map(([text, value]) => new Option(text, value)));
}

const KEYS = {
  ArrowLeft: () => -1, ArrowRight: () => 1,
  ArrowUp: () => -state.perRow, ArrowDown: () => state.perRow,
  PageUp: () => -3 * state.perRow, PageDown: () => 3 * state.perRow,
  Home: () => -Infinity, End: () => Infinity,
};
grid.addEventListener("keydown", event => {
  const step = KEYS[event.key];
  if (!step) return;
  event.preventDefault();
  reach(state.focused + step());
});
scroll.addEventListener("scroll", () => requestAnimationFrame(draw), {passive: true});
new ResizeObserver(lay).observe(scroll);
by("size").addEventListener("input", lay);
by("filters").addEventListener("submit", event => event.preventDefault());
for (const key of ["method", "class", "increment", "seed", "order"]) {
  by(key).addEventListener("change", select);
}
fill("method", names.method.map((name, index) => [name, index]));
fill("class", names.class.map((name, index) => [name, index]));
for (const key of ["increment", "seed"]) {
  fill(key, [...new Set(columns[key])].sort((a, b) => a - b).map(value => [value, value]));
}
document.body.classList.toggle("sharp", data.side < 96);
select();
document.documentElement.dataset.ready = performance.now().toFixed(0);
