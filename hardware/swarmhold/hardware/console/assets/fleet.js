/* The Fleet page: who is in trouble, and where they are. */
import { $, el, put, mark, glyph, stateOf, seconds, parity, vouched } from "./draw.js";
import { S, aged, telemetryLost, get } from "./store.js";
import * as map from "./map.js";

export const MANY = 16;
const cards = new Map();
let bundles = null;

export function start() { get("/api/bundles").then(found => { bundles = found; }).catch(() => {}); map.start(); }

export function draw() { list(); sums(); map.draw(); facts(); }

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
    ["Bundle", most ? (bundle ? `${bundle.name} v${bundle.version}` : bundles ? "unknown here" : "looking it up") : "none heard", most ? most.slice(0, 12) : "", most && bundles ? (bundle ? vouched(bundle) : ["not known here", "no"]) : null, bundle ? parity(bundle) : null, others > 0 ? [`${others + 1} different bundles!`, "bad"] : null],
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
