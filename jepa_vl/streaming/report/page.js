"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const span = data.end - data.start;
const scroll = one(".scroll"), inner = one(".inner"), cursor = one(".cursor"), square = one(".square");
const sources = data.thumbnails.map(([, jpeg]) => "data:image/jpeg;base64," + jpeg);
const seconds = data.thumbnails.map(([second]) => second);
const [times, scores, thresholds] = data.curve;
const bands = all(".band"), runs = all(".run"), rows = all("tbody tr");
let zoom = 1, held = false, now = null;

const share = (second) => (second - data.start) / span;
const percent = (second) => 100 * share(second) + "%";
const make = (tag, parent, text) => {
  const node = parent.appendChild(document.createElement(tag));
  if (text !== undefined) node.textContent = text;
  return node;
};

function clock(second, digits) {
  const tenths = Math.round(second * 10), whole = Math.floor(tenths / 10);
  const pad = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const shown = (hours ? hours + ":" + pad(minutes) : minutes) + ":" + pad(whole % 60);
  return digits ? shown + "." + (tenths % 10) : shown;
}

function nearest(sorted, second) {
  let low = 0, high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < second) low = middle + 1; else high = middle;
  }
  return low > 0 && second - sorted[low - 1] <= sorted[low] - second ? low - 1 : low;
}

// seconds between the marks of an axis, which stand `pixels` apart or more
function step(width, pixels) {
  const wanted = span * pixels / width;
  return [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((s) => s >= wanted) || 14400;
}

function axis(node, width, pixels) {
  node.replaceChildren();
  const each = step(width, pixels);
  for (let s = Math.ceil(data.start / each) * each; s < data.end; s += each) {
    if (share(s) * width > width - 28) break; // the last label would be cut
    make("span", node, clock(s, each < 1)).style.left = percent(s);
  }
}

function draw() {
  const width = scroll.clientWidth * zoom;
  inner.style.width = 100 * zoom + "%";
  axis(inner.querySelector(".ticks"), width, 70);
  const frames = inner.querySelector(".frames");
  frames.replaceChildren();
  let free = 0;
  sources.forEach((source, i) => {
    const left = share(seconds[i]) * width - ratio * 36;
    if (left < free || left + ratio * 72 > width) return;
    const image = make("img", frames);
    image.src = source;
    image.style.left = percent(seconds[i]); // also right where the width changes, as in print
    free = left + ratio * 72 + 2;
  });
  data.events.forEach(([, start, end], i) => {
    const wide = (end - start) / span * width;
    bands[i].classList.toggle("narrow", wide < 56);
    bands[i].classList.toggle("tiny", wide < 5);
  });
  runs.forEach((run) => { run.hidden = parseFloat(run.style.width) / 100 * width < 56; });
  inner.querySelector(".curve").classList.toggle("dense", times.length > width);
  [inner.querySelector(".marks"), one(".legend")].forEach((node) =>
    node.classList.toggle("dense", data.events.length * 8 > width));
  const below = one(".matrix .ticks");
  if (below) axis(below, square.clientWidth, 60);
}

function zoomTo(wanted, second, x) {
  const most = Math.max(1, 80 * span / scroll.clientWidth); // 80 pixels a second
  zoom = Math.min(Math.max(wanted, 1), most);
  draw();
  scroll.scrollLeft = share(second) * scroll.clientWidth * zoom - x;
}

// the text whose segment a moment lies in; of several the last
function eventAt(second) {
  for (let i = data.events.length - 1; i >= 0; i--) {
    const [, start, end] = data.events[i];
    if (start <= second && (second < end || start === end)) return i;
  }
  return -1;
}

function show(second, other) {
  now = Math.min(Math.max(second, data.start), data.end);
  const i = eventAt(now), k = nearest(times, now);
  cursor.style.left = percent(now);
  cursor.style.display = "block";
  if (sources.length) one(".now img").src = sources[nearest(seconds, now)];
  one(".now .time").textContent = clock(now, true) + (held ? " (held; Esc lets go)" : "");
  one(".now .text").textContent = i < 0 ? "—" : data.events[i][3];
  const facts = [];
  if (scores[k] != null) facts.push("score " + scores[k].toFixed(3));
  if (thresholds[k] != null) facts.push("threshold " + thresholds[k].toFixed(3));
  if (i >= 0) {
    const [time, start, end, , decided] = data.events[i];
    facts.push("segment " + clock(start, true) + "–" + clock(end, true), "about " + clock(time, true),
      "decided " + clock(decided, true));
  }
  one(".now .about").textContent = facts.join(" · ");
  bands.forEach((band, j) => band.classList.toggle("on", j === i));
  rows.forEach((row, j) => row.classList.toggle("on", j === i));
  if (!square) return;
  const across = one(".cross.across"), down = one(".cross.down");
  across.style.display = down.style.display = "block";
  down.style.left = percent(now);
  across.style.top = percent(other === undefined ? now : other);
}

function secondAt(event, node) {
  const box = node.getBoundingClientRect();
  return data.start + (event.clientX - box.left) / box.width * span;
}

function bring(second) {
  const x = share(second) * inner.clientWidth - scroll.scrollLeft;
  if (x < 0 || x > scroll.clientWidth) scroll.scrollLeft += x - scroll.clientWidth / 2;
}

inner.addEventListener("mousemove", (event) => held || show(secondAt(event, inner)));
inner.addEventListener("click", (event) => { held = true; show(secondAt(event, inner)); });
scroll.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  zoomTo(zoom * Math.exp(-event.deltaY / 300), secondAt(event, inner),
    event.clientX - scroll.getBoundingClientRect().left);
}, { passive: false });
if (square) {
  const point = (event) => {
    const box = square.getBoundingClientRect();
    show(secondAt(event, square), data.start + (event.clientY - box.top) / box.height * span);
    bring(now);
  };
  square.addEventListener("mousemove", (event) => held || point(event));
  square.addEventListener("click", (event) => { held = true; point(event); });
}
rows.forEach((row, i) => row.addEventListener("click", () => {
  held = true;
  show(data.events[i][0]);
  bring(now);
}));
all("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
  const factor = Number(button.dataset.zoom);
  const middle = data.start + (scroll.scrollLeft + scroll.clientWidth / 2) / inner.clientWidth * span;
  zoomTo(factor ? zoom * factor : 1, held ? now : middle, scroll.clientWidth / 2);
}));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { held = false; return; }
  const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!way || now === null) return;
  event.preventDefault();
  held = true;
  show(now + way * data.stride);
  bring(now);
});
window.addEventListener("resize", draw);
window.addEventListener("beforeprint", () => { zoom = 1; draw(); });

let ratio = 4 / 3; // width of a thumbnail to its height
if (sources.length) {
  const first = new Image();
  first.onload = () => { ratio = first.width / first.height; draw(); };
  first.src = sources[0];
  rows.forEach((row, i) => {
    const image = make("img", row.querySelector(".picture"));
    image.loading = "lazy";
    image.src = sources[nearest(seconds, data.events[i][0])];
  });
}
draw();
