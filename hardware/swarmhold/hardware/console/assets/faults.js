/* The Faults page: what happened to whom, and breaking robots on purpose. */
import { $, el, put, css, glyph, stateOf, open, hatch, font, svg, clock } from "./draw.js";
import { S, onChange, get, post, look } from "./store.js";
import { mayAct } from "./app.js";

let registry = null, rows = [], checked = false, armedAt = -Infinity, drawn = "", segments = [];
const ROW = 40, LEFT = 52;

export function start() {
  const legend = $("lane-legend"), truth = svg("svg", { viewBox: "0 0 16 16" });
  truth.append(svg("path", { d: "M0 8L8 0M0 16L16 0M8 16l8-8", stroke: "var(--ink)", "stroke-width": 1.6 }));
  const item = el("span"); item.append(truth, "fault, as injected"); legend.append(item);
  for (const word of ["SUSPECT", "LOST", "QUARANTINED", "PROBATION", "ESTOPPED"]) { const span = el("span"); span.append(glyph(word), word.toLowerCase()); legend.append(span); }
  const left = el("span"); left.append("▾ left out  ▴ back in"); legend.append(left);
  $("lanes").addEventListener("click", e => { const box = $("lanes").getBoundingClientRect(), [a, b] = range(); const t = a + (e.clientX - box.left - LEFT) / (box.width - LEFT - 10) * (b - a); if (t >= a && t <= b) look(t); });
  $("plan-add").onclick = () => { rows.push({ kind: registry.kinds.find(k => k.able).kind, robot: 0, start_s: 1, duration_s: 5, severity: 1 }); uncheck(); table(); };
  $("plan-open").onclick = () => $("plan-file").click();
  $("plan-file").onchange = async () => { const [file] = $("plan-file").files; if (file) read(await file.text()); $("plan-file").value = ""; };
  $("plan-dry").onclick = () => send(true);
  $("plan-go").onclick = () => { if (performance.now() - armedAt > 4000) { armedAt = performance.now(); } else { armedAt = -Infinity; send(false); } };
  $("plan-abort").onclick = async () => { await post("/api/faults/abort", {}); enter(); };
  onChange(what => { if (what === "about" || what === "token") enter(); });
}
export async function enter() {
  try { registry = await get("/api/faults"); } catch { return; }
  const able = registry.kinds.filter(k => k.able);
  if (!rows.length && able.length) rows = [{ kind: able.some(k => k.kind === "spoof") ? "spoof" : able[0].kind, robot: 0, start_s: 1, duration_s: 5, severity: 1 }];
  put($("plan-note"), able.length ? `${able.length} of ${registry.kinds.length} kinds can be injected here` : S.about && S.about.replay ? "a recording cannot be broken; its faults are above" : "off; start the console with --allow-faults, and robots with faults allowed");
  table();
}
const uncheck = () => { checked = false; for (const row of rows) row.verdict = ""; put($("plan-said"), ""); };
function table() {
  const body = $("plan").tBodies[0], able = registry ? registry.kinds.filter(k => k.able) : [], n = S.latest ? S.latest.robots.length : 1;
  body.replaceChildren();
  $("plan").hidden = !able.length; for (const id of ["plan-add", "plan-open", "plan-dry", "plan-go"]) $(id).hidden = !able.length;
  rows.forEach((row, index) => {
    const line = el("tr"), kind = el("select"); kind.setAttribute("aria-label", "Kind");
    for (const k of registry.kinds.filter(k => k.able || k.kind === row.kind)) { const o = el("option", "", `${k.kind}`); o.value = k.kind; o.title = `${k.unit} ${k.type}`; o.selected = k.kind === row.kind; kind.append(o); }
    kind.onchange = () => { row.kind = kind.value; uncheck(); table(); };
    const cells = [kind];
    for (const [key, label, low, high, step] of [["robot", "Robot", 0, n - 1, 1], ["start_s", "Starts after, s", 0, 600, .5], ["duration_s", "Lasts, s", .5, 30, .5], ["severity", "Severity", 0, 1, .1]]) { const input = el("input"); Object.assign(input, { type: "number", min: low, max: high, step, value: row[key] }); input.setAttribute("aria-label", label); input.onchange = () => { row[key] = +input.value; uncheck(); table(); }; cells.push(input); }
    const verdict = el("span", row.verdict === "ok" ? "yes" : row.verdict ? "nope" : "soft", row.verdict === "ok" ? "✓ will be injected" : row.verdict ? (row.status ? row.verdict : "✕ " + row.verdict) : "not looked at yet"); cells.push(verdict);
    const gone = el("button", "plain", "✕"); gone.type = "button"; gone.setAttribute("aria-label", "Remove"); gone.onclick = () => { rows.splice(index, 1); uncheck(); table(); }; cells.push(gone);
    for (const cell of cells) { const td = el("td"); td.append(cell); line.append(td); }
    body.append(line);
  });
}
/* A plan file: who is broken when is drawn by the console, as every world draws it. */
async function read(text) {
  let answer; try { answer = await post("/api/faults/read", { text }); } catch (error) { put($("plan-said"), error.message); return; }
  if (!answer.ok) { put($("plan-said"), words(answer)); return; }
  const { name, robots, faults } = answer.body, n = S.latest ? S.latest.robots.length : 0;
  rows = faults; uncheck(); table();
  put($("plan-said"), `${name}: ${faults.length} faults of ${robots} robots` + (n !== robots ? `, and this team has ${n}` : "") + "; when to abort is up to you here");
}
const words = answer => Array.isArray(answer.body.detail) ? answer.body.detail.map(d => d.msg).join("; ") : answer.body.detail;
async function send(dry) {
  const faults = rows.map(({ kind, robot, start_s, duration_s, severity, seed }) => ({ kind, robot, start_s, duration_s, severity, ...(seed === undefined ? {} : { seed }) }));
  let answer; try { answer = await post("/api/faults", { faults, dry_run: dry }); } catch (error) { put($("plan-said"), error.message); return; }
  const plan = answer.body.plan || [];
  for (const row of rows) { const found = plan.find(p => p.kind === row.kind && p.robot === row.robot && p.start_s === row.start_s); row.verdict = found ? found.refused || "ok" : ""; }
  checked = dry && answer.ok && plan.every(p => !p.refused);
  put($("plan-said"), words(answer) || (dry ? `${answer.body.accepted} of ${plan.length} would be injected; nothing was done` : "injecting; it shows in the time line"));
  table();
}
const range = () => { const span = S.about && S.about.span ? S.about.span : [S.at - 60, S.at], end = S.about && S.about.replay ? span[1] : S.latest ? S.latest.t : span[1]; return [Math.max(span[0], S.about && S.about.replay ? span[0] : end - 300), Math.max(end, span[0] + 5)]; };

export function draw() { lanes(); entries(); const armed = performance.now() - armedAt < 4000; $("plan-go").disabled = !checked || !mayAct(); $("plan-dry").disabled = $("plan-open").disabled = !mayAct(); $("plan-go").classList.toggle("armed", armed); put($("plan-go"), armed ? "Press again to break them" : "Inject"); }
function lanes() {
  /* In a large team only those to whom something happened. */
  const all = S.picture.robots.map(r => r.id), told = new Set(S.happenings.map(e => e.robot)), shown = all.length > 16 ? all.filter(r => told.has(r)) : all;
  const n = shown.length, row = n > 16 ? 24 : ROW, [g, width] = open($("lanes"), n * row + (shown.length < all.length ? 44 : 34)), [a, b] = range(), x = t => LEFT + (Math.max(a, Math.min(b, t)) - a) / (b - a) * (width - LEFT - 10), h = row - 8, up = row > 30 ? 13 : 6; // truth above, what the team made of it below
  const now = S.about.replay ? b : b;
  shown.forEach((r, lane) => {
    const y = lane * row + 4, mine = S.happenings.filter(e => e.robot === r);
    font(g, 13, 650); g.fillStyle = css("--ink"); g.textAlign = "right"; g.textBaseline = "middle"; g.fillText(r, LEFT - 12, y + h / 2);
    g.fillStyle = css("--grid"); g.fillRect(LEFT, y, width - LEFT - 10, h);
    const states = mine.filter(e => e.kind === "state");
    states.forEach((e, i) => {
      const end = i + 1 < states.length ? states[i + 1].t : S.about.replay ? (S.at || now) : now; if (e.value === "HEALTHY" || end < a) return;
      const x0 = x(e.t), w = Math.max(2, x(end) - x0); g.fillStyle = css(stateOf(e.value).paint); g.globalAlpha = .38; g.fillRect(x0, y + up, w, h - up); g.globalAlpha = 1; g.fillRect(x0, y + up, 3, h - up);
      if (w > 60) { font(g, 11, 600); g.textAlign = "left"; g.fillStyle = css("--ink"); g.fillText(e.value, x0 + 16, y + up + (h - up) / 2 + .5); }
    });
    const open = {};
    for (const e of mine.filter(e => e.kind === "fault" || e.kind === "refused")) {
      if (e.kind === "refused") { if (open[e.value]) { Object.assign(open[e.value], { refused: true, until: e.t }); delete open[e.value]; } continue; }
      if (e.until !== null && e.until <= e.t) { if (open[e.value]) { open[e.value].until = e.t; delete open[e.value]; } continue; }
      open[e.value] = { ...e }; (e.lane = open[e.value]);
    }
    for (const e of mine.filter(e => e.lane)) { const f = e.lane, end = f.until === null ? (S.about.replay ? (S.at || b) : b) : f.until, x0 = x(f.t), w = Math.max(2, x(Math.min(end, S.about.replay ? (S.at || b) : b)) - x0); if (f.refused) { g.strokeStyle = css("--soft"); g.lineWidth = 1; g.setLineDash([3, 3]); g.strokeRect(x0 + .5, y + .5, Math.max(w, 6), up - 1); g.setLineDash([]); } else hatch(g, x0, y, w, up, css("--soft"), 5); if (up < 10) continue; font(g, 11, 650); g.textAlign = "left"; g.lineWidth = 3; g.strokeStyle = css("--panel"); const tag = f.refused ? f.value + " refused" : f.value; g.strokeText(tag, x0 + 4, y + up / 2 + .5); g.fillStyle = css("--ink"); g.fillText(tag, x0 + 4, y + up / 2 + .5); }
    for (const e of mine.filter(e => e.kind === "weight")) { const px = x(e.t), s = 5; g.fillStyle = css("--ink"); g.beginPath(); if (e.value === "out") { g.moveTo(px - s, y + up + 2); g.lineTo(px + s, y + up + 2); g.lineTo(px, y + up + 2 + s * 1.5); } else { g.moveTo(px - s, y + h); g.lineTo(px + s, y + h); g.lineTo(px, y + h - s * 1.5); } g.fill(); }
  });
  if (shown.length < all.length) { font(g, 11); g.fillStyle = css("--soft"); g.textAlign = "right"; g.fillText(`nothing happened to ${all.length - shown.length} others`, width - 12, n * row + 32); }
  for (const e of S.happenings.filter(e => e.kind === "estop")) { g.strokeStyle = css("--halt"); g.lineWidth = 2.5; g.beginPath(); g.moveTo(x(e.t), 2); g.lineTo(x(e.t), n * row); g.stroke(); }
  if (S.at) { g.strokeStyle = css("--ink"); g.lineWidth = 1.4; g.setLineDash([3, 3]); g.beginPath(); g.moveTo(x(S.at), 0); g.lineTo(x(S.at), n * row + 4); g.stroke(); g.setLineDash([]); }
  const step = [1, 2, 5, 10, 20, 30, 60, 120].find(s => (b - a) / s <= 11) || 300; font(g, 11); g.fillStyle = css("--soft"); g.textAlign = "center";
  for (let t = 0; t <= b - a; t += step) { const px = x(a + t); g.fillText(S.about.replay ? `${t} s` : clock(a + t).slice(0, 8), Math.max(LEFT + 14, Math.min(px, width - 30)), n * row + 18); }
}
function entries() {
  const list = S.happenings.slice(-200).reverse(), told = list.map(e => e.id).join() + list.length;
  if (told === drawn) return;
  drawn = told; $("entries").replaceChildren();
  if (!list.length) $("entries").append(el("li", "empty", "Nothing has happened so far."));
  for (const e of list) {
    if (e.kind === "fault" && e.lane && e.lane.refused) continue; // its refusal says it all
    const item = el("li"), button = el("button"); button.type = "button";
    const icon = e.kind === "state" ? glyph(e.value) : el("span", "", { fault: "⚡", refused: "✕", weight: e.value === "out" ? "▾" : "▴", boot: "↻", estop: "■", team: "◇", mode: "·" }[e.kind] || "·");
    button.append(el("span", "t", clock(e.t).slice(0, 8)), icon, el("span", "", e.text)); button.onclick = () => look(e.t); item.append(button); $("entries").append(item);
  }
}
