// Tables that are sorted by a click on a title, filtered by a word, and copied as text.

/** What a cell is sorted by: its number where it begins with one, else its text. */
function cellKey(cell) {
  const text = cell.textContent.trim().replaceAll("−", "-").replaceAll(",", "").replace(/^</, "");
  const value = parseFloat(text);
  return Number.isNaN(value) ? text.toLowerCase() : value;
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : Number(a > b);
  return typeof a === "number" ? -1 : 1;
}

/** Turn the titles of a table into buttons that sort it. */
function makeSortable(table) {
  const titles = [...table.tHead.rows[0].cells];
  titles.forEach((title, k) => {
    const button = make("button", { type: "button", class: "sort" }, title.textContent);
    title.replaceChildren(button);
    button.addEventListener("click", () => {
      const isRising = title.getAttribute("aria-sort") !== "ascending";
      titles.forEach((other) => other.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", isRising ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => ({ row, key: cellKey(row.cells[k]) }));
      rows.sort((a, b) => (isRising ? compare(a.key, b.key) : compare(b.key, a.key)));
      body.append(...rows.map(({ row }) => row));
    });
  });
}

/** What a row says, and what its cells say in full where they are cut short. */
function rowText(row) {
  const titles = [...row.querySelectorAll("[title]")].map((one) => one.title);
  return [row.textContent, ...titles].join("\n").toLowerCase();
}

/** Show only the rows that hold a word, and say how many they are. */
function makeFilter(input, table, count) {
  const filter = () => {
    const word = input.value.trim().toLowerCase();
    let n = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = !rowText(row).includes(word);
      n += Number(!row.hidden);
    }
    count.textContent = `${n} of ${table.tBodies[0].rows.length}`;
  };
  input.addEventListener("input", filter);
  filter();
}

function prepareTables() {
  for (const table of document.querySelectorAll("[data-sortable] table")) makeSortable(table);
  for (const input of document.querySelectorAll("input[data-filters]")) {
    const table = document.querySelector(`#${input.dataset.filters} table`);
    makeFilter(input, table, document.getElementById(`${input.dataset.filters}-count`));
  }
}

/** Put text on the clipboard; where the browser refuses, select it to be copied by hand. */
async function copyText(text, source) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    return "Selected: press Ctrl+C";
  }
}

function tableText(table) {
  const rows = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  return rows.map((cells) => cells.join("\t")).join("\n");
}

function prepareCopying() {
  for (const button of document.querySelectorAll("button[data-copies]")) {
    const words = button.textContent;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copies);
      const table = source.querySelector("table");
      button.textContent = await copyText(table ? tableText(table) : source.textContent, source);
      setTimeout(() => (button.textContent = words), 2500);
    });
  }
}

/** One of several texts is shown, as a list chooses. */
function prepareChoices() {
  for (const list of document.querySelectorAll("select[data-panels]")) {
    const choose = () => {
      for (const panel of document.querySelectorAll(`[data-panel="${list.dataset.panels}"]`)) {
        panel.hidden = panel.id !== list.value;
      }
    };
    list.addEventListener("change", choose);
    choose();
  }
}
