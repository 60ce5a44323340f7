/* What the page knows: the stream, the moment that is looked at, and the token. */

export const S = {
  about: null, picture: null, cameAt: 0, latest: null, happenings: [], stop: null,
  selected: null, following: true, paused: false, at: null, speed: 1, track: [], loops: [],
  drawn: [], /* places of robots on the map: pixels, and whose */
  heardAt: performance.now(), silent: null, ended: false, connected: false, token: null, frames: [],
};
const TRACK_S = 8, LOOPS_S = 60;
const listeners = [];
export const onChange = callback => listeners.push(callback);
const changed = what => { for (const callback of listeners) callback(what); };

const held = location.hash.match(/token=([^&]+)/);
if (held) { sessionStorage.setItem("token", decodeURIComponent(held[1])); history.replaceState(null, "", "#fleet"); }
S.token = sessionStorage.getItem("token");
export function useToken(token) { S.token = token; sessionStorage.setItem("token", token); changed("token"); }

export async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || answer.statusText);
  return answer.json();
}
/* A command. Its key is made once, so that sending it again does not do it again. */
export async function post(path, order, key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) + Date.now()) {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(order),
    headers: { "Content-Type": "application/json", "Idempotency-Key": key, Authorization: "Bearer " + S.token } });
  const body = await answer.json().catch(() => ({}));
  if (answer.status === 401) { S.token = null; sessionStorage.removeItem("token"); changed("token"); }
  return { ok: answer.ok, status: answer.status, body };
}

let source = null;
export function connect() {
  if (source) source.close();
  const replay = S.about && S.about.replay, query = replay ? `?speed=${S.speed}` + (S.at !== null ? `&at=${S.at}` : "") : "";
  if (replay) S.happenings = [];
  source = new EventSource("/api/stream" + query);
  const heard = () => { S.heardAt = performance.now(); S.connected = true; };
  source.onopen = () => { heard(); if (!replay) S.happenings = []; };
  source.onerror = () => { S.connected = false; changed("pulse"); };
  source.addEventListener("picture", e => { heard(); S.silent = 0; S.ended = false; take(JSON.parse(e.data)); });
  source.addEventListener("happened", e => { heard(); S.happenings.push(...JSON.parse(e.data)); changed("happened"); });
  source.addEventListener("stop", e => { heard(); S.stop = JSON.parse(e.data); changed("stop"); });
  source.addEventListener("pulse", e => { heard(); const p = JSON.parse(e.data); S.silent = p.silent_s; S.ended = !!p.ended; changed("pulse"); });
}
function take(picture) {
  S.latest = picture;
  const span = S.about.span;
  if (!span) S.about.span = [picture.t, picture.t]; else if (!S.about.replay) span[1] = picture.t;
  if (!S.following) { changed("pulse"); return; }
  show(picture);
  S.track.push({ t: picture.t, places: picture.robots.map(r => r.place) });
  S.loops.push({ t: picture.t, ...picture.loops });
  while (S.track.length && S.track[0].t < picture.t - TRACK_S) S.track.shift();
  while (S.loops.length && S.loops[0].t < picture.t - LOOPS_S) S.loops.shift();
}
function show(picture) { S.picture = picture; S.cameAt = performance.now(); S.at = picture.t; changed("picture"); }

export async function refresh() { S.about = await get("/api/about"); changed("about"); }
async function recall(t) {
  const past = await get(`/api/recent?at=${t}&seconds=${LOOPS_S}`);
  S.loops = past.t.map((at, i) => ({ t: at, period_ms: past.loops.period_ms[i], inference_ms: past.loops.inference_ms[i], heartbeat_ms: past.loops.heartbeat_ms[i] }));
  S.track = past.t.map((at, i) => ({ t: at, places: past.places[i] })).filter(p => p.t > t - TRACK_S);
}
let wanted = null, busy = false;
/* Look at a moment. While one is on its way the last wish wins. */
export async function look(t) {
  wanted = t; S.following = false;
  if (S.about.replay && source) { source.close(); source = null; S.connected = true; }
  if (busy) return;
  busy = true;
  try { while (wanted !== null) { const t0 = wanted; wanted = null; const p = await get(`/api/picture?at=${t0}`); await recall(t0); if (!S.following) { show(p); S.at = t0; } } }
  finally { busy = false; }
  if (S.about.replay) { S.happenings = (await get("/api/happenings")).filter(e => e.t <= S.at); changed("happened"); }
}
/* Go on: with what is live, or with the recording from where it stands. */
export async function follow() {
  S.following = true;
  if (S.about.replay) { if (S.ended || (S.about.span && S.at >= S.about.span[1] - 0.05)) S.at = S.about.span[0]; S.track = []; await recall(S.at ?? S.about.span[0]); connect(); }
  else { if (S.latest) { await recall(S.latest.t); show(S.latest); } }
  changed("picture");
}
/* s since a card was true; a recording that stands still does not age. */
export const aged = () => S.about && !S.about.replay && S.following ? Math.max(0, (performance.now() - S.cameAt) / 1000 - 0.12) : 0;
/* s since the team was last heard through the console; 0 while all is well. */
export function telemetryLost() {
  if (!S.about || S.about.replay || !S.following) return 0;
  const gone = (performance.now() - Math.max(S.cameAt, S.connected ? 0 : S.cameAt)) / 1000;
  return S.picture && gone > 1 ? gone : 0;
}
