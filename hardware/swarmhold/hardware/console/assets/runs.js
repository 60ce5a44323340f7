/* The Runs page: flights and their reports, and what robots fly next. */
import { $, el, put, parity, vouched } from "./draw.js";
import { S, get, post, onChange } from "./store.js";
import { mayAct } from "./app.js";

let flights = null, bundles = null, armed = null, said = "";
export function start() { onChange(what => { if (what === "token" && !$("page-runs").hidden) render(); }); }
export async function enter() { try { [flights, bundles] = await Promise.all([get("/api/runs"), get("/api/bundles")]); said = ""; } catch (error) { said = error.message; } render(); }
export function draw() { if (armed && performance.now() - armed.at > 4000) { armed = null; render(); } }

/* A press arms, a second one within four seconds acts. */
function twice(key, text, act) {
  const hot = armed && armed.key === key, button = el("button", hot ? "armed" : "", hot ? "Press again" : text);
  button.type = "button"; button.disabled = !mayAct(); button.title = mayAct() ? "" : "needs the token";
  button.dataset.twice = key;
  button.onclick = async () => { if (!(armed && armed.key === key)) { armed = { key, at: performance.now() }; render(); document.querySelector(`[data-twice="${CSS.escape(key)}"]`)?.focus(); return; } armed = null; const { ok, body } = await act(); const told = ok ? `${body.name} v${body.version} is what robots fly when they start next` : body.detail; await enter(); said = told; render(); };
  return button;
}
function render() {
  put($("runs-note"), said || (flights ? `${flights.length} found` : "reading"));
  const body = $("flights").tBodies[0]; body.replaceChildren();
  for (const f of flights || []) {
    const row = el("tr"), name = el("td"); name.append(el("b", "", f.name));
    if (f.error) { const td = el("td", "soft", f.error); td.colSpan = 6; row.append(name, td); body.append(row); continue; }
    if (f.running) name.append(" ", el("span", "badge no", S.about && S.about.flight && S.about.flight.endsWith(f.name) && !S.about.replay ? "flies now" : "not ended"));
    const faults = el("td", "", f.faults.length ? f.faults.slice(0, 6).join(", ") + (f.faults.length > 6 ? ` and ${f.faults.length - 6} more` : "") : "nothing"); if (f.estop) faults.append(" ", el("span", "badge bad", "e-stop")); if (f.warnings) faults.append(" ", el("span", "badge no", `${f.warnings} warning${f.warnings > 1 ? "s" : ""}`));
    const more = el("td", "num"); if (f.recorded && !f.running) { const link = el("a", "", "report"); link.href = `/runs/${encodeURIComponent(f.name)}/report`; link.target = "_blank"; link.rel = "noopener"; more.append(link); } else more.append(el("span", "soft", f.recorded ? "recording" : "no recording"));
    const bundle = el("td", "", f.bundle || "?"); if (f.digest) { bundle.append(" "); bundle.append(el("code", "", f.digest.slice(0, 8))); }
    row.append(name, el("td", "num", new Date(f.t * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" })), bundle, el("td", "num", String(f.robots)), el("td", "num", f.seconds === null ? "–" : f.seconds.toFixed(0) + " s"), faults, more);
    body.append(row);
  }
  if (flights && !flights.length) { const td = el("td", "empty", "No flights here yet. Fly one: swarmhold fly --bundle coverage-epuck --robots 6"); td.colSpan = 7; const row = el("tr"); row.append(td); body.append(row); }
  slot(); shelf();
}
function slot() {
  const box = $("slot"), s = bundles && bundles.slot; box.replaceChildren();
  if (!s) { box.append(el("p", "soft small", "The console was started without --slot, so bundles cannot be promoted here.")); return; }
  if (s.error) { box.append(el("p", "nope", s.error)); return; }
  const pair = el("div", "slots");
  for (const [key, title] of [["current", "Flies next"], ["previous", "Before"]]) { const d = el("div"), b = s[key]; d.append(el("span", "soft small", title)); if (b && !b.error) d.append(el("b", "", `${b.name} v${b.version}`), el("code", "", b.digest.slice(0, 16)), el("br"), sign(b), " ", proven(b)); else d.append(el("b", "soft", b ? b.error : "nothing")); pair.append(d); }
  box.append(pair);
  const row = el("div", "row"); row.append(el("code", "", s.path), el("span", "grow")); if (s.previous) row.append(twice("back", "Roll back to the one before", () => post("/api/bundles/back", {}))); box.append(row);
}
const proven = b => { const [text, kind] = parity(b), span = el("span", "badge " + kind, text); span.title = "largest difference between the sealed graph and the network that it was made of"; return span; };
const sign = b => { const [text, kind] = vouched(b); return el("span", "badge " + kind, text); };
function shelf() {
  const body = $("bundles").tBodies[0]; body.replaceChildren();
  for (const b of (bundles && bundles.bundles) || []) {
    const row = el("tr"), act = el("td", "num"), name = el("td"); name.append(el("b", "", b.id));
    if (b.error) { const td = el("td", "nope small", b.error); td.colSpan = 4; row.append(name, td); body.append(row); continue; }
    name.className = "num"; name.append(el("br"), el("code", "", b.digest.slice(0, 12)));
    const now = bundles.slot && bundles.slot.current && bundles.slot.current.digest === b.digest;
    if (now) act.append(el("span", "badge", "flies next")); else if (bundles.slot) act.append(twice("b" + b.id, "Promote", () => post("/api/bundles/promote", { bundle: b.id })));
    const signed = el("td"); signed.append(sign(b), " ", proven(b)); row.append(name, el("td", "small", `teams of ${b.trained[0]} to ${b.trained[1]} ${b.robot}`), el("td", "num", String(b.version)), signed, act); body.append(row);
  }
}
