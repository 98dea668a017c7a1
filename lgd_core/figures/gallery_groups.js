// A set of many classes: one group of them at a time, each read from a file of its own. A page that
// has no server may not fetch files, but may load scripts.
const pager = document.createElement("label"), chooser = document.createElement("select");
let wanted = 0;

const groupOf = value => data.groups.findIndex(([first, end]) => first <= value && value < end);

function turn(group) {
  wanted = Math.max(0, Math.min(group, data.groups.length - 1));
  chooser.value = wanted;
  const script = document.createElement("script");
  script.src = `${data.folder}/${wanted}.js`;
  script.addEventListener("load", () => script.remove());
  document.head.append(script);
}

// What the file of a group calls.
function take(group, part) {
  if (group !== wanted) return;
  Object.assign(columns, part.columns);
  data.images = part.images;
  addresses.splice(0, Infinity, ...part.sheets.map(name => `${data.folder}/${name}`));
  if (by("class").value !== "" && groupOf(Number(by("class").value)) !== group) by("class").value = "";
  state.chosen = null;
  details.hidden = true;
  select();
  document.documentElement.dataset.group = group;
}

function step(text, name, by_how_many) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-label", name);
  button.addEventListener("click", () => turn(wanted + by_how_many));
  return button;
}

chooser.id = "group";
chooser.append(...data.groups.map(([first, end], group) =>
  new Option(`${first + 1} to ${end}: ${names.class[first]} to ${names.class[end - 1]}`, group)));
chooser.addEventListener("change", () => turn(Number(chooser.value)));
pager.append(`Classes shown, of ${names.class.length.toLocaleString("en")} `, chooser);
by("filters").prepend(
  step("\u2039", "Classes before", -1), pager, step("\u203a", "Classes after", 1));
by("class").addEventListener("change", () => {
  const group = by("class").value === "" ? wanted : groupOf(Number(by("class").value));
  if (group !== wanted) turn(group);
});
turn(0);
