// Three planes through one place, drawn on 2-D canvases: no WebGL, which browsers without a graphics card no longer have.

const PLANES = {
  axial: { across: 0, down: 1, through: 2, sign: 1, letters: { left: "R", right: "L", top: "A", bottom: "P" } },
  coronal: { across: 0, down: 2, through: 1, sign: -1, letters: { left: "R", right: "L", top: "S", bottom: "I" } },
  sagittal: { across: 1, down: 2, through: 0, sign: -1, letters: { left: "A", right: "P", top: "S", bottom: "I" } },
};
const LINES = {
  PTV: { colour: "#cc79a7", width: 2, dash: [7, 4] },
  ITV: { colour: "#56b4e9", width: 4, dash: [] },
  phase: { colour: "#e69f00", width: 2, dash: [] },
  reference: { colour: "#f0e442", width: 2, dash: [2, 3] },
};

const view = {
  target: 0,
  phase: told.phases.indexOf(told.reference),
  at: [0, 0, 0],
  centre: [0, 0, 0],
  zoom: 1,
  window: [-1000, 250],
  shown: { phase: true, reference: true, ITV: true, PTV: true },
  images: null,
  contours: null,
};

const target = () => told.targets[view.target];
const canvasOf = (name) => document.getElementById(name);

function extentOf(grid, axis) {
  return grid.size[axis] * grid.step_mm[axis];
}

// Where a plane's millimetres come to lie on its canvas, in CSS pixels.
function mapping(plane, canvas) {
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  const grid = target().ct;
  const widest = Math.max(extentOf(grid, 0), extentOf(grid, 1), extentOf(grid, 2));
  const scale = (Math.min(wide, high) / widest) * view.zoom;
  return {
    scale,
    x: (mm) => wide / 2 + (mm - view.centre[plane.across]) * scale,
    y: (mm) => high / 2 + plane.sign * (mm - view.centre[plane.down]) * scale,
    across: (x) => view.centre[plane.across] + (x - wide / 2) / scale,
    down: (y) => view.centre[plane.down] + (plane.sign * (y - high / 2)) / scale,
  };
}

function draw() {
  if (!view.images) return;
  for (const [name, plane] of Object.entries(PLANES)) drawPlane(canvasOf(name), plane);
}

function drawPlane(canvas, plane) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const pen = canvas.getContext("2d");
  const map = mapping(plane, canvas);
  pen.scale(ratio, ratio);
  drawImage(pen, plane, map);
  drawContours(pen, plane, map);
  drawCross(pen, plane, map, canvas);
  drawLetters(pen, plane, canvas);
  drawScale(pen, map, canvas);
}

function greys() {
  const [low, high] = view.window;
  return told.hu.map((hu) => Math.min(255, Math.max(0, Math.round(((hu - low) / (high - low)) * 255))));
}

function drawImage(pen, plane, map) {
  const grid = target().ct;
  const slice = sliceOf(view.images, grid, plane, indexOf(grid, plane.through, view.at[plane.through]));
  const picture = new ImageData(slice.wide, slice.high);
  const pixels = new Uint32Array(picture.data.buffer);
  const shades = Uint32Array.from(greys(), (grey) => (0xff000000 | (grey * 0x010101)) >>> 0);
  for (let i = 0; i < pixels.length; i++) pixels[i] = shades[slice.values[i]];
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [slice.wide, slice.high];
  sheet.getContext("2d").putImageData(picture, 0, 0);
  const [stepX, stepY] = [grid.step_mm[plane.across], grid.step_mm[plane.down]];
  pen.save();
  pen.translate(map.x(grid.first_mm[plane.across] - stepX / 2), map.y(grid.first_mm[plane.down] - stepY / 2));
  pen.scale(1, plane.sign);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(sheet, 0, 0, slice.wide * stepX * map.scale, slice.high * stepY * map.scale);
  pen.restore();
}

function contourIndex(name) {
  const wanted = { phase: told.phases[view.phase], reference: told.reference }[name] || name;
  return target().drawn.indexOf(wanted);
}

// Dark edges first, so that of two lines in one place both are seen: the wider below the narrower.
function drawContours(pen, plane, map) {
  const paths = Object.keys(LINES).filter((name) => view.shown[name]).map((name) => [LINES[name], contourPath(plane, map, name)]);
  pen.lineJoin = "round";
  for (const [line, path] of paths) stroke(pen, "rgba(0, 0, 0, 0.55)", line.width + 1.6, path);
  for (const [line, path] of paths) {
    pen.setLineDash(line.dash);
    stroke(pen, line.colour, line.width, path);
  }
  pen.setLineDash([]);
}

function contourPath(plane, map, name) {
  const [grid, path] = [target().contours, new Path2D()];
  const [index, through] = [contourIndex(name), indexOf(grid, plane.through, view.at[plane.through])];
  if (index < 0 || !holds(grid, plane.through, through)) return path;
  const each = grid.size[0] * grid.size[1] * grid.size[2];
  const slice = sliceOf(view.contours.subarray(index * each, (index + 1) * each), grid, plane, through);
  for (const outline of outlinesOf(slice)) {
    const corners = outline.map(([column, row]) => [map.x(placeOf(grid, plane.across, column - 0.5)), map.y(placeOf(grid, plane.down, row - 0.5))]);
    path.moveTo(...corners[0]);
    corners.slice(1).forEach((corner) => path.lineTo(...corner));
    path.closePath();
  }
  return path;
}

function stroke(pen, colour, width, path = null) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  if (path) pen.stroke(path);
  else pen.stroke();
}

// Lines that leave the middle free, so that what lies there is seen.
function drawCross(pen, plane, map, canvas) {
  const [x, y, free] = [map.x(view.at[plane.across]), map.y(view.at[plane.down]), 14];
  pen.beginPath();
  pen.moveTo(0, y);
  pen.lineTo(x - free, y);
  pen.moveTo(x + free, y);
  pen.lineTo(canvas.clientWidth, y);
  pen.moveTo(x, 0);
  pen.lineTo(x, y - free);
  pen.moveTo(x, y + free);
  pen.lineTo(x, canvas.clientHeight);
  stroke(pen, "rgba(255, 255, 255, 0.45)", 1);
}

function write(pen, text, x, y) {
  pen.lineJoin = "round";
  pen.strokeStyle = "#000";
  pen.lineWidth = 3;
  pen.strokeText(text, x, y);
  pen.fillStyle = "#fff";
  pen.fillText(text, x, y);
}

function drawLetters(pen, plane, canvas) {
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  pen.font = "600 13px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  write(pen, plane.letters.left, 11, high / 2);
  write(pen, plane.letters.right, wide - 11, high / 2);
  write(pen, plane.letters.top, wide / 2, 12);
  write(pen, plane.letters.bottom, wide / 2, high - 12);
}

// The longest of a few round lengths that takes up to a third of the canvas.
function drawScale(pen, map, canvas) {
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  const length = [100, 50, 20, 10, 5, 2, 1].find((mm) => mm * map.scale <= wide / 3) || 1;
  const [right, y] = [wide - 12, high - 14];
  pen.beginPath();
  pen.moveTo(right - length * map.scale, y);
  pen.lineTo(right, y);
  stroke(pen, "#000", 5);
  stroke(pen, "#fff", 2);
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "right";
  write(pen, `${length} mm`, right, y - 10);
}
