/* The Team page: what everybody believes of everybody, and whether it is fast enough. */
import { $, el, put, css, glyph, stateOf, open, hatch, font, svg } from "./draw.js";
import { S, aged } from "./store.js";
import { wordOf } from "./fleet.js";

const MASKED = 0.05;
/* What each may take, of a loop with that period. */
const BUDGETS = { period_ms: period => period, inference_ms: period => period / 2, heartbeat_ms: () => 300 };
const NAMES = { period_ms: ["Loop period", "p99, and what is meant"], inference_ms: ["Policy", "p99, and half a period"], heartbeat_ms: ["Oldest heartbeat", "silence is from 300 ms"] };
let chosen = null, shape = null;

export function start() {
  const canvas = $("matrix");
  canvas.addEventListener("mousemove", e => { const box = canvas.getBoundingClientRect(); at(e.clientX - box.left, e.clientY - box.top); });
  canvas.addEventListener("click", e => { const box = canvas.getBoundingClientRect(); at(e.clientX - box.left, e.clientY - box.top); });
  canvas.addEventListener("keydown", e => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (!step || !S.picture) return;
    const n = S.picture.robots.length, [i, j] = chosen || [0, -1];
    chosen = [Math.max(0, Math.min(n - 1, i + step[0])), Math.max(0, Math.min(n - 1, j + step[1]))]; e.preventDefault(); e.stopPropagation(); matrix();
  });
  const legend = $("matrix-legend");
  const bar = el("i"); bar.style.cssText = "width:56px;margin-right:-6px;background:linear-gradient(90deg,rgba(var(--hot),.08),rgba(var(--hot),1))";
  const said = el("span"); said.id = "matrix-top"; legend.append(bar, said);
  const box = svg("svg", { viewBox: "0 0 16 16" }); box.append(svg("path", { d: "M0 8L8 0M0 16L16 0M8 16l8-8", stroke: "var(--out)", "stroke-width": 1.8 }));
  const item = el("span"); item.append(box, "taken out"); legend.append(item);
}
export function draw() { matrix(); trust(); sparks(); judge(); }

function at(x, y) {
  if (!shape) return;
  const i = Math.floor((y - shape.top) / shape.cell), j = Math.floor((x - shape.left) / shape.cell), n = shape.n;
  chosen = i >= 0 && j >= 0 && i < n && j < n ? [i, j] : null; matrix();
}
function matrix() {
  if (!S.picture) return;
  const [g, width, height] = open($("matrix")), { robots, attention, weights } = S.picture, n = robots.length;
  const edge = n > 30 ? 34 : 62, top = n > 30 ? 30 : 46, cell = Math.max(5, Math.min(110, (width - edge - 6) / n, (height - top - 6) / n)), every = cell < 15 ? Math.ceil(15 / cell) : 1, left = Math.max(edge, (width + edge - n * cell) / 2);
  shape = { left, top, cell, n };
  const full = Math.max(.15, Math.min(.6, 4 / n));
  put($("matrix-top"), `0 to ${Math.round(100 * full)} % of the attention`);
  g.textBaseline = "middle";
  for (let i = 0; i < n; i++) {
    const y = top + i * cell, x = left + i * cell, row = attention[i], given = weights[i], gap = cell > 14 ? 2 : .6;
    if (i % every === 0) {
      font(g, cell < 20 ? 10 : 13, 650); g.fillStyle = css(S.selected === i ? "--act" : "--ink"); g.textAlign = "right"; g.fillText(i, left - (cell > 18 ? 28 : 8), y + cell / 2); g.textAlign = "center"; g.fillText(i, x + cell / 2, top - (cell > 18 ? 30 : 10));
      if (cell > 18) { tiny(g, wordOf(robots[i]), left - 13, y + cell / 2); tiny(g, wordOf(robots[i]), x + cell / 2, top - 12); }
    }
    for (let j = 0; j < n; j++) {
      const cx = left + j * cell, w = cell - gap;
      g.fillStyle = css("--grid");
      if (!row) { g.globalAlpha = .55; g.fillRect(cx, y, w, w); g.globalAlpha = 1; if (cell > 9) { g.strokeStyle = css("--line"); g.lineWidth = 1; g.beginPath(); g.moveTo(cx + w * .3, y + w * .3); g.lineTo(cx + w * .7, y + w * .7); g.moveTo(cx + w * .7, y + w * .3); g.lineTo(cx + w * .3, y + w * .7); g.stroke(); } continue; }
      const share = row[j], out = given && i !== j && given[j] < MASKED, part = Math.min(1, share / full);
      g.fillRect(cx, y, w, w);
      if (i === j) { g.fillStyle = css("--soft"); g.globalAlpha = .12 + .5 * part; g.fillRect(cx, y, w, w); g.globalAlpha = 1; }
      else if (!out) { g.fillStyle = `rgba(${css("--hot")},${(.06 + .94 * part).toFixed(3)})`; g.fillRect(cx, y, w, w); }
      if (out) hatch(g, cx, y, w, w, css("--out"), cell > 20 ? 7 : 4);
      if (cell >= 30 && !out) { font(g, 12, 550); g.textAlign = "center"; g.fillStyle = i !== j && part > .55 ? "#04121c" : css("--ink"); g.fillText(share < .005 ? "0" : Math.round(100 * share), cx + w / 2, y + w / 2); }
      if (given && i !== j && !out && given[j] < .9 && cell > 16) { g.strokeStyle = css("--doubt"); g.lineWidth = 2; g.setLineDash([3, 2]); g.strokeRect(cx + 1, y + 1, w - 2, w - 2); g.setLineDash([]); }
    }
  }
  if (chosen && chosen[0] < n && chosen[1] < n) { g.strokeStyle = css("--ink"); g.lineWidth = 2.2; g.strokeRect(left + chosen[1] * cell - 1, top + chosen[0] * cell - 1, cell, cell); tell(chosen, attention, weights, n); }
}
function tiny(g, word, x, y) { g.save(); const s = stateOf(word), path = new Path2D(s.path), k = 12 / 16; g.translate(x - 6, y - 6); g.scale(k, k); g.lineWidth = s.fill ? 1 : 2.6; g.strokeStyle = g.fillStyle = css(s.paint); if (s.fill) g.fill(path); g.stroke(path); g.restore(); }
function tell([i, j], attention, weights, n) {
  const row = attention[i], share = row && row[j], even = 1 / n;
  const more = share - even, text = !row ? `Robot ${i} says nothing.` : i === j ? `Robot ${i}: ${(100 * share).toFixed(1)} % rests on the null token, on nobody.`
    : `Robot ${i} attends to ${j} with ${(100 * share).toFixed(1)} % (${more < 0 ? "−" : "+"}${Math.abs(100 * more).toFixed(1)} against an even share) and gives it weight ${weights[i] ? weights[i][j].toFixed(2) : "?"}${weights[i] && weights[i][j] < MASKED ? ": taken out" : ""}.`;
  put($("cell"), text);
}
const bars = new Map();
function trust() {
  const box = $("trust"), many = S.picture.robots.length > 16;
  const robots = many ? [...S.picture.robots].sort((a, b) => (a.trust ?? 1) - (b.trust ?? 1) || a.id - b.id) : S.picture.robots;
  if (bars.size !== robots.length) { bars.clear(); box.replaceChildren(); }
  robots.forEach((robot, i) => {
    if (!bars.has(robot.id)) { const row = el("div", "trust"), icon = el("span"), track = el("div", "track"), fill = el("i"), value = el("b"); track.appendChild(fill); row.append(icon, el("span", "", String(robot.id)), track, value); box.appendChild(row); bars.set(robot.id, { row, icon, fill, value, word: "" }); }
    const bar = bars.get(robot.id), word = wordOf(robot);
    if (bar.word !== word) { bar.word = word; bar.icon.replaceChildren(glyph(word)); bar.fill.style.background = `var(${stateOf(word).paint})`; bar.row.title = word; }
    bar.fill.style.width = 100 * (robot.trust || 0) + "%"; put(bar.value, robot.trust === null ? "–" : robot.trust.toFixed(2));
    if (box.children[i] !== bar.row) box.insertBefore(bar.row, box.children[i] || null);
  });
}
const lines = {};
function sparks() {
  const box = $("sparks"), rows = S.loops;
  for (const key in NAMES) {
    if (!lines[key]) { const row = el("div", "spark"), label = el("span"), canvas = el("canvas"), value = el("b"); label.append(NAMES[key][0], el("br"), el("small", "", NAMES[key][1])); row.append(label, canvas, value); box.appendChild(row); lines[key] = { canvas, value }; canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", NAMES[key][0] + " over the last minute"); }
    const { canvas, value } = lines[key], [g, width, height] = open(canvas), budget = BUDGETS[key](S.picture.loops.meant_ms), values = rows.map(r => r[key]).filter(v => v !== null);
    const top = Math.max(budget * 1.5, ...values) * 1.05, y = v => height - 3 - v / top * (height - 6), end = S.at || 0, x = t => width - (end - t) / 60 * width;
    g.strokeStyle = css("--out"); g.setLineDash([4, 3]); g.lineWidth = 1.2; g.beginPath(); g.moveTo(0, y(budget)); g.lineTo(width, y(budget)); g.stroke(); g.setLineDash([]);
    g.strokeStyle = css("--ok"); g.lineWidth = 1.7; g.beginPath(); let pen = false;
    for (const row of rows) { if (row[key] === null) { pen = false; continue; } if (pen) g.lineTo(x(row.t), y(row[key])); else g.moveTo(x(row.t), y(row[key])); pen = true; }
    g.stroke();
    const last = rows.length ? rows[rows.length - 1][key] : null; put(value, last === null ? "–" : last.toFixed(last < 10 ? 1 : 0) + " ms"); value.classList.toggle("over", last !== null && last > budget * 1.5);
  }
}
function judge() {
  const sup = S.picture.supervisor, sources = {}; for (const r of S.picture.robots) if (r.source && r.age !== null && r.age < 1) sources[r.source] = (sources[r.source] || 0) + 1;
  const by = Object.entries(sources).map(([k, v]) => `${v} by ${{ SUPERVISOR: "the supervisor's table", LOCAL: "what they notice themselves", FADING: "a table that fades" }[k] || k}`).join(", ");
  const text = (sup ? `${sup.name} judges in term ${sup.term}; its table is ${((sup.age + aged()) * 1000).toFixed(0)} ms old and holds for ${sup.lease === null ? "?" : sup.lease.toFixed(1)} s.` : "No supervisor was heard.") + (by ? ` Weights in use: ${by}.` : "") + (sup && sup.common ? " Too many look bad at once: a common cause is suspected, the team slows down." : "");
  const box = $("judge"); if (!box.children.length) box.append(el("div", "head"), el("p", "small")); if (!box.children[0].children.length) box.children[0].append(el("h2", "", "Who judges"));
  put(box.children[1], text);
}
