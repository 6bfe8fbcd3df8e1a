// What the user does: slider, buttons, keys, wheel and drag. Everything that can be dragged can be done with keys.

const WINDOWS = { l: [-1000, 250], s: [-160, 240] };
const CONTOUR_KEYS = { g: "phase", r: "reference", i: "ITV", p: "PTV" };
const all = (selector) => [...document.querySelectorAll(selector)];
const one = (id) => document.getElementById(id);
const minus = (text) => text.replace("-", "−");

let tool = "cross";
let pressed = null;
let timer = null;
let asked = 0;

// Show a phase of the target as soon as it is unpacked; of several asked for, the last.
async function show(phase = view.phase) {
  const turn = ++asked;
  const [images, contours] = await Promise.all([unpack(`ct-${view.target}-${phase}`), unpack(`contours-${view.target}`)]);
  if (turn !== asked) return;
  Object.assign(view, { phase, images, contours });
  tell();
}

function tell() {
  const grid = target().ct;
  one("phase").value = view.phase;
  one("phase-told").textContent = phaseText();
  one("phase").setAttribute("aria-valuetext", phaseText());
  const [low, high] = view.window;
  one("window-told").textContent = minus(`${low} to `) + minus(`${high} HU`);
  all("[data-window]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.window === view.window.join()));
  all("[data-tool]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.tool === tool));
  all("[data-contour]").forEach((box) => (box.checked = view.shown[box.dataset.contour]));
  for (const [name, plane] of Object.entries(PLANES)) tellSlice(name, plane, grid);
  tellPlace(view.at);
  draw();
}

function phaseText() {
  const label = told.phases[view.phase];
  const name = /^\d+$/.test(label) ? `${label} %` : label;
  if (!target().drawn.includes(label)) return `${name}, not in the union`;
  return label === told.reference ? `${name}, reference` : name;
}

function tellSlice(name, plane, grid) {
  const slider = document.querySelector(`[data-slice="${name}"]`);
  slider.max = grid.size[plane.through] - 1;
  slider.value = indexOf(grid, plane.through, view.at[plane.through]);
  const text = minus(`${"xyz"[plane.through]} ${view.at[plane.through].toFixed(1)} mm`);
  slider.setAttribute("aria-valuetext", text);
  one(`${name}-told`).textContent = text;
}

function tellPlace(place) {
  const grid = target().ct;
  const index = [0, 1, 2].map((axis) => indexOf(grid, axis, place[axis]));
  const within = index.every((value, axis) => holds(grid, axis, value));
  const hu = within ? huText(view.images[offsetOf(grid, index)]) : "beyond what is shown";
  const where = place.map((mm, axis) => minus(`${"xyz"[axis]} ${mm.toFixed(1)}`)).join("  ");
  one("cursor").textContent = `${where} mm: ${minus(hu)}`;
}

// The last grey value stands for all that is denser.
function huText(code) {
  return code === told.hu.length - 1 ? "over 1368 HU" : `${told.hu[code]} HU`;
}

function reset() {
  const { centre_mm: centre, ct } = target();
  view.at = centre.map((mm, axis) => placeOf(ct, axis, indexOf(ct, axis, mm)));
  view.centre = [0, 1, 2].map((axis) => placeOf(ct, axis, (ct.size[axis] - 1) / 2));
  view.zoom = 1;
}

function step(plane, slices) {
  const grid = target().ct;
  view.at[plane.through] = clampTo(grid, plane.through, view.at[plane.through] + slices * grid.step_mm[plane.through]);
  tell();
}

function turn(phases) {
  const count = told.phases.length;
  return show((view.phase + phases + count) % count);
}

function zoom(factor) {
  view.zoom = Math.min(12, Math.max(0.5, view.zoom * factor));
  tell();
}

function pan(plane, canvas, dx, dy) {
  const { scale } = mapping(plane, canvas);
  view.centre[plane.across] -= dx / scale;
  view.centre[plane.down] -= (plane.sign * dy) / scale;
  tell();
}

function widen(dx, dy) {
  const [low, high] = view.window;
  const width = Math.max(20, high - low + 4 * dx);
  const level = (low + high) / 2 + 3 * dy;
  view.window = [Math.round(level - width / 2), Math.round(level + width / 2)];
  tell();
}

function toggle(name) {
  view.shown[name] = !view.shown[name];
  tell();
}

// The breathing cycle, phase by phase, until asked to stop. Nothing moves unasked.
function play(on = timer === null) {
  clearTimeout(timer);
  timer = null;
  one("play").textContent = on ? "Pause" : "Play";
  one("play").setAttribute("aria-pressed", on);
  if (on) tick();
}

function tick() {
  const pause = (1000 * one("speed").value) / told.phases.length;
  timer = setTimeout(async () => {
    await turn(1);
    if (timer !== null) tick();
  }, pause);
}

function keyed(event, plane, canvas) {
  const shifts = { ArrowUp: [0, 20], ArrowDown: [0, -20], ArrowLeft: [20, 0], ArrowRight: [-20, 0] };
  const does = {
    ArrowUp: () => step(plane, 1), ArrowDown: () => step(plane, -1), PageUp: () => step(plane, 5), PageDown: () => step(plane, -5),
    ArrowLeft: () => turn(-1), ArrowRight: () => turn(1), " ": () => play(), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
    0: () => { reset(); tell(); },
  };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.shiftKey && shifts[key]) pan(plane, canvas, ...shifts[key]);
  else if (does[key]) does[key]();
  else if (WINDOWS[key]) { view.window = WINDOWS[key]; tell(); }
  else if (CONTOUR_KEYS[key]) toggle(CONTOUR_KEYS[key]);
  else return;
  event.preventDefault();
}

function placeUnder(event, plane, canvas) {
  const box = canvas.getBoundingClientRect();
  const map = mapping(plane, canvas);
  const place = [...view.at];
  place[plane.across] = map.across(event.clientX - box.left);
  place[plane.down] = map.down(event.clientY - box.top);
  return place;
}

function dragged(event, plane, canvas) {
  const [dx, dy] = [event.clientX - pressed.x, event.clientY - pressed.y];
  Object.assign(pressed, { x: event.clientX, y: event.clientY });
  if (pressed.tool === "window") widen(dx, dy);
  else if (pressed.tool === "pan") pan(plane, canvas, dx, dy);
  else if (pressed.tool === "zoom") zoom(Math.exp(-dy / 120));
  else { view.at = placeUnder(event, plane, canvas).map((mm, axis) => clampTo(target().ct, axis, mm)); tell(); }
}

function press(event, plane, canvas) {
  const meant = event.button === 2 ? "window" : event.button === 1 || event.shiftKey ? "pan" : tool;
  pressed = { x: event.clientX, y: event.clientY, tool: meant };
  canvas.setPointerCapture(event.pointerId);
  if (meant === "cross") dragged(event, plane, canvas);
}

function listenToPlane(name, plane) {
  const canvas = canvasOf(name);
  canvas.addEventListener("keydown", (event) => keyed(event, plane, canvas));
  canvas.addEventListener("pointerdown", (event) => press(event, plane, canvas));
  canvas.addEventListener("pointermove", (event) => (pressed ? dragged(event, plane, canvas) : tellPlace(placeUnder(event, plane, canvas))));
  canvas.addEventListener("pointerleave", () => tellPlace(view.at));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (pressed = null));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey) zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    else step(plane, event.deltaY < 0 ? 1 : -1);
  }, { passive: false });
  const slider = document.querySelector(`[data-slice="${name}"]`);
  slider.addEventListener("input", () => { view.at[plane.through] = placeOf(target().ct, plane.through, Number(slider.value)); tell(); });
}

function listen() {
  for (const [name, plane] of Object.entries(PLANES)) listenToPlane(name, plane);
  one("play").addEventListener("click", () => play());
  one("phase").addEventListener("input", () => show(Number(one("phase").value)));
  one("whole").addEventListener("click", () => { reset(); tell(); });
  one("target")?.addEventListener("change", () => { view.target = Number(one("target").value); reset(); show(); });
  all("[data-window]").forEach((button) => button.addEventListener("click", () => { view.window = button.dataset.window.split(",").map(Number); tell(); }));
  all("[data-tool]").forEach((button) => button.addEventListener("click", () => { tool = button.dataset.tool; tell(); }));
  all("[data-contour]").forEach((box) => box.addEventListener("change", () => toggle(box.dataset.contour)));
  new ResizeObserver(draw).observe(one("viewer"));
}

async function start() {
  if (!canUnpack()) {
    one("viewer-missing").hidden = false;
    return;
  }
  one("viewer").hidden = false;
  document.documentElement.classList.add("has-viewer");
  one("speed").value = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "8" : "4";
  listen();
  reset();
  await show();
  for (let phase = 0; phase < told.phases.length; phase++) await unpack(`ct-${view.target}-${phase}`);
  one("viewer").dataset.ready = "true";
}

start();
