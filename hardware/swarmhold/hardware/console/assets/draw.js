/* What all pages draw with: states as shapes and colours, and small helpers. */

export const $ = id => document.getElementById(id);

/* Shape first, colour second: every state can be told in grey. Paths in a box of 16 x 16. */
export const STATES = {
  HEALTHY: { paint: "--ok", path: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z", fill: true, rank: 6 },
  PROBATION: { paint: "--back", path: "M8 1l7 7-7 7-7-7zM8 4v8", fill: false, rank: 4 },
  SUSPECT: { paint: "--doubt", path: "M8 1.5l7 12.5H1z", fill: true, rank: 3 },
  QUARANTINED: { paint: "--jail", path: "M2 2h12v12H2zM4.5 8h7", fill: false, rank: 1 },
  LOST: { paint: "--out", path: "M2.5 2.5l11 11M13.500 2.500l-11 11", fill: false, rank: 0 },
  ESTOPPED: { paint: "--halt", path: "M5 1h6l4 4v6l-4 4H5l-4-4V5z", fill: true, rank: 2 },
  ABSENT: { paint: "--gone", path: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z", fill: false, dash: true, rank: 5 },
  UNKNOWN: { paint: "--gone", path: "M5 6a3 3 0 1 1 4.500 2.600C8.300 9.300 8 9.800 8 10.500M8 13v1", fill: false, rank: 0 },
};
export const stateOf = word => STATES[word] || STATES.UNKNOWN;

let palette = {};
export function css(name) {
  if (!(name in palette)) palette[name] = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return palette[name];
}
export function forgetColours() { palette = {}; }

const NS = "http://www.w3.org/2000/svg";
export function svg(tag, attributes = {}) {
  const node = document.createElementNS(NS, tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
}
export function glyph(word) {
  const state = stateOf(word), box = svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" });
  const path = svg("path", { d: state.path, "stroke-width": state.fill ? 1 : 2.4, "stroke-linejoin": "round", "stroke-linecap": "round" });
  path.style.fill = state.fill ? `var(${state.paint})` : "none";
  path.style.stroke = `var(${state.paint})`;
  if (state.dash) path.setAttribute("stroke-dasharray", "3 2.5");
  box.appendChild(path);
  return box;
}
const shapes = {};
export function paintGlyph(g, word, x, y, size) {
  const state = stateOf(word), scale = size / 16;
  shapes[word] = shapes[word] || new Path2D(state.path);
  g.save(); g.translate(x - size / 2, y - size / 2); g.scale(scale, scale);
  g.lineWidth = state.fill ? 1.2 : 2.6; g.lineJoin = g.lineCap = "round";
  if (state.dash) g.setLineDash([3, 2.5]);
  g.strokeStyle = g.fillStyle = css(state.paint);
  if (state.fill) g.fill(shapes[word]); else if (word !== "LOST") { g.fillStyle = css("--panel"); g.fill(shapes[word]); }
  g.stroke(shapes[word]); g.restore();
}

export function el(tag, cls, text) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  return node;
}
/* Touch the page only where it changes. */
export function put(node, text) { if (node.textContent !== text) node.textContent = text; }
export function mark(node, name, value) { if (node.getAttribute(name) !== value) node.setAttribute(name, value); }

/* A canvas at the screen's own resolution; returns its context and size in CSS pixels. */
export function open(canvas, height) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth;
  if (height) canvas.style.height = height + "px";
  const tall = height || canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(tall * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0); g.clearRect(0, 0, width, tall);
  return [g, width, tall];
}
export function hatch(g, x, y, w, h, colour, gap = 6) {
  g.save(); g.beginPath(); g.rect(x, y, w, h); g.clip(); g.strokeStyle = colour; g.lineWidth = 1.6; g.beginPath();
  for (let k = -h; k < w; k += gap) { g.moveTo(x + k, y + h); g.lineTo(x + k + h, y); }
  g.stroke(); g.restore();
}
export function font(g, size, weight = 500) { g.font = `${weight} ${size}px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif`; }
export const seconds = (v, digits = 1) => v === null || v === undefined ? "never" : v.toFixed(digits) + " s";
export function clock(t) {
  const at = new Date(t * 1000), two = v => String(v).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${Math.floor(at.getMilliseconds() / 100)}`;
}
/* A bundle's badge: who vouches for it. */
export const vouched = b => b.signed_by ? ["signed " + b.signed_by.slice(0, 8), ""] : [b.has_signature ? "signed, not checked" : "not signed", "no"];
/* A bundle's badge: how far the sealed graph is from the network, and whether that is within the bar of export. */
export const parity = b => typeof b.parity !== "number" ? ["parity unknown", "no"] : [`parity ${b.parity.toExponential(0)}`, b.parity > 1e-5 ? "bad" : ""];
