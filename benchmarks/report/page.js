
"use strict";
// Each heading is a button: a click, Enter or the space bar sorts by its column, once more turns the order round.
for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    heading.firstElementChild.addEventListener("click", () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const sign = falling ? -1 : 1;
      const rows = [...body.rows];
      rows.sort((a, b) => {
        const [x, y] = [a.cells[column], b.cells[column]];
        const [p, q] = [x.dataset.key, y.dataset.key];
        // Cells without a number come last, whatever the order, unless no cell has one.
        if (p !== undefined && q !== undefined) return sign * (Number(p) - Number(q));
        if (p !== undefined || q !== undefined) return p !== undefined ? -1 : 1;
        return sign * x.textContent.localeCompare(y.textContent, "en", {numeric: true});
      });
      body.append(...rows);
    });
  });
}
