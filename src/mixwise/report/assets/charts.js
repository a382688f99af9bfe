// Charts as SVG, from the description that Python's figures give: bars that lie, lines and points.
//
// The same description is drawn by plotly in notebooks. Labels come escaped for plotly, which reads
// markup in them; here they are text, so the escapes are undone.

const SYMBOLS = {
  circle: (r) => `M${r},0A${r},${r} 0 1,1 ${-r},0A${r},${r} 0 1,1 ${r},0Z`,
  diamond: (r) => `M0,${-r * 1.25}L${r * 1.25},0L0,${r * 1.25}L${-r * 1.25},0Z`,
  star: (r) => {
    const corner = (k) => {
      const radius = k % 2 ? r * 0.5 : r * 1.2;
      const angle = (Math.PI * k) / 5 - Math.PI / 2;
      return `${radius * Math.cos(angle)},${radius * Math.sin(angle)}`;
    };
    return `M${Array.from({ length: 10 }, (_, k) => corner(k)).join("L")}Z`;
  },
};
const DASHES = { dash: "9,6", dot: "2,4", dashdot: "9,4,2,4" };
const SCALE = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"]; // Viridis
const SIGNS = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'", "&amp;": "&" };
const FONT = 13;

function plain(text) {
  return String(text).replace(/&(?:lt|gt|quot|amp|#x27);/g, (sign) => SIGNS[sign]);
}

function lines(text) {
  return String(text).split("<br>").map(plain);
}

const RULER = document.createElement("canvas").getContext("2d");

/** How wide a text is in a chart. */
function textWidth(text) {
  RULER.font = `${FONT}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;
  return RULER.measureText(text).width;
}

/** Round values that cover a range, some n of them. */
function ticks(low, high, n) {
  const raw = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((one) => one >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
}

function tickText(value, axis, step) {
  if (axis.tickformat === ".0%") return `${Math.round(100 * value)}%`;
  const decimals = Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 6);
  return value.toFixed(decimals).replace("-", "−");
}

/** From the smallest to the largest value, with some air. */
function rangeOf(axis, values) {
  if (axis.range) return axis.range;
  const known = values.filter((value) => Number.isFinite(value));
  let [low, high] = [Math.min(...known), Math.max(...known)];
  if (axis.rangemode === "tozero") low = Math.min(low, 0);
  const air = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
  return [axis.rangemode === "tozero" && low === 0 ? 0 : low - air, high + air];
}

function colourAt(value, low, high) {
  const place = high > low ? ((value - low) / (high - low)) * (SCALE.length - 1) : 0;
  const k = Math.min(Math.floor(place), SCALE.length - 2);
  const [from, to] = [SCALE[k], SCALE[k + 1]].map((hex) =>
    [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)),
  );
  const mixed = from.map((part, i) => Math.round(part + (place - k) * (to[i] - part)));
  return `rgb(${mixed.join(",")})`;
}

class Chart {
  constructor(element, figure) {
    this.element = element;
    this.figure = figure;
    this.tip = make("div", { class: "tip", hidden: "" });
    this.width = 0;
    new ResizeObserver(() => {
      if (element.clientWidth !== this.width) this.render();
    }).observe(element);
    element.addEventListener("pointermove", (event) => this.point(event));
    element.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.render();
  }

  update(figure) {
    this.figure = figure;
    this.render();
  }

  render() {
    this.width = this.element.clientWidth;
    if (this.width < 80) return;
    const { data, layout } = this.figure;
    this.height = layout.height;
    const x = layout.xaxis ?? {};
    const y = layout.yaxis ?? {};
    const both = (key) => data.flatMap((trace) => trace[key] ?? []);
    const xRange = rangeOf(x, both("x"));
    const yRange = rangeOf(y, both("y"));
    this.margins(x, y, yRange);
    const place = (range, from, to) => (value) =>
      from + ((value - range[0]) / (range[1] - range[0])) * (to - from);
    this.x = place(xRange, this.left, this.width - this.right);
    this.y = place(yRange, this.height - this.bottom, this.top);
    this.marks = [];
    this.svg = draw("svg", {
      class: "main-svg",
      width: this.width,
      height: this.height,
      role: "img",
      "aria-label": this.element.dataset.label,
    });
    this.element.replaceChildren(this.svg, this.tip);
    this.axes(x, y, xRange, yRange);
    this.legend();
    for (const trace of data) this.trace(trace, yRange);
  }

  margins(x, y, yRange) {
    const labels = y.ticktext
      ? y.ticktext.map(plain)
      : ticks(...yRange, 6).map((value) => tickText(value, y, (yRange[1] - yRange[0]) / 6));
    const widest = Math.max(...labels.map(textWidth));
    this.named = (this.figure.data ?? []).filter((t) => t.name && t.showlegend !== false);
    this.left = Math.min(widest + 12, this.width * 0.45) + (y.title ? 22 : 0);
    this.right = 18;
    this.bottom = 26 + (x.title ? 22 : 0);
    this.top = 10 + this.legendRows().length * 20;
  }

  /** The names of the legend, in rows that fit. */
  legendRows() {
    const rows = [];
    let used = Infinity;
    for (const trace of this.named) {
      const width = textWidth(plain(trace.name)) + 44;
      if (used + width > this.width - 8) {
        rows.push([]);
        used = 0;
      }
      rows.at(-1).push({ trace, at: used });
      used += width;
    }
    return rows;
  }

  legend() {
    this.legendRows().forEach((row, k) => {
      for (const { trace, at } of row) {
        const middle = 12 + k * 20;
        if ((trace.mode ?? "").includes("lines")) {
          this.svg.append(this.line(trace, [[at + 2, middle], [at + 22, middle]]));
        } else {
          this.svg.append(this.mark(trace.marker, 0, at + 12, middle, 11));
        }
        const text = draw("text", { class: "legendtext", x: at + 28, y: middle + 4 });
        text.textContent = plain(trace.name);
        this.svg.append(text);
      }
    });
  }

  axes(x, y, xRange, yRange) {
    const [low, high] = [this.height - this.bottom, this.top];
    const nAcross = Math.max(4, Math.floor((this.width - this.left) / 90));
    const step = (xRange[1] - xRange[0]) / nAcross;
    const across = x.ticktext ? x.tickvals : ticks(...xRange, nAcross);
    across.forEach((value, k) => {
      const at = this.x(value);
      this.grid(at, low, at, high, value === 0 && !x.ticktext);
      const words = x.ticktext ? plain(x.ticktext[k]) : tickText(value, x, step);
      this.text("xtick", words, at, low + 17, "middle");
    });
    const named = y.ticktext !== undefined;
    const values = named ? y.tickvals : ticks(...yRange, 6);
    values.forEach((value, k) => {
      const at = this.y(value);
      if (!named) this.grid(this.left, at, this.width - this.right, at, value === 0);
      const words = named ? plain(y.ticktext[k]) : tickText(value, y, (yRange[1] - yRange[0]) / 6);
      this.text("ytick", words, this.left - 8, at + 4, "end");
    });
    if (x.title) {
      const middle = (this.left + this.width - this.right) / 2;
      this.text("xtitle", plain(x.title.text), middle, this.height - 6, "middle");
    }
    if (y.title) {
      const middle = (low + high) / 2;
      const title = this.text("ytitle", plain(y.title.text), 12, middle, "middle");
      title.setAttribute("transform", `rotate(-90 12 ${middle})`);
    }
  }

  grid(x1, y1, x2, y2, isZero) {
    this.svg.append(draw("line", { class: isZero ? "zero" : "grid", x1, y1, x2, y2 }));
  }

  text(name, words, x, y, anchor) {
    const element = draw("text", { class: name, x, y, "text-anchor": anchor });
    element.textContent = words;
    this.svg.append(element);
    return element;
  }

  trace(trace, yRange) {
    if (trace.type === "bar") this.bars(trace, yRange);
    const points = (trace.x ?? []).map((x, k) => [this.x(x), this.y(trace.y[k])]);
    if ((trace.mode ?? "").includes("lines")) {
      this.svg.append(this.line(trace, points));
      if (trace.hoverinfo !== "skip") this.remember(trace, points);
    }
    if ((trace.mode ?? "").includes("markers")) {
      points.forEach(([x, y], k) => {
        if (!Number.isFinite(x + y)) return;
        const mark = this.mark(trace.marker, k, x, y);
        mark.classList.add("mark");
        this.svg.append(mark);
      });
      this.remember(trace, points);
    }
  }

  remember(trace, points) {
    points.forEach(([x, y], k) => {
      const text = Array.isArray(trace.hovertext) ? trace.hovertext[k] : trace.hovertext;
      if (text) this.marks.push({ x, y, text });
    });
  }

  line(trace, points) {
    const { color, dash, width } = trace.line ?? {};
    return draw("path", {
      class: "js-line",
      d: `M${points.map((point) => point.join(",")).join("L")}`,
      fill: "none",
      stroke: color ?? "currentColor",
      "stroke-width": width ?? 2,
      "stroke-dasharray": DASHES[dash] ?? null,
    });
  }

  mark(marker, index, x, y, size = null) {
    const name = marker.symbol ?? "circle";
    const isOpen = name.endsWith("-open");
    const shape = SYMBOLS[name.replace("-open", "")];
    let colour = marker.color;
    if (Array.isArray(colour)) {
      const values = colour;
      colour = colourAt(values[index], Math.min(...values), Math.max(...values));
    }
    return draw("path", {
      class: "point",
      d: shape((size ?? marker.size ?? 8) / 2),
      transform: `translate(${x},${y})`,
      fill: isOpen ? "none" : colour,
      stroke: isOpen ? colour : (marker.line?.color ?? "none"),
      "stroke-width": marker.line?.width ?? 0,
    });
  }

  bars(trace, yRange) {
    const thick = (Math.abs(this.y(1) - this.y(0)) * 0.7) || 12;
    trace.x.forEach((value, k) => {
      const [from, to] = [this.x(0), this.x(value)];
      const middle = this.y(trace.y[k]);
      this.svg.append(
        draw("rect", {
          class: "bar",
          x: Math.min(from, to),
          y: middle - thick / 2,
          width: Math.abs(to - from),
          height: thick,
          fill: trace.marker.color[k],
        }),
      );
      this.marks.push({ x: to, y: middle, text: trace.hovertext[k] });
    });
  }

  /** Tell what is under the pointer. */
  point(event) {
    const box = this.element.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let least = 28 ** 2;
    for (const mark of this.marks ?? []) {
      const far = (mark.x - x) ** 2 + (mark.y - y) ** 2;
      if (far < least) [best, least] = [mark, far];
    }
    this.tip.hidden = best === null;
    if (best === null) return;
    this.tip.replaceChildren(...lines(best.text).map((line) => make("div", {}, line)));
    const width = Math.min(this.tip.offsetWidth, this.width);
    this.tip.style.left = `${Math.max(0, Math.min(best.x + 12, this.width - width))}px`;
    this.tip.style.top = `${best.y + 14}px`;
  }
}

/** Draw every chart that the page describes, and let its list choose among several. */
function drawCharts() {
  for (const element of document.querySelectorAll(".plot[data-figures]")) {
    const figures = embedded(element.dataset.figures);
    const chart = new Chart(element, figures[0]);
    const list = document.querySelector(`select[data-chart="${element.id}"]`);
    list?.addEventListener("change", () => {
      const chosen = figures[Number(list.value)];
      document.getElementById(`${element.id}-caption`).textContent = chosen.caption;
      chart.update(chosen);
    });
  }
}
