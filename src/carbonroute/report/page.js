// Sorts tables, and folds long ones on a phone. Everything on the page can be read without it.
"use strict";
const folded = document.querySelectorAll("details.long");
const fold = (open) => folded.forEach((each) => { each.open = open; });
if (matchMedia("screen and (max-width: 44rem)").matches) fold(false);
addEventListener("beforeprint", () => fold(true));

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];

  // Numbers by size, texts by the alphabet; what has no value comes last either way.
  const compare = (place, numeric, sign) => (one, other) => {
    const [a, b] = [one, other].map((row) => row.cells[place].dataset.value);
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  };

  headings.forEach((heading, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const first = heading.dataset.first;
      const reversed = first === "ascending" ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? reversed : first;
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const numeric = heading.classList.contains("number");
      body.append(...[...body.rows].sort(compare(place, numeric, order === "ascending" ? 1 : -1)));
    });
  });
}
