// Three domains as a triangle: what the surrogate says where the others keep their shares.

const CELLS = 24; // along a side
const HALF = Math.sqrt(3) / 2;

class Ternary {
  constructor(element, space) {
    this.element = element;
    this.space = space;
    this.tip = make("div", { class: "tip", hidden: "" });
    element.addEventListener("pointermove", (event) => this.point(event));
    element.addEventListener("pointerleave", () => (this.tip.hidden = true));
  }

  /** Draw a metric over the triangle of three domains. */
  render(shares, three, names, valueOf, isHigherBetter) {
    this.side = Math.min(this.element.clientWidth - 20, 460);
    if (this.side < 60) return;
    const rest = three.reduce((sum, k) => sum + shares[k], 0);
    this.cells = this.values(shares, three, rest, valueOf);
    const allowed = this.cells.filter((cell) => cell.isAllowed);
    const shown = allowed.length ? allowed : this.cells;
    const low = Math.min(...shown.map((cell) => cell.value));
    const high = Math.max(...shown.map((cell) => cell.value));
    const height = this.side * HALF;
    const label = `${names.join(", ")} share ${percent(rest)}; values from ${number(low)} to ${number(high)}`;
    const svg = draw("svg", { class: "main-svg", role: "img", "aria-label": label });
    svg.setAttribute("width", this.side + 20);
    svg.setAttribute("height", height + 56);
    for (const cell of this.cells) svg.append(this.cell(cell, low, high));
    svg.append(this.mark(three.map((k) => (rest > 0 ? shares[k] / rest : 1 / 3)), "here"));
    const best = shown.reduce((a, b) => (isHigherBetter === b.value > a.value ? b : a));
    svg.append(this.mark(best.parts, "top"));
    names.forEach((name, k) => svg.append(this.name(name, k, height)));
    this.element.replaceChildren(svg, this.tip);
    return { low, high, best, nAllowed: allowed.length };
  }

  values(shares, three, rest, valueOf) {
    const cells = [];
    for (let i = 0; i < CELLS; i += 1) {
      for (let j = 0; j < CELLS - i; j += 1) {
        cells.push([i, j, 1 / 3]);
        if (i + j < CELLS - 1) cells.push([i, j, 2 / 3]);
      }
    }
    return cells.map(([i, j, shift]) => {
      const parts = [(i + shift) / CELLS, (j + shift) / CELLS];
      parts.push(1 - parts[0] - parts[1]);
      const mixture = [...shares];
      three.forEach((k, at) => (mixture[k] = rest * parts[at]));
      const isAllowed = this.space.contains(mixture);
      return { i, j, isUp: shift < 0.5, parts, value: valueOf(mixture), isAllowed };
    });
  }

  /** Where three parts stand: the first at the top, the second to the left. */
  place([top, left, right]) {
    return [10 + this.side * (right + top / 2), 24 + this.side * HALF * (1 - top), left];
  }

  cell({ i, j, isUp, value, isAllowed }, low, high) {
    const corner = (a, b) => this.place([a / CELLS, b / CELLS, 1 - (a + b) / CELLS]).slice(0, 2);
    const corners = isUp
      ? [corner(i, j), corner(i + 1, j), corner(i, j + 1)]
      : [corner(i + 1, j), corner(i, j + 1), corner(i + 1, j + 1)];
    const colour = isAllowed ? colourAt(value, low, high) : "var(--line)";
    const points = corners.map((point) => point.join(",")).join(" ");
    return draw("polygon", { points, fill: colour, stroke: colour, class: "cell" });
  }

  mark(parts, name) {
    const [x, y] = this.place(parts);
    const shape = name === "here" ? SYMBOLS.circle(6) : SYMBOLS.star(8);
    return draw("path", { d: shape, transform: `translate(${x},${y})`, class: `corner-${name}` });
  }

  name(name, k, height) {
    const [x, y, anchor] = [
      [10 + this.side / 2, 16, "middle"],
      [2, height + 46, "start"],
      [this.side + 18, height + 46, "end"],
    ][k];
    const text = draw("text", { x, y, "text-anchor": anchor });
    text.textContent = name.length > 22 ? `${name.slice(0, 12)}…${name.slice(-9)}` : name;
    return text;
  }

  point(event) {
    const box = this.element.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let least = (this.side / CELLS) ** 2;
    for (const cell of this.cells ?? []) {
      const [cx, cy] = this.place(cell.parts);
      const far = (cx - x) ** 2 + (cy - y) ** 2;
      if (far < least) [best, least] = [cell, far];
    }
    this.tip.hidden = best === null;
    if (best === null) return;
    const words = best.isAllowed ? number(best.value) : `${number(best.value)}, not allowed`;
    this.tip.replaceChildren(best.parts.map(percent).join(" / "), make("br"), words);
    this.tip.style.left = `${Math.min(x + 12, this.side - 90)}px`;
    this.tip.style.top = `${y + 14}px`;
  }
}
