/* The map: where robots are, from above or in space; and whom they attend to. */
import { $, css, mark, paintGlyph, put, stateOf, open, font } from "./draw.js";
import { S } from "./store.js";
import { MANY, wordOf } from "./fleet.js";

const CAMERA = 3.5; /* half widths of the field from its middle */
const camera = { turn: -0.5, tilt: 0.55, zoom: 1 }; /* rad, about the vertical and above the ground */
const TILTS = [0.12, Math.PI / 2], STEP = 0.1, NEAREST = 10;
const ZOOMS = { "+": 1.25, "-": 0.8 };
const TURNS = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
let drag = null, dragged = false;

export function start() {
  const box = $("map");
  for (const id of ["show-trails", "show-edges"]) $(id).onchange = draw;
  $("show-space").onchange = () => {
    const space = $("show-space").checked;
    mark(box, "aria-label", space ? "Robots in space; arrow keys turn the view, plus and minus come nearer" : "Robots seen from above");
    box.tabIndex = space ? 0 : -1; box.classList.toggle("space", space); draw();
  };
  box.addEventListener("click", pick);
  box.addEventListener("pointerdown", e => { if (inSpace()) { drag = { x: e.clientX, y: e.clientY, far: 0 }; box.setPointerCapture(e.pointerId); } });
  box.addEventListener("pointermove", e => {
    if (!drag) return;
    const dx = e.clientX - drag.x, dy = e.clientY - drag.y;
    drag = { x: e.clientX, y: e.clientY, far: drag.far + Math.hypot(dx, dy) }; turn(-0.008 * dx, 0.008 * dy);
  });
  for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, () => { if (drag) { dragged = drag.far > 5; drag = null; } });
  box.addEventListener("keydown", e => { if (!inSpace()) return; if (e.key in TURNS) { e.preventDefault(); turn(...TURNS[e.key]); } else if (e.key in ZOOMS) zoom(ZOOMS[e.key]); });
  box.addEventListener("wheel", e => { if (inSpace()) { e.preventDefault(); zoom(Math.exp(-0.002 * e.deltaY)); } }, { passive: false });
}
const inSpace = () => $("show-space").checked;
function turn(about, up) { camera.turn += about; camera.tilt = Math.min(TILTS[1], Math.max(TILTS[0], camera.tilt + up)); draw(); }

function zoom(by) { camera.zoom = Math.min(NEAREST, Math.max(1, camera.zoom * by)); draw(); }

/* From metres to pixels: `at` a point, `deep` how far it is behind the middle, `flat` how round a circle on the ground is. */
function lens(width, height, half, home, robots) {
  let [hx, hy] = home;
  const room = half * 1.05, scale = Math.min(width, height) / (2 * room);
  if (!inSpace()) return { room, scale, flat: 1, deep: () => 0, at: (x, y) => [width / 2 + (x - hx) * scale, height / 2 - (y - hy) * scale] };
  const wide = scale * 0.8 * camera.zoom, rise = 0.15 * half / camera.zoom;
  const nearer = 1 - 1 / camera.zoom, n = Math.max(robots.length, 1), middle = i => robots.reduce((sum, r) => sum + r.place[i], 0) / n;
  if (robots.length) { hx += nearer * (middle(0) - hx); hy += nearer * (middle(1) - hy); } /* who comes nearer looks at the team */
  const [c, s, ct, st] = [Math.cos(camera.turn), Math.sin(camera.turn), Math.cos(camera.tilt), Math.sin(camera.tilt)];
  const away = (x, y) => (y - hy) * c - (x - hx) * s, deep = (x, y, z = 0) => away(x, y) * ct - z * st;
  const at = (x, y, z = 0) => {
    const near = wide * CAMERA * half / (CAMERA * half + deep(x, y, z));
    return [width / 2 + ((x - hx) * c + (y - hy) * s) * near, height / 2 - ((z - rise) * ct + away(x, y) * st) * near];
  };
  return { room, scale: wide, flat: st, deep, at };
}
const known = robot => robot.place && robot.place[0] !== null;

export function draw() {
  const picture = S.picture;
  if (!picture) return;
  const [g, width, height] = open($("map")), task = picture.task, robots = picture.robots;
  const spread = Math.max(0.5, ...robots.filter(known).map(r => Math.max(Math.abs(r.place[0]), Math.abs(r.place[1]))));
  const half = task ? task.half_width : spread, [hx, hy] = task ? task.home : [0, 0], eye = lens(width, height, half, [hx, hy], robots.filter(known));
  g.fillStyle = css("--bg"); g.fillRect(0, 0, width, height);
  grid(g, width, height, eye, hx, hy);
  if (task) field(g, eye, task, half, hx, hy);
  if ($("show-trails").checked) trails(g, eye, robots);
  const size = robots.length > 30 ? 15 : robots.length > MANY ? 18 : 22;
  if (inSpace()) stems(g, eye, robots);
  if ($("show-edges").checked) edges(g, eye, robots, size);
  S.drawn = [];
  const order = [...robots].filter(known).sort((a, b) => eye.deep(...b.place) - eye.deep(...a.place));
  for (const robot of order) paint(g, eye, robot, size, width, robots.length);
  put($("map-note"), (task ? `${task.scenario} · ${(2 * half).toFixed(1)} m across` : "no task heard") + (S.selected !== null ? ` · robot ${S.selected} selected` : ""));
}
function line(g, points) { g.beginPath(); points.forEach(([x, y], i) => i ? g.lineTo(x, y) : g.moveTo(x, y)); }
function ring(g, eye, x, y, radius) { const [a, b] = eye.at(x, y); g.beginPath(); g.ellipse(a, b, radius, radius * eye.flat, 0, 0, 7); }

function field(g, eye, task, half, hx, hy) {
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]].map(([a, b]) => eye.at(hx + a * half, hy + b * half));
  g.strokeStyle = css("--soft"); g.lineWidth = 1.6; g.setLineDash([8, 5]); line(g, corners); g.stroke(); g.setLineDash([]);
  const low = corners.reduce((a, b) => b[1] > a[1] + 1 || (Math.abs(b[1] - a[1]) <= 1 && b[0] < a[0]) ? b : a), inward = inSpace() ? 15 : -5;
  font(g, 11); g.fillStyle = css("--soft"); g.textAlign = "left"; g.textBaseline = "bottom"; g.fillText("geofence", low[0] + 6, low[1] + inward);
  for (const [x, y, value] of task.landmarks) { ring(g, eye, x, y, 6 + 11 * Math.max(0, Math.min(1, value))); g.strokeStyle = css("--back"); g.globalAlpha = .8; g.lineWidth = 1.5; g.stroke(); g.globalAlpha = 1; ring(g, eye, x, y, 1.8); g.fillStyle = css("--back"); g.fill(); }
  for (const [x, y, r] of task.posts) { ring(g, eye, x, y, r * eye.scale); g.fillStyle = css("--line"); g.fill(); }
}
function grid(g, width, height, eye, hx, hy) {
  const { scale, at } = eye, step = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100].find(s => s * scale >= 46) || 200;
  const [wide, tall] = inSpace() ? [eye.room, eye.room] : [width / scale / 2, height / scale / 2];
  g.strokeStyle = css("--grid"); g.lineWidth = 1;
  for (let x = Math.ceil((hx - wide) / step) * step; x <= hx + wide; x += step) { line(g, [at(x, hy - tall), at(x, hy + tall)]); g.stroke(); }
  for (let y = Math.ceil((hy - tall) / step) * step; y <= hy + tall; y += step) { line(g, [at(hx - wide, y), at(hx + wide, y)]); g.stroke(); }
  font(g, 11); g.textBaseline = "bottom"; g.strokeStyle = g.fillStyle = css("--soft");
  if (inSpace()) { g.textAlign = "right"; g.fillText(`grid of ${step} m`, width - 18, height - 14); return; }
  const x0 = width - 18 - step * scale; g.lineWidth = 2; line(g, [[x0, height - 14], [x0 + step * scale, height - 14]]); g.stroke();
  g.textAlign = "center"; g.fillText(step + " m", x0 + step * scale / 2, height - 17);
}
function trails(g, eye, robots) {
  const track = S.track; g.lineWidth = 2; g.lineCap = "round";
  for (const robot of robots) {
    g.strokeStyle = css(stateOf(wordOf(robot)).paint);
    for (let part = 0; part < 3; part++) {
      const from = Math.floor(track.length * part / 3), to = Math.min(track.length - 1, Math.floor(track.length * (part + 1) / 3)); let pen = false; g.globalAlpha = .16 + .2 * part; g.beginPath();
      for (let k = from; k <= to; k += robots.length > 30 ? 2 : 1) { const p = track[k].places[robot.id]; if (!p || p[0] === null) { pen = false; continue; } const [x, y] = eye.at(...p); if (pen) g.lineTo(x, y); else g.moveTo(x, y); pen = true; }
      g.stroke();
    }
  }
  g.globalAlpha = 1;
}
/* What is below those that fly. */
function stems(g, eye, robots) {
  g.strokeStyle = g.fillStyle = css("--soft"); g.lineWidth = 1.2;
  for (const robot of robots.filter(known)) {
    const [x, y, z] = robot.place; if (!(z > 0.05)) continue;
    g.globalAlpha = .6; line(g, [eye.at(x, y), eye.at(x, y, z)]); g.stroke(); ring(g, eye, x, y, 4); g.fill(); g.globalAlpha = 1;
  }
}
/* Whom a robot attends to: of one that is selected everybody, else only what stands out. */
function edges(g, eye, robots, size) {
  const n = robots.length, even = 1 / n;
  S.picture.attention.forEach((row, i) => {
    if (!row || !known(robots[i]) || (S.selected !== null && S.selected !== i)) return;
    const all = row.map((share, j) => [share, j]).filter(([share, j]) => j !== i && known(robots[j]) && share > (S.selected === i ? 0.005 : even)).sort((a, b) => b[0] - a[0]).slice(0, S.selected === i ? n : n > MANY ? 1 : 2);
    for (const [share, j] of all) {
      const [ax, ay] = eye.at(...robots[i].place), [bx, by] = eye.at(...robots[j].place), long = Math.hypot(bx - ax, by - ay); if (long < size) continue;
      const bend = Math.min(26, long * .16), cx = (ax + bx) / 2 - (by - ay) / long * bend, cy = (ay + by) / 2 + (bx - ax) / long * bend, ex = bx - (bx - cx) / Math.hypot(bx - cx, by - cy) * size * .7, ey = by - (by - cy) / Math.hypot(bx - cx, by - cy) * size * .7;
      g.strokeStyle = g.fillStyle = css("--soft"); g.globalAlpha = Math.min(.9, .22 + share); g.lineWidth = .7 + 6.5 * share; g.beginPath(); g.moveTo(ax, ay); g.quadraticCurveTo(cx, cy, ex, ey); g.stroke();
      const angle = Math.atan2(ey - cy, ex - cx), head = 5 + 5 * share; line(g, [[ex, ey], [ex - head * Math.cos(angle - .5), ey - head * Math.sin(angle - .5)], [ex - head * Math.cos(angle + .5), ey - head * Math.sin(angle + .5)]]); g.fill();
      if (S.selected === i && share > .02) outlined(g, Math.round(100 * share) + "%", cx, cy, 11, 600, "center");
    }
  });
  g.globalAlpha = 1;
}
function outlined(g, text, x, y, size, weight, align) {
  font(g, size, weight); g.textAlign = align; g.textBaseline = "middle"; g.globalAlpha = 1; g.lineWidth = 3.5;
  g.strokeStyle = css("--bg"); g.strokeText(text, x, y); g.fillStyle = css("--ink"); g.fillText(text, x, y);
}
function paint(g, eye, robot, size, width, n) {
  const [x, y] = eye.at(...robot.place), word = wordOf(robot);
  S.drawn.push([x, y, robot.id]);
  if (robot.yaw !== null && word !== "LOST" && word !== "UNKNOWN") {
    const [px, py, pz] = robot.place, reach = size * .95 / eye.scale;
    g.strokeStyle = css(stateOf(word).paint); g.lineWidth = 2.4; line(g, [[x, y], eye.at(px + reach * Math.cos(robot.yaw), py + reach * Math.sin(robot.yaw), pz)]); g.stroke();
  }
  if (S.selected === robot.id) { g.strokeStyle = css("--ink"); g.lineWidth = 2; g.beginPath(); g.arc(x, y, size * .85, 0, 7); g.stroke(); }
  paintGlyph(g, word, x, y, size);
  const right = x > width - 70, label = String(robot.id) + (robot.faults.length ? " " + robot.faults[0] : "");
  outlined(g, label, x + (right ? -1 : 1) * (size * .62 + 3), y - size * .5, n > 30 ? 11 : 13, 650, right ? "right" : "left");
}
function pick(event) {
  if (dragged) { dragged = false; return; }
  const box = $("map").getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const near = S.drawn.map(([a, b, id]) => [Math.hypot(a - x, b - y), id]).sort((a, b) => a[0] - b[0])[0];
  if (near && near[0] < 28) dispatchEvent(new CustomEvent("select-robot", { detail: near[1] }));
}
