/* The frame of the page: banner, emergency stop, pages, time, keys. */
import { $, el, put, mark, clock, forgetColours, seconds } from "./draw.js";
import { S, onChange, connect, refresh, look, follow, post, useToken, telemetryLost } from "./store.js";
import * as fleet from "./fleet.js";
import * as team from "./team.js";
import * as faults from "./faults.js";
import * as runs from "./runs.js";

const PAGES = { fleet, team, faults, runs };
const MODES = { HARDWARE: "real robots", SIM: "simulated bodies", REPLAY: "a recorded flight; nothing here is live", NONE: "waiting for the team" };
const ARMED_MS = 4000;
let page = "fleet", dirty = true;

/* pages */
function route() {
  const asked = location.hash.slice(1).split("/")[0];
  page = asked in PAGES ? asked : "fleet";
  for (const name in PAGES) {
    $("page-" + name).hidden = name !== page;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === page) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  if (PAGES[page].enter) PAGES[page].enter();
  dirty = true;
}
addEventListener("hashchange", route);

/* banner, and what is wrong with what is seen */
function head() {
  const mode = S.picture ? S.picture.mode : S.about && S.about.replay ? "REPLAY" : "NONE";
  mark($("banner"), "data-mode", mode);
  put($("mode"), mode === "NONE" ? "NO TEAM YET" : mode);
  const back = S.picture && !S.following && S.about && !S.about.replay ? `, looking back ${(S.latest.t - S.at).toFixed(1)} s` : "";
  put($("mode-text"), MODES[mode] + back + (S.about ? " · " + S.about.title : ""));
  document.title = (mode === "NONE" ? "" : mode + " · ") + "swarmhold console";
  const lost = telemetryLost(), text = !S.connected && S.about && !S.about.replay
    ? `The console does not answer; what you see is ${seconds(lost)} old. Stop the robots by hand, or run: swarmhold estop`
    : lost ? `Telemetry is lost for ${seconds(lost)}; what you see is old. STOP ALL still works: it has a way of its own.` : "";
  $("alert").hidden = !text; if (text) put($("alert"), text);
  put($("access"), S.about && S.about.read_only ? "read-only" : S.token ? "operator" : "read-only: enter token");
  $("access").disabled = !!(S.about && S.about.read_only);
}
export const mayAct = () => !!(S.token && S.about && !S.about.read_only);
$("access").onclick = () => { $("token").value = ""; $("ask").showModal(); };
$("ask").addEventListener("close", () => { if ($("ask").returnValue === "yes" && $("token").value) useToken($("token").value.trim()); });

/* emergency stop: first press arms, second one sends, and what comes of it is what robots say */
let armedAt = -Infinity, sending = false, key = null, failed = "";
function pressStop() {
  if (!S.about || S.about.replay) return;
  if (!mayAct()) { if (!S.about.read_only) $("access").click(); return; }
  if (performance.now() - armedAt > ARMED_MS) { armedAt = performance.now(); key = Math.random().toString(36).slice(2) + Date.now(); dirty = true; return; }
  armedAt = -Infinity; sendStop(); dirty = true;
}
async function sendStop() {
  if (sending) return;
  sending = true; failed = "";
  for (let attempt = 0; attempt < 30; attempt++) {
    try {
      const { ok, body } = await post("/api/stop", { confirm: "STOP" }, key);
      failed = ok ? "" : body.detail || "refused";
      if (ok) S.stop = body;
      if (ok || body.detail) break;
    } catch (error) { failed = `not sent yet (${error.message}); trying again`; }
    dirty = true;
    await new Promise(done => setTimeout(done, 300));
  }
  sending = false; dirty = true;
}
function stopView() {
  const button = $("stop"), given = S.stop && S.stop.given, armed = performance.now() - armedAt < ARMED_MS;
  const count = S.latest ? S.latest.robots.length : 0;
  button.classList.toggle("armed", armed); button.classList.toggle("given", !!given && !armed);
  button.classList.toggle("barred", !armed && !(given) && !mayAct());
  put($("stop-word"), armed ? "PRESS AGAIN" : given ? "STOP WAS GIVEN" : "STOP ALL");
  put($("stop-help"), armed ? `stops ${count ? "all " + count : "every"} robot${count === 1 ? "" : "s"}` : S.about && S.about.replay ? "a recording cannot be stopped" : !mayAct() ? "read-only: no token" : given ? "press twice to say it again" : "press twice · space");
  button.disabled = !!(S.about && S.about.replay);
  button.querySelector("i").style.width = armed ? 100 * (1 - (performance.now() - armedAt) / ARMED_MS) + "%" : "0";
  const panel = $("stop-panel"); panel.hidden = !given && !failed && !sending;
  if (panel.hidden) return;
  const robots = Object.entries((S.stop && S.stop.robots) || {}), yes = (S.stop && S.stop.confirmed) || [];
  const told = JSON.stringify([S.stop && { ...S.stop, seconds: 0 }, failed, sending]);
  if (panel.dataset.told !== told) {
    panel.dataset.told = told; panel.replaceChildren();
    const text = !given ? "STOP IS BEING SENT" : robots.length && yes.length === robots.length ? `ALL ${robots.length} ROBOTS CONFIRMED THE STOP` : `STOP: ${yes.length} of ${robots.length || "?"} confirmed`;
    const strong = el("strong", "", text); strong.id = "stop-count"; panel.appendChild(strong);
    const chips = el("div", "chips"); panel.appendChild(chips);
    for (const [robot, heard] of robots) {
      const sure = yes.includes(+robot), why = sure ? (heard.driver ? "✓" : "✓ policy only") : heard.mode === null ? "not heard" : heard.mode !== "STOP" ? heard.mode : "driver goes on";
      chips.appendChild(el("span", "chip" + (sure ? "" : " no"), `${robot} ${why}`));
    }
    const waiting = robots.filter(([robot]) => !yes.includes(+robot)).map(([robot]) => robot);
    const note = [failed, S.stop && S.stop.note, waiting.length ? `waiting for ${waiting.join(", ")}; who is not heard is held by its driver's own watchdog at best` : ""].filter(Boolean).join(" · ");
    if (note) panel.appendChild(el("div", "note", note));
  }
}
$("stop").onclick = pressStop;

/* time */
function timeView() {
  const replay = S.about && S.about.replay, span = S.about && S.about.span;
  $("speed").hidden = !replay;
  const stopped = !S.following || S.ended;
  put($("play"), stopped ? "▶" : "❚❚"); mark($("play"), "aria-label", stopped ? "Go on" : "Pause");
  $("live").hidden = !!replay; mark($("live"), "aria-pressed", String(S.following));
  put($("clock"), S.at ? clock(S.at) : "--:--:--.-");
  if (!span || !S.at) return;
  put($("behind"), replay ? `${(S.at - span[0]).toFixed(1)} of ${(span[1] - span[0]).toFixed(1)} s` : S.following ? "" : `−${(span[1] - S.at).toFixed(1)} s`);
  if (document.activeElement !== $("scrub") || S.following) $("scrub").value = span[1] > span[0] ? 1000 * (S.at - span[0]) / (span[1] - span[0]) : 1000;
}
$("scrub").oninput = () => { const [a, b] = S.about.span; look(a + (b - a) * $("scrub").value / 1000); };
$("play").onclick = () => S.following && !S.ended ? look(S.at) : follow();
$("live").onclick = follow;
$("speed").onchange = () => { S.speed = +$("speed").value; if (S.following) { connect(); } };

/* keys; space stops wherever the focus is, but for fields that are written into */
addEventListener("keydown", event => {
  const field = event.target.closest && event.target.closest("input:not([type=range]):not([type=checkbox]), textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || field || document.querySelector("dialog[open]")) return;
  const inPlace = event.target.closest && event.target.closest("select, input[type=range], #matrix, #map.space");
  if (event.key === " ") { event.preventDefault(); pressStop(); return; }
  if (event.key === "Escape") { armedAt = -Infinity; dirty = true; return; }
  if (inPlace && event.key.startsWith("Arrow")) return;
  const links = { f: "fleet", t: "team", a: "faults", r: "runs" };
  if (event.key in links) location.hash = links[event.key];
  else if (/^[0-9]$/.test(event.key)) select(event.key === "0" ? null : +event.key - 1);
  else if (event.key === "d") $("theme").click();
  else if (event.key === "p") $("play").click();
  else if (event.key === "?") $("help").showModal();
  else if (event.key === "End") follow();
  else if (event.key === "ArrowLeft" && S.at) look(S.at - 1);
  else if (event.key === "ArrowRight" && S.at) look(S.at + 1);
  else return;
  event.preventDefault();
}, true);
addEventListener("keyup", event => { if (event.key === " " && event.target.closest("button, a")) event.preventDefault(); }, true);
/* The robot with that number; selecting it twice selects none. */
export function select(robot) { S.selected = S.selected === robot ? null : robot; dirty = true; }
addEventListener("select-robot", event => select(event.detail));

/* dark, and light for outdoors */
function theme() { document.documentElement.dataset.theme = localStorage.getItem("theme") || "dark"; forgetColours(); dirty = true; }
$("theme").onclick = () => { localStorage.setItem("theme", document.documentElement.dataset.theme === "light" ? "dark" : "light"); theme(); };

onChange(() => { dirty = true; });
addEventListener("resize", () => { dirty = true; });
/* Ages and countdowns go on when nothing is heard. */
setInterval(() => { dirty = true; }, 200);
function frame() {
  if (dirty) {
    dirty = false;
    const began = performance.now();
    head(); stopView(); timeView();
    if (S.picture || page === "runs") PAGES[page].draw();
    S.frames.push(performance.now() - began); if (S.frames.length > 300) S.frames.shift();
  }
  requestAnimationFrame(frame);
}
window.consoleState = S;
theme(); route(); frame();
for (const name in PAGES) if (PAGES[name].start) PAGES[name].start();
(async () => { for (;;) { try { await refresh(); break; } catch { await new Promise(done => setTimeout(done, 500)); } } connect(); })();
