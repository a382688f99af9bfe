// Elements and numbers: text is only ever put in as text, so that no name is obeyed as markup.

const SVG = "http://www.w3.org/2000/svg";

/** The value that the page carries under an id; null where there is none. */
function embedded(id) {
  const element = document.getElementById(id);
  return element ? JSON.parse(element.textContent) : null;
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** As Python writes decimals: of two that are as near, the even one. */
function fixed(size, decimals) {
  const isTie = (size * 2 ** (decimals + 1)) % 2 === 1;
  const isEven = Math.floor(size * 10 ** decimals) % 2 === 0;
  return (isTie && isEven ? size * (1 - Number.EPSILON) : size).toFixed(decimals);
}

/** Three digits, as Python's "g" writes them. */
function threeDigits(size) {
  const near = Number(size.toPrecision(3));
  if (near >= 0.0001 && near <= 0.001) return String(near);
  const unit = 10 ** (Math.floor(Math.log10(size)) - 2);
  const isTie = unit > 1 && size % unit === unit / 2 && Math.floor(size / unit) % 2 === 0;
  const text = (isTie ? size * (1 - Number.EPSILON) : size).toExponential(2);
  const [digits, power] = text.split("e");
  return `${Number(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

/** A value with three decimals, or three digits where those would hide it. */
function number(value) {
  if (value === null || !Number.isFinite(value)) return "—";
  const size = Math.abs(value);
  const isPlain = size === 0 || (size >= 0.001 && size < 10000);
  const text = (value < 0 ? "-" : "") + (isPlain ? fixed(size, 3) : threeDigits(size));
  return text.replaceAll("-", "−");
}

function signed(value) {
  return value > 0 ? `+${number(value)}` : number(value);
}

/** A share as per cent; one too small to show is not shown as none. */
function percent(value) {
  if (value > 0 && value < 0.0005) return "<0.1 %";
  return `${fixed(100 * value, 1).replace(/\.0$/, "")} %`;
}

/** Show a number as text, and keep all its digits beside it. */
function show(element, text, value) {
  element.textContent = text;
  element.dataset.value = value === null ? "" : String(value);
}

/** Do something once per frame at most, with the newest call. */
function onceAFrame(action) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      action();
    });
  };
}
