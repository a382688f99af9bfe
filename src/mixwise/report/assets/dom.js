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

/** A value with three decimals, or three digits where those would hide it. */
function number(value) {
  if (value === null || !Number.isFinite(value)) return "—";
  const size = Math.abs(value);
  const text = size === 0 || (size >= 0.001 && size < 10000) ? value.toFixed(3) : value.toPrecision(3);
  return text.replaceAll("-", "−");
}

function signed(value) {
  return value > 0 ? `+${number(value)}` : number(value);
}

/** A share as per cent; one too small to show is not shown as none. */
function percent(value) {
  if (value > 0 && value < 0.0005) return "<0.1 %";
  return `${(100 * value).toFixed(1).replace(/\.0$/, "")} %`;
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
