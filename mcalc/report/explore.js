"use strict";
// Tables with class "explore": a click on a heading sorts, what is typed or chosen filters.
document.querySelectorAll("table.explore").forEach((table) => {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const lines = (row) => document.querySelectorAll(`[data-of="${table.id}"][data-row="${row.dataset.row}"]`);
  // the first number of a cell, its minus sign as typed; NaN for words and dashes
  const number = (text) => parseFloat(text.replace("\u2212", "-").replace(/^<\s*/, ""));
  const headings = Array.from(table.tHead.rows[0].cells);
  headings.forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const first = heading.dataset.first || (heading.classList.contains("number") ? "descending" : "ascending");
      const other = first === "descending" ? "ascending" : "descending";
      const way = heading.getAttribute("aria-sort") === first ? other : first;
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      const keyed = rows.map((row, place) => {
        const text = row.cells[column].textContent.trim();
        return { row, place, text, value: number(text) };
      });
      keyed.sort((a, b) => {
        const lost = Number(a.text === "\u2014") - Number(b.text === "\u2014");
        if (lost) return lost;
        const words = Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value));
        if (words) return words;
        const order = Number.isNaN(a.value) || heading.classList.contains("words")
          ? a.text.localeCompare(b.text, "en", { numeric: true }) : a.value - b.value;
        return sign * order || a.place - b.place;
      });
      keyed.forEach((each) => body.append(each.row));
    });
  });
  const tools = document.querySelector(`.tools[data-of="${table.id}"]`);
  if (tools) {
    tools.hidden = false;
    const shown = tools.querySelector("output");
    const filter = () => {
      const words = tools.querySelector("input[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = Array.from(tools.querySelectorAll("select")).filter((each) => each.value !== "");
      const ends = Array.from(tools.querySelectorAll("input[data-end]")).filter((each) => each.value !== "");
      const within = (row) => ends.every((each) => {
        const value = number(row.cells[Number(each.dataset.column)].textContent.trim());
        return each.dataset.end === "from" ? value >= Number(each.value) : value <= Number(each.value);
      });
      let count = 0;
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        const fits = words.every((word) => text.includes(word)) && within(row) &&
          chosen.every((each) => row.cells[Number(each.dataset.column)].textContent.trim() === each.value);
        row.hidden = !fits;
        lines(row).forEach((line) => { line.style.display = fits ? "" : "none"; });
        count += Number(fits);
      });
      shown.textContent = `${count} of ${rows.length} rows`;
    };
    tools.addEventListener("input", filter);
    tools.addEventListener("change", filter);
    filter();
  }
  rows.forEach((row) => {
    row.addEventListener("mouseenter", () => lines(row).forEach((line) => line.classList.add("lit")));
    row.addEventListener("mouseleave", () => lines(row).forEach((line) => line.classList.remove("lit")));
  });
});
// a printed page has no folded parts
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
