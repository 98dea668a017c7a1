"use strict";
const body = document.querySelector("tbody");

// Cells without a value come last, whichever way.
function compare(one, other, sign) {
  const [a, b] = [one, other].map(cell => cell.dataset.value);
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const order = one.classList.contains("number") ? a - b : a.localeCompare(b, "en");
  return sign * order;
}

function sort(head) {
  const before = head.getAttribute("aria-sort"), column = head.cellIndex;
  const first = head.classList.contains("number") ? "descending" : "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const way = before === first ? other : first, sign = way === "ascending" ? 1 : -1;
  for (const each of head.parentElement.cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way);
  body.append(...[...body.rows].sort(
    (a, b) => compare(a.cells[column], b.cells[column], sign)));
}

for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}
// A report holds this page without what lies beside it.
document.getElementById("more").hidden = location.protocol === "data:";
