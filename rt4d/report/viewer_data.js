// The images and contours that lie in the page: unpacked when they are first needed, then kept.

const told = JSON.parse(document.getElementById("viewer-told").textContent);
const unpacked = new Map();

function canUnpack() {
  return typeof DecompressionStream === "function" && typeof Blob.prototype.stream === "function";
}

function unpack(id) {
  if (!unpacked.has(id)) unpacked.set(id, inflate(document.getElementById(id).textContent));
  return unpacked.get(id);
}

async function inflate(base64) {
  const packed = Uint8Array.from(atob(base64.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// A grid along the patient's axes: where a voxel lies, in mm, and which voxel holds a place.
function indexOf(grid, axis, mm) {
  return Math.round((mm - grid.first_mm[axis]) / grid.step_mm[axis]);
}

function placeOf(grid, axis, index) {
  return grid.first_mm[axis] + index * grid.step_mm[axis];
}

function holds(grid, axis, index) {
  return index >= 0 && index < grid.size[axis];
}

function clampTo(grid, axis, mm) {
  const last = placeOf(grid, axis, grid.size[axis] - 1);
  return Math.min(Math.max(mm, grid.first_mm[axis]), last);
}

function offsetOf(grid, index) {
  return (index[2] * grid.size[1] + index[1]) * grid.size[0] + index[0];
}

// One slice of an array on a grid: its values row by row, `down` running with the axis.
function sliceOf(values, grid, plane, through) {
  const [wide, high] = [grid.size[plane.across], grid.size[plane.down]];
  const strides = [1, grid.size[0], grid.size[0] * grid.size[1]];
  const slice = new Uint8Array(wide * high);
  for (let row = 0, at = 0; row < high; row++) {
    let from = through * strides[plane.through] + row * strides[plane.down];
    for (let column = 0; column < wide; column++, from += strides[plane.across]) slice[at++] = values[from];
  }
  return { values: slice, wide, high };
}

// The closed outlines of what is inside on a slice, along the edges of its cells: lists of corners [column, row], inside on the right.
function outlinesOf({ values, wide, high }) {
  const inside = (column, row) => column >= 0 && row >= 0 && column < wide && row < high && values[row * wide + column] === 1;
  const next = new Map();
  const edge = (from, to) => {
    const key = from.join();
    if (!next.has(key)) next.set(key, []);
    next.get(key).push(to);
  };
  for (let row = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      if (!inside(column, row)) continue;
      if (!inside(column, row - 1)) edge([column, row], [column + 1, row]);
      if (!inside(column + 1, row)) edge([column + 1, row], [column + 1, row + 1]);
      if (!inside(column, row + 1)) edge([column + 1, row + 1], [column, row + 1]);
      if (!inside(column - 1, row)) edge([column, row + 1], [column, row]);
    }
  }
  return chained(next);
}

function chained(next) {
  const outlines = [];
  for (const [key, ends] of next) {
    while (ends.length) {
      const outline = [key.split(",").map(Number)];
      for (let at = ends.pop(); at.join() !== key; at = next.get(at.join()).pop()) outline.push(at);
      outlines.push(outline);
    }
  }
  return outlines;
}
