// Sliders for the shares, and what the surrogate says of the mixture that they make.

class Explorer {
  constructor(data) {
    this.data = data;
    this.surrogate = new Surrogate(data);
    this.space = new Space(data);
    this.locked = new Set();
    this.shares = [...data.recommended];
    this.recommended = this.surrogate.predict(data.recommended);
    this.rows = data.domains.map((domain, k) => this.prepareRow(domain, k));
    this.cells = data.metrics.map((metric, k) => this.prepareMetric(metric, k));
    this.ternary = new Ternary(document.getElementById("ternary"), this.space);
    this.profiles = null;
    document.getElementById("no-deviations").hidden = this.surrogate.hasDeviations;
    this.redraw = onceAFrame(() => this.render());
    this.prepareControls();
    new ResizeObserver(this.redraw).observe(document.getElementById("ternary"));
    this.render();
  }

  prepareRow(domain, k) {
    const row = document.getElementById(`slider-${k}`);
    const [slider, lock, figure] = [
      row.querySelector("input[type=range]"),
      row.querySelector("input[type=checkbox]"),
      row.querySelector("output"),
    ];
    slider.addEventListener("input", () => {
      this.shares = this.space.withShare(this.shares, k, Number(slider.value), this.locked);
      this.redraw();
    });
    lock.addEventListener("change", () => {
      if (lock.checked) this.locked.add(k);
      else this.locked.delete(k);
      slider.disabled = lock.checked;
    });
    slider.disabled = lock.checked = false;
    return { slider, figure, name: domain.name };
  }

  prepareMetric(metric, k) {
    const row = document.getElementById(`metric-${k}`);
    const [predicted, between, change] = row.querySelectorAll("td");
    return { metric, predicted, between, change, wish: row.querySelector("input") };
  }

  prepareControls() {
    const start = document.getElementById("start");
    start.addEventListener("change", () => {
      const chosen = this.data.starts[Number(start.value)];
      if (chosen) this.setShares(chosen.shares);
    });
    document.getElementById("improve").addEventListener("click", () => this.improve());
    this.shown = document.getElementById("shown-metric");
    this.shown.addEventListener("change", this.redraw);
    this.corners = ["corner-0", "corner-1", "corner-2"].map((id) => document.getElementById(id));
    this.corners.filter(Boolean).forEach((list) => list.addEventListener("change", this.redraw));
  }

  setShares(shares) {
    this.shares = [...shares];
    this.redraw();
  }

  improve() {
    const goal = document.getElementById("goal").value;
    const said = document.getElementById("improved");
    const wishes = this.cells.flatMap(({ metric, wish }, k) => {
      if (wish.value.trim() === "") return [];
      const worst = this.recommended.values[k] - sign(metric) * Number(wish.value);
      return [{ metric, worst }];
    });
    const starts = [this.shares, this.data.recommended];
    const kept = starts.filter((start) =>
      [...this.locked].every((k) => Math.abs(start[k] - this.shares[k]) < CLOSE),
    );
    const allowed = kept.filter((start) => this.space.contains(start));
    if (allowed.length === 0) {
      said.textContent = "The mixture that you start from is not allowed: move a share first.";
      return;
    }
    const metric = goal === "" ? null : this.data.metrics[Number(goal)];
    const best = improve(this.surrogate, this.space, metric, wishes, allowed, this.locked);
    said.textContent = best.worth.broken
      ? "No mixture keeps all of it, as far as was found: this one misses by the least."
      : "This mixture is the best that was found; every wish is kept.";
    this.setShares(best.shares);
  }

  render() {
    const found = this.surrogate.predict(this.shares);
    this.rows.forEach(({ slider, figure }, k) => {
      slider.value = this.shares[k];
      slider.setAttribute("aria-valuetext", percent(this.shares[k]));
      show(figure, percent(this.shares[k]), this.shares[k]);
    });
    show(document.getElementById("expected"), signed(found.expected), found.expected);
    const interval = document.getElementById("expected-interval");
    show(interval, `95 %: ${number(found.low)} to ${number(found.high)}`, found.low);
    interval.dataset.high = String(found.high);
    show(document.getElementById("by-proxy"), signed(found.proxy), found.proxy);
    const compared = document.getElementById("compared");
    if (compared) show(compared, signed(found.compared), found.compared);
    const behind = found.expected - this.recommended.expected;
    show(document.getElementById("against"), signed(behind), behind);
    document.getElementById("outside").hidden = this.space.contains(this.shares);
    this.cells.forEach((cell, k) => this.renderMetric(cell, k, found));
    for (const element of document.querySelectorAll("[data-group]")) {
      const gain = this.surrogate.objective(found.values, element.dataset.group);
      show(element, signed(gain), gain);
    }
    this.renderProfiles();
    this.renderTernary();
  }

  renderMetric({ metric, predicted, between, change }, k, found) {
    const value = found.values[k];
    show(predicted, number(value), value);
    const half = found.halves[k];
    show(between, half === null ? number(half) : `± ${number(half)}`, half);
    const moved = value - this.recommended.values[k];
    show(change, signed(moved), moved);
    const better = sign(metric) * moved;
    change.className = `number ${better > 1e-9 ? "better" : ""}${better < -1e-9 ? "worse" : ""}`;
  }

  /** The chosen metric, or the objective that training should reach, as a function of shares. */
  chosenValue() {
    const metric = this.chosenMetric();
    if (metric) return (shares) => this.surrogate.value(metric, shares);
    return (shares) => this.surrogate.height(shares);
  }

  chosenMetric() {
    return this.shown.value === "" ? null : this.data.metrics[Number(this.shown.value)];
  }

  renderProfiles() {
    const element = document.getElementById("chart-profiles");
    const valueOf = this.chosenValue();
    const metric = this.chosenMetric();
    const grid = Array.from({ length: 41 }, (_, k) => k / 40);
    const traces = this.data.domains.flatMap((domain, k) => {
      const values = grid.map((share) => valueOf(alongLine(this.shares, k, share)));
      const line = { color: domain.colour, dash: domain.dash, width: 2 };
      const hovertext = grid.map((x, i) => `${domain.short} ${percent(x)}: ${number(values[i])}`);
      const curve = { x: grid, y: values, mode: "lines", name: domain.short, line, hovertext };
      const here = [this.shares[k]];
      const marker = { size: 10, color: domain.colour, line: { width: 1.5, color: "#ffffff" } };
      const text = [`${domain.short} now: ${percent(this.shares[k])}`];
      const point = { x: here, y: [valueOf(this.shares)], mode: "markers", marker, hovertext: text };
      return [curve, point];
    });
    const title = metric ? metric.label : "objective that training should reach";
    const layout = {
      height: 380 + 10 * this.data.domains.length,
      xaxis: { title: { text: "share of the domain" }, tickformat: ".0%" },
      yaxis: { title: { text: title } },
    };
    const figure = { data: traces, layout };
    if (this.profiles) this.profiles.update(figure);
    else this.profiles = new Chart(element, figure);
  }

  renderTernary() {
    if (!this.corners[0]) return;
    const three = this.corners.map((list) => Number(list.value));
    const words = document.getElementById("ternary-words");
    if (new Set(three).size < 3) {
      words.textContent = "Choose three different domains.";
      this.ternary.element.replaceChildren();
      return;
    }
    const metric = this.chosenMetric();
    const names = three.map((k) => this.data.domains[k].name);
    const isHigher = metric === null || metric.direction === "max";
    const found = this.ternary.render(this.shares, three, names, this.chosenValue(), isHigher);
    if (!found) return;
    const at = found.best.parts.map((part, k) => `${names[k]} ${percent(part)}`).join(", ");
    words.textContent =
      `From ${number(found.low)} (dark) to ${number(found.high)} (light). The circle is your ` +
      `mixture, the star the best of the triangle: of what the three have, ${at}. Grey is not ` +
      "allowed.";
  }
}

/** A share goes from 0 to 1 while the others keep their proportions to each other. */
function alongLine(shares, index, share) {
  const others = shares.map((value, k) => (k === index ? 0 : value));
  const sum = others.reduce((all, value) => all + value, 0);
  const alike = (_, k) => Number(k !== index) / (shares.length - 1);
  const kept = sum > 0 ? others.map((value) => value / sum) : others.map(alike);
  return kept.map((value, k) => (k === index ? share : value * (1 - share)));
}
