/* The Fleet page: who is in trouble, and where they are. */
import { $, el, put, mark, css, glyph, paintGlyph, stateOf, open, font, seconds } from "./draw.js";
import { S, aged, telemetryLost, get } from "./store.js";

const MANY = 16, cards = new Map();
let bundles = null, places = [];

export function start() { get("/api/bundles").then(found => { bundles = found; }).catch(() => {}); $("map").addEventListener("click", pick); for (const id of ["show-trails", "show-edges"]) $(id).onchange = map; }

export function draw() { list(); sums(); map(); facts(); }

/* The word to show: what is not heard of any more is not known. */
export const wordOf = robot => telemetryLost() ? "UNKNOWN" : robot.state;

function make(robot) {
  const card = el("button", "card"); card.type = "button"; card.dataset.robot = robot.id;
  const one = el("div", "one"), id = el("span", "id", String(robot.id)), word = el("span", "word"), mode = el("span", "mode"), age = el("span", "age");
  const icon = el("span"); icon.style.display = "contents";
  one.append(icon, id, word, mode, age);
  const why = el("div", "why"), numbers = el("dl"), values = {};
  for (const [key, name] of [["trust", "trust"], ["link", "link age"], ["p99", "policy p99"], ["battery", "battery"]]) { const box = el("div"); box.append(el("dt", "", name), values[key] = el("dd")); numbers.appendChild(box); }
  card.append(one, why, numbers);
  card.onclick = () => dispatchEvent(new CustomEvent("select-robot", { detail: robot.id }));
  return { card, icon, word, mode, age, why, values, shown: "" };
}
function update(entry, robot) {
  const word = wordOf(robot), age = robot.age === null ? null : robot.age + aged(), gone = word === "LOST" || word === "ABSENT" || word === "UNKNOWN";
  if (entry.shown !== word) { entry.shown = word; entry.icon.replaceChildren(glyph(word)); entry.card.style.setProperty("--paint", `var(${stateOf(word).paint})`); put(entry.word, word); mark(entry.card, "data-state", word); entry.card.classList.toggle("gone", gone); }
  put(entry.age, age === null ? "never heard" : gone ? `last seen ${seconds(age)} ago` : age > 0.6 ? `${seconds(age)} ago` : "");
  put(entry.mode, robot.mode || ""); entry.mode.hidden = !robot.mode || robot.mode === "ACTIVE" || gone;
  const faults = robot.faults.join(", ");
  const why = [robot.reasons.join(", ").toLowerCase(), word !== "HEALTHY" && word !== "ABSENT" ? `says ${word === "UNKNOWN" ? "the page" : "the " + robot.judge}`.replace("the peers", "the other robots") : "", robot.limited.length ? "held back: " + robot.limited.join(", ").toLowerCase() : ""].filter(Boolean).join(" · ");
  if (entry.why.dataset.told !== why + faults) {
    entry.why.dataset.told = why + faults; entry.why.replaceChildren();
    if (faults) entry.why.append(el("span", "fault", "fault: " + faults), " ");
    entry.why.append(why); entry.why.title = why;
  }
  put(entry.values.trust, robot.trust === null ? "–" : robot.trust.toFixed(2));
  put(entry.values.link, age === null ? "–" : age > 0.995 ? seconds(age) : Math.round(age * 1000) + " ms");
  put(entry.values.p99, robot.inference_ms === null ? "–" : robot.inference_ms.toFixed(1) + " ms");
  put(entry.values.battery, robot.battery === null ? "–" : Math.round(100 * robot.battery) + " %");
  mark(entry.card, "aria-pressed", String(S.selected === robot.id));
  mark(entry.card, "aria-label", `Robot ${robot.id}, ${word}${gone && age !== null ? ", last seen " + Math.round(age) + " s ago" : ""}${faults ? ", fault " + faults : ""}`);
}
/* Worst first; a robot that was ever seen keeps its card. */
function list() {
  const box = $("cards"), robots = S.picture.robots;
  box.classList.toggle("many", robots.length > MANY);
  const order = [...robots].sort((a, b) => stateOf(wordOf(a)).rank - stateOf(wordOf(b)).rank || (b.faults.length > 0) - (a.faults.length > 0) || a.id - b.id);
  order.forEach((robot, i) => {
    if (!cards.has(robot.id)) cards.set(robot.id, make(robot));
    const entry = cards.get(robot.id);
    update(entry, robot);
    if (box.children[i] !== entry.card) { const focused = document.activeElement === entry.card; box.insertBefore(entry.card, box.children[i] || null); if (focused) entry.card.focus(); }
  });
}
function sums() {
  const robots = S.picture.robots, healthy = robots.filter(r => wordOf(r) === "HEALTHY").length, out = robots.filter(r => r.trust !== null && r.trust < 0.5).length;
  const trouble = robots.filter(r => !["HEALTHY", "ABSENT"].includes(wordOf(r))).length, oldest = Math.max(...robots.map(r => r.age === null ? 0 : r.age)) + aged();
  const rows = [[`${healthy} of ${robots.length}`, "healthy"], [trouble, "in trouble"], [out, "left out"], [robots.length && oldest > 0.995 ? seconds(oldest) : Math.round(oldest * 1000) + " ms", "oldest heartbeat"]];
  const box = $("sums"); while (box.children.length < rows.length) { const d = el("div"); d.append(el("b"), el("span")); box.appendChild(d); }
  rows.forEach(([value, text], i) => { put(box.children[i].children[0], String(value)); put(box.children[i].children[1], text); });
}

/* the map */
function map() {
  const [g, width, height] = open($("map")), picture = S.picture, robots = picture.robots, task = picture.task;
  const spread = Math.max(0.5, ...robots.filter(r => r.place && r.place[0] !== null).map(r => Math.max(Math.abs(r.place[0]), Math.abs(r.place[1]))));
  const half = task ? task.half_width : spread, room = half * 1.05, scale = Math.min(width, height) / (2 * room);
  const [hx, hy] = task ? task.home : [0, 0], px = x => width / 2 + (x - hx) * scale, py = y => height / 2 - (y - hy) * scale;
  g.fillStyle = css("--bg"); g.fillRect(0, 0, width, height);
  grid(g, width, height, room, scale, px, py, hx, hy);
  if (task) {
    g.strokeStyle = css("--soft"); g.lineWidth = 1.6; g.setLineDash([8, 5]); g.strokeRect(px(hx - half), py(hy + half), 2 * half * scale, 2 * half * scale); g.setLineDash([]);
    font(g, 11); g.fillStyle = css("--soft"); g.textAlign = "left"; g.textBaseline = "bottom"; g.fillText("geofence", px(hx - half) + 6, py(hy - half) - 5);
    for (const [x, y, value] of task.landmarks) { g.beginPath(); g.arc(px(x), py(y), 6 + 11 * Math.max(0, Math.min(1, value)), 0, 7); g.strokeStyle = css("--back"); g.globalAlpha = .8; g.lineWidth = 1.5; g.stroke(); g.globalAlpha = 1; g.beginPath(); g.arc(px(x), py(y), 1.8, 0, 7); g.fillStyle = css("--back"); g.fill(); }
    for (const [x, y, r] of task.posts) { g.beginPath(); g.arc(px(x), py(y), r * scale, 0, 7); g.fillStyle = css("--line"); g.fill(); }
  }
  if ($("show-trails").checked) trails(g, px, py, robots);
  const size = robots.length > 30 ? 15 : robots.length > MANY ? 18 : 22;
  if ($("show-edges").checked) edges(g, px, py, robots, size);
  places = [];
  for (const robot of robots) {
    if (!robot.place || robot.place[0] === null) continue;
    const x = px(robot.place[0]), y = py(robot.place[1]), word = wordOf(robot), chosen = S.selected === robot.id;
    places.push([x, y, robot.id]);
    if (robot.yaw !== null && word !== "LOST" && word !== "UNKNOWN") { g.strokeStyle = css(stateOf(word).paint); g.lineWidth = 2.4; g.beginPath(); g.moveTo(x, y); g.lineTo(x + size * .95 * Math.cos(robot.yaw), y - size * .95 * Math.sin(robot.yaw)); g.stroke(); }
    if (chosen) { g.strokeStyle = css("--ink"); g.lineWidth = 2; g.beginPath(); g.arc(x, y, size * .85, 0, 7); g.stroke(); }
    paintGlyph(g, word, x, y, size);
    const label = String(robot.id) + (robot.faults.length ? " " + robot.faults[0] : ""); font(g, robots.length > 30 ? 11 : 13, 650); g.textAlign = x > width - 70 ? "right" : "left"; g.textBaseline = "middle";
    const lx = x + (g.textAlign === "left" ? 1 : -1) * (size * .62 + 3), ly = y - size * .5; g.lineWidth = 3.5; g.strokeStyle = css("--bg"); g.strokeText(label, lx, ly); g.fillStyle = css("--ink"); g.fillText(label, lx, ly);
  }
  put($("map-note"), (task ? `${task.scenario} · ${(2 * half).toFixed(1)} m across` : "no task heard") + (S.selected !== null ? ` · robot ${S.selected} selected` : ""));
}
function grid(g, width, height, room, scale, px, py, hx, hy) {
  const step = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100].find(s => s * scale >= 46) || 200, wide = width / scale / 2, tall = height / scale / 2;
  g.strokeStyle = css("--grid"); g.lineWidth = 1; g.beginPath();
  for (let x = Math.ceil((hx - wide) / step) * step; x <= hx + wide; x += step) { g.moveTo(px(x), 0); g.lineTo(px(x), height); }
  for (let y = Math.ceil((hy - tall) / step) * step; y <= hy + tall; y += step) { g.moveTo(0, py(y)); g.lineTo(width, py(y)); }
  g.stroke();
  const x0 = width - 18 - step * scale; g.strokeStyle = g.fillStyle = css("--soft"); g.lineWidth = 2; g.beginPath(); g.moveTo(x0, height - 14); g.lineTo(x0 + step * scale, height - 14); g.stroke();
  font(g, 11); g.textAlign = "center"; g.textBaseline = "bottom"; g.fillText(step + " m", x0 + step * scale / 2, height - 17);
}
function trails(g, px, py, robots) {
  const track = S.track; g.lineWidth = 2; g.lineCap = "round";
  for (const robot of robots) {
    g.strokeStyle = css(stateOf(wordOf(robot)).paint);
    for (let part = 0; part < 3; part++) {
      const from = Math.floor(track.length * part / 3), to = Math.min(track.length - 1, Math.floor(track.length * (part + 1) / 3)); let pen = false; g.globalAlpha = .16 + .2 * part; g.beginPath();
      for (let k = from; k <= to; k += robots.length > 30 ? 2 : 1) { const p = track[k].places[robot.id]; if (!p || p[0] === null) { pen = false; continue; } if (pen) g.lineTo(px(p[0]), py(p[1])); else g.moveTo(px(p[0]), py(p[1])); pen = true; }
      g.stroke();
    }
  }
  g.globalAlpha = 1;
}
/* Whom a robot attends to: of one that is selected everybody, else only what stands out. */
function edges(g, px, py, robots, size) {
  const n = robots.length, even = 1 / n;
  S.picture.attention.forEach((row, i) => {
    if (!row || !robots[i].place || robots[i].place[0] === null || (S.selected !== null && S.selected !== i)) return;
    const all = row.map((share, j) => [share, j]).filter(([share, j]) => j !== i && robots[j].place && robots[j].place[0] !== null && share > (S.selected === i ? 0.005 : even)).sort((a, b) => b[0] - a[0]).slice(0, S.selected === i ? n : n > MANY ? 1 : 2);
    for (const [share, j] of all) {
      const ax = px(robots[i].place[0]), ay = py(robots[i].place[1]), bx = px(robots[j].place[0]), by = py(robots[j].place[1]), long = Math.hypot(bx - ax, by - ay); if (long < size) continue;
      const bend = Math.min(26, long * .16), cx = (ax + bx) / 2 - (by - ay) / long * bend, cy = (ay + by) / 2 + (bx - ax) / long * bend, ex = bx - (bx - cx) / Math.hypot(bx - cx, by - cy) * size * .7, ey = by - (by - cy) / Math.hypot(bx - cx, by - cy) * size * .7;
      g.strokeStyle = g.fillStyle = css("--soft"); g.globalAlpha = Math.min(.9, .22 + share); g.lineWidth = .7 + 6.5 * share; g.beginPath(); g.moveTo(ax, ay); g.quadraticCurveTo(cx, cy, ex, ey); g.stroke();
      const angle = Math.atan2(ey - cy, ex - cx), head = 5 + 5 * share; g.beginPath(); g.moveTo(ex, ey); g.lineTo(ex - head * Math.cos(angle - .5), ey - head * Math.sin(angle - .5)); g.lineTo(ex - head * Math.cos(angle + .5), ey - head * Math.sin(angle + .5)); g.fill();
      if (S.selected === i && share > .02) { font(g, 11, 600); g.textAlign = "center"; g.textBaseline = "middle"; g.globalAlpha = 1; g.lineWidth = 3; g.strokeStyle = css("--bg"); const text = Math.round(100 * share) + "%"; g.strokeText(text, cx, cy); g.fillStyle = css("--ink"); g.fillText(text, cx, cy); }
    }
  });
  g.globalAlpha = 1;
}
function pick(event) {
  const box = $("map").getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const near = places.map(([a, b, id]) => [Math.hypot(a - x, b - y), id]).sort((a, b) => a[0] - b[0])[0];
  if (near && near[0] < 28) dispatchEvent(new CustomEvent("select-robot", { detail: near[1] }));
}

/* what is running */
function known(hex) {
  const all = bundles ? [...bundles.bundles, ...(bundles.slot ? [bundles.slot.current, bundles.slot.previous] : [])] : [];
  return all.find(b => b && b.digest && b.digest.startsWith(hex));
}
function facts() {
  const counts = {}; for (const r of S.picture.robots) if (r.bundle) counts[r.bundle] = (counts[r.bundle] || 0) + 1;
  const [most] = Object.entries(counts).sort((a, b) => b[1] - a[1])[0] || [null], others = Object.keys(counts).length - 1, bundle = most && known(most), sup = S.picture.supervisor;
  const old = sup && sup.age + aged() > sup.lease, l = S.picture.loops;
  const rows = [
    ["Bundle", most ? (bundle ? `${bundle.name} v${bundle.version}` : bundles ? "unknown here" : "looking it up") : "none heard", most ? most.slice(0, 12) : "", most && bundles ? (bundle && bundle.signed_by ? ["signed " + bundle.signed_by.slice(0, 8), ""] : [bundle ? "not signed" : "not known here", "no"]) : null, others > 0 ? [`${others + 1} different bundles!`, "bad"] : null],
    ["Supervisor", sup ? sup.name : "none heard", sup ? `term ${sup.term}` : "", sup ? (old ? ["silent, robots rely on themselves", "bad"] : ["speaks", ""]) : ["robots rely on themselves", "no"], sup && sup.common ? ["common cause suspected", "bad"] : null],
    ["Loops, slowest robot", l.period_ms === null ? "–" : `${l.period_ms.toFixed(0)} of ${l.meant_ms.toFixed(0)} ms`, l.inference_ms === null ? "" : `${l.inference_ms.toFixed(1)} ms policy`, l.period_ms !== null && l.period_ms > 1.5 * l.meant_ms ? ["late", "bad"] : null, null],
    ["Task", S.picture.task ? S.picture.task.scenario : "none heard", S.picture.task ? `${S.picture.task.landmarks.length} landmarks` : "", null, null],
  ];
  const told = JSON.stringify(rows), box = $("facts");
  if (box.dataset.told === told) return;
  box.dataset.told = told; box.replaceChildren();
  for (const [key, value, small, ...badges] of rows) {
    const cell = el("div"), v = el("div", "v", value + " "); v.title = value; v.appendChild(el("small", "", small)); cell.append(el("div", "k", key), v);
    for (const badge of badges) if (badge) cell.append(el("span", "badge " + badge[1], badge[0]), " ");
    box.appendChild(cell);
  }
}
