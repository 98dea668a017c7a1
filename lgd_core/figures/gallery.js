"use strict";
// Only tiles in sight exist as elements, so that thousands of images scroll like dozens.
const data = JSON.parse(document.getElementById("data").textContent);
const {columns, names} = data;
const GAP = 8, BLOCK_GAP = 16, CAPTION = 18, LABEL = 26, AHEAD = 2;
const BESIDE = "beside";
const by = id => document.getElementById(id);
const scroll = by("scroll"), grid = by("grid"), heads = by("heads"), details = by("details");
// `shown` has the rows of images in their order, `places` what lies at each place of the grid, line
// by line: a row, or undefined.
const state = {
  shown: [], places: [], tiles: new Map(), labels: [], perRow: 1, perBlock: 1, side: 72, labelled: false,
  focused: 0, chosen: null,
};

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

function make(tag, className, ...content) {
  const element = document.createElement(tag);
  element.className = className;
  if (tag === "button") element.type = "button";
  element.append(...content);
  return element;
}

function paint(element, row, side) {
  const cell = row % data.per_sheet, across = data.across, down = Math.ceil(data.per_sheet / across);
  element.style.width = element.style.height = `${side}px`;
  element.style.backgroundImage = `url(${addressOf(Math.floor(row / data.per_sheet))})`;
  element.style.backgroundSize = `${across * side}px ${down * side}px`;
  element.style.backgroundPosition =
    `${-(cell % across) * side}px ${-Math.floor(cell / across) * side}px`;
}

function picture(row, side) {
  const element = make("span", "picture");
  paint(element, row, side);
  return element;
}

// ---- Where images lie: one list, or a block of columns per method ----
const lineHeight = () => (state.labelled ? LABEL : 0) + state.side + CAPTION + GAP;
const blockWidth = () => state.perBlock * (state.side + GAP) + BLOCK_GAP;
const lineCount = () => Math.ceil(state.places.length / state.perRow);

function topLeft(place) {
  const column = place % state.perRow, block = Math.floor(column / state.perBlock);
  return [column * (state.side + GAP) + block * BLOCK_GAP,
    Math.floor(place / state.perRow) * lineHeight() + (state.labelled ? LABEL : 0)];
}

// As many of some rows as a block has columns: the first of an order, else from all increments.
function some(rows) {
  const count = state.perBlock;
  if (rows.length <= count || by("order").value !== "set") return rows.slice(0, count);
  return Array.from({length: count}, (_, i) => rows[Math.floor((i + 1) * rows.length / count) - 1]);
}

function sorted(rows, column) {
  const found = new Map();
  for (const row of rows) {
    if (!found.has(column[row])) found.set(column[row], []);
    found.get(column[row]).push(row);
  }
  return found;
}

// Lines of one block of places each, the blocks side by side.
function zipped(blocks) {
  const lines = Math.max(0, ...blocks.map(rows => Math.ceil(rows.length / state.perBlock)));
  const places = [];
  for (let line = 0; line < lines; line++) {
    for (const rows of blocks) {
      for (let i = 0; i < state.perBlock; i++) places.push(rows[line * state.perBlock + i]);
    }
  }
  return places;
}

function besides(rows) {
  const blocks = own => names.method.map((_, method) => own.get(method) ?? []);
  if (!state.labelled) return zipped(blocks(sorted(rows, columns.method)));
  const classes = [...sorted(rows, columns.class)].sort(([a], [b]) => a - b);
  return classes.flatMap(([, own]) => zipped(blocks(sorted(own, columns.method)).map(some)));
}

function lay() {
  const beside = by("method").value === BESIDE, width = scroll.clientWidth;
  const room = beside ? width / names.method.length - BLOCK_GAP : width;
  const focused = state.places[state.focused];
  state.side = Number(by("size").value);
  state.perBlock = Math.max(1, Math.floor(room / (state.side + GAP)));
  state.perRow = state.perBlock * (beside ? names.method.length : 1);
  state.labelled = beside && by("class").value === "";
  state.places = beside ? besides(state.shown) : state.shown;
  state.focused = Math.max(0, state.places.indexOf(focused));
  grid.style.width = beside ? `${names.method.length * blockWidth() - BLOCK_GAP}px` : "auto";
  grid.style.height = `${lineCount() * lineHeight()}px`;
  for (const element of [...state.tiles.values(), ...state.labels]) element.remove();
  state.tiles.clear();
  state.labels = state.labelled ? Array.from({length: lineCount()}, (_, line) => classLabel(line)) : [];
  by("labels").append(...state.labels);
  layHeads(beside);
  draw();
}

function classLabel(line) {
  const places = state.places.slice(line * state.perRow, (line + 1) * state.perRow);
  const index = columns.class[places.find(row => row !== undefined)];
  const button = make("button", "class", names.class[index]);
  button.title = `All images of ${names.class[index]}`;
  button.style.top = `${line * lineHeight()}px`;
  button.addEventListener("click", () => set({class: index}));
  return button;
}

function link(text, hash) {
  const element = make("a", "", text);
  element.href = hash;
  return element;
}

function layHeads(beside) {
  const chosen = by("method").value;
  const shown = beside ? names.method : chosen === "" ? [] : [names.method[Number(chosen)]];
  heads.replaceChildren(...shown.map(name => {
    const head = make("div", "head",
      beside ? link(name, `#${encodeURIComponent(name)}`) : make("strong", "", name));
    head.style.width = beside ? `${blockWidth()}px` : "auto";
    if (data.accuracies[name]) head.append(make("span", "", data.accuracies[name]));
    if (!beside && names.method.length > 1) head.append(link("all methods side by side", "#"));
    return head;
  }));
  heads.hidden = shown.length === 0;
}

// ---- Tiles in sight ----
function tileAt(place) {
  const row = state.places[place], tile = make("button", "tile");
  tile.dataset.row = row;
  tile.setAttribute("role", "option");
  const score = columns.score[row];
  tile.setAttribute("aria-label", label(row) + (score === null ? "" : `, S ${number(score)}`));
  const caption = score === null ? `incr. ${columns.increment[row]}` : `S ${number(score, 2)}`;
  tile.append(picture(row, state.side), caption);
  tile.addEventListener("click", () => choose(place));
  tile.addEventListener("focus", () => { state.focused = place; });
  const [left, top] = topLeft(place);
  tile.style.transform = `translate(${left}px, ${top}px)`;
  return tile;
}

function draw() {
  const height = lineHeight(), above = -grid.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(above / height) - AHEAD) * state.perRow;
  // The first lines are always there, for the keyboard to enter.
  const last = Math.max(AHEAD, Math.ceil((above + window.innerHeight) / height) + AHEAD) *
    state.perRow;
  for (const [place, tile] of state.tiles) {
    const used = place === state.focused && tile === document.activeElement;
    if ((place < first || place >= last) && !used) {
      tile.remove();
      state.tiles.delete(place);
    }
  }
  for (let place = first; place < Math.min(last, state.places.length); place++) {
    if (state.places[place] !== undefined && !state.tiles.has(place)) {
      state.tiles.set(place, grid.appendChild(tileAt(place)));
    }
  }
  const entry = state.tiles.has(state.focused) ? state.focused : Math.min(...state.tiles.keys());
  for (const [place, tile] of state.tiles) {
    tile.tabIndex = place === entry ? 0 : -1;
    tile.setAttribute("aria-selected", state.places[place] === state.chosen);
  }
}

// ---- Which images ----
function select() {
  const wanted = ["method", "class", "increment", "seed"]
    .map(key => [columns[key], by(key).value]).filter(([, value]) => value !== "" && value !== BESIDE)
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
  state.places = [];
  by("empty").hidden = rows.length > 0;
  const top = document.querySelector("main").getBoundingClientRect().top;
  if (top < 0) window.scrollBy(0, top);
  scroll.scrollLeft = 0;
  lay();
  const seen = state.places.filter(row => row !== undefined).length;
  by("count").textContent =
    `${seen.toLocaleString("en")} of ${data.images.toLocaleString("en")} images`;
  const method = by("method").value;
  const current = method === BESIDE ? "" : names.method[Number(method)];
  for (const each of document.querySelectorAll("aside a[href^='#']")) {
    each.setAttribute("aria-current", method !== "" && named(each.hash) === current);
  }
}

const named = hash => decodeURIComponent(hash.slice(1));

function set(values) {
  for (const [key, value] of Object.entries(values)) by(key).value = value;
  by("class").dispatchEvent(new Event("change"));
}

// What a link to a method asks for; "#" asks for all, side by side.
function follow(hash) {
  const index = names.method.indexOf(named(hash));
  if (index < 0 && named(hash) !== "") return;
  set({method: index < 0 ? by("method").options[0].value : index});
  document.querySelector("main").scrollIntoView();
}

function reach(place) {
  state.focused = place;
  draw();
  const height = lineHeight(), line = grid.getBoundingClientRect().top +
    Math.floor(place / state.perRow) * height;
  const covered = heads.getBoundingClientRect().bottom;
  if (line < covered) window.scrollBy(0, line - covered);
  // On a narrow page details lie over the lower images.
  const over = !details.hidden && details.offsetWidth > scroll.clientWidth ? details.offsetHeight : 0;
  const end = window.innerHeight - over;
  if (line + height > end) window.scrollBy(0, line + height - end);
  const [left] = topLeft(place), beyond = left + state.side - scroll.clientWidth;
  scroll.scrollLeft = Math.min(left, Math.max(scroll.scrollLeft, beyond));
  draw();
  state.tiles.get(place)?.focus({preventScroll: true});
}

// The next place from one on that has an image; `one` may lie beyond the ends.
function occupied(one, way) {
  const end = state.places.length - 1;
  for (let place = Math.max(0, Math.min(one, end)); place >= 0 && place <= end; place += way) {
    if (state.places[place] !== undefined) return place;
  }
  return state.focused;
}

// ---- Details of one image ----
function facts(pairs) {
  const list = document.createElement("dl");
  for (const [term, value] of pairs) list.append(make("dt", "", term), make("dd", "", value));
  return list;
}

function nearestOf(row) {
  const near = columns.nearest[row];
  if (near === null) return facts([["The first of its class", ""]]);
  const text = make("span", "", `cosine ${number(columns.cosine[row])}, increment ` +
    `${columns.increment[near]}, position ${columns.position[near]}`);
  const button = make("button", "link", picture(near, 80), text);
  button.dataset.row = near;
  button.addEventListener("click", () => show(near));
  return button;
}

function show(row) {
  state.chosen = row;
  const large = picture(row, 144);
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
  const close = make("button", "", "Close");
  close.id = "close";
  close.addEventListener("click", hide);
  details.dataset.row = row;
  details.hidden = false;
  details.replaceChildren(close, large, make("h2", "", names.class[columns.class[row]]), values,
    make("h3", "", "Nearest in memory, by latents"), nearestOf(row));
  draw();
}

function hide() {
  details.hidden = true;
  state.chosen = null;
  draw();
  state.tiles.get(state.focused)?.focus({preventScroll: true});
}

function choose(place) {
  show(state.places[place]);
  reach(place);
}

function fill(key, values) {
  by(key).append(...values.map(([text, value]) => new Option(text, value)));
}

const KEYS = {
  ArrowLeft: () => -1, ArrowRight: () => 1,
  ArrowUp: () => -state.perRow, ArrowDown: () => state.perRow,
  PageUp: () => -3 * state.perRow, PageDown: () => 3 * state.perRow,
  Home: () => -Infinity, End: () => Infinity,
};
grid.addEventListener("keydown", event => {
  const step = KEYS[event.key]?.();
  if (!step) return;
  event.preventDefault();
  // Beyond an end the search turns round.
  const one = state.focused + step, within = one >= 0 && one < state.places.length;
  reach(occupied(one, within ? Math.sign(step) : -Math.sign(step)));
});
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && !details.hidden) hide();
});
document.addEventListener("click", event => {
  const hash = event.target.closest("a[href^='#']")?.hash;
  if (hash === undefined) return;
  event.preventDefault();
  history.replaceState(null, "", hash || "#");
  follow(hash);
});
window.addEventListener("hashchange", () => follow(location.hash));
document.addEventListener("scroll", () => requestAnimationFrame(draw), {passive: true});
scroll.addEventListener("scroll", () => {
  heads.scrollLeft = scroll.scrollLeft;
  by("labels").style.left = `${scroll.scrollLeft}px`;
}, {passive: true});
let width = 0;
new ResizeObserver(() => {
  if (scroll.clientWidth !== width) lay();
  width = scroll.clientWidth;
}).observe(scroll);
window.addEventListener("resize", draw);
by("size").addEventListener("input", lay);
by("filters").addEventListener("submit", event => event.preventDefault());
for (const key of ["method", "class", "increment", "seed", "order"]) {
  by(key).addEventListener("change", select);
}
fill("method", names.method.length > 1 ? [["side by side", BESIDE], ["all in one list", ""]]
  : [["all", ""]]);
for (const key of ["class", "increment", "seed"]) fill(key, [["all", ""]]);
fill("method", names.method.map((name, index) => [name, index]));
fill("class", names.class.map((name, index) => [name, index]));
for (const key of ["increment", "seed"]) {
  const values = data.values?.[key] ?? [...new Set(columns[key])].sort((a, b) => a - b);
  fill(key, values.map(value => [value, value]));
  by(key).parentElement.hidden = values.length < 2;
}
document.body.classList.toggle("sharp", data.side < 96);
select();
if (location.hash) follow(location.hash);
document.documentElement.dataset.ready = performance.now().toFixed(0);
