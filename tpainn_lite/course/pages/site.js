/* What moves on a page: theme, search, and explorers whose states were computed before. */
"use strict";
const HERE = document.currentScript.src.replace(/[^/]*$/, "");
const whole = document.documentElement, PHONE = 560, scripts = {};
let made = 0;

const load = name => scripts[name] ??= new Promise((done, failed) => {
  const script = Object.assign(document.createElement("script"), {
    src: HERE + name, onload: done, onerror: failed });
  document.head.append(script);
});

function make(tag, parent, attributes = {}, text) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

/* Theme: that of the system, until the button is pressed. */
const kept = value => { try {
  if (value) localStorage.theme = value;
  return localStorage.theme;
} catch { return value; } };
whole.dataset.theme = kept() ??
  (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

/* Search: sections that hold every word, those with it in their heading first. */
const plain = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

function search(query) {
  const words = plain(query).match(/[\p{L}\p{N}]+/gu) ?? [];
  if (!words.length) return [];
  const scored = window.SECTIONS.map(section => {
    const [, title, heading, text] = section, all = plain(`${title} ${heading} ${text}`);
    const score = words.every(word => all.includes(word)) &&
      1 + words.filter(word => plain(heading).includes(word)).length;
    return [score, section];
  });
  return scored.filter(([score]) => score).sort((a, b) => b[0] - a[0])
    .slice(0, 20).map(([, section]) => [section, words]);
}

function excerpt(text, words, into) {
  const at = Math.max(0, Math.min(...words.map(w => plain(text).indexOf(w)).filter(k => k >= 0)));
  const part = text.slice(isFinite(at) ? Math.max(0, at - 60) : 0).slice(0, 180);
  const every = new RegExp(`(${words.join("|")})`, "giu");
  for (const piece of part.split(every))
    make(words.includes(plain(piece)) ? "mark" : "span", into, {}, piece);
}

async function find(input, box) {
  await load("search.js");
  const found = search(input.value);
  box.replaceChildren();
  box.hidden = !input.value.trim();
  if (!found.length) make("p", box, {}, "Nothing found.");
  for (const [[page, title, heading, text], words] of found) {
    const link = make("a", box, { href: HERE + page });
    make("strong", link, {}, heading || title);
    excerpt(text, words, make("span", link));
    make("br", link);
    make("small", link, {}, title);
  }
}

/* Figures: as wide as the page; on a phone panels stand below each other. */
const wrapped = (text, most) => (text ?? "").replace(
  new RegExp(`(.{1,${Math.max(8, Math.floor(most))}})(\\s|$)`, "g"), "$1<br>").replace(/<br>$/, "");

function fitted(figure, width) {
  const layout = { xaxis: {}, yaxis: {}, ...figure.layout }, phone = width < PHONE;
  const axes = Object.keys(layout).filter(name => /^xaxis\d*$/.test(name));
  const titles = (layout.annotations ?? []).filter(a => a.yref === "paper" && a.y === 1);
  const stacked = phone && axes.length > 1, size = phone ? 12 : 14;
  const each = stacked ? 330 : phone ? 340 : Math.min(layout.height ?? 440, 480);
  const own = { ...layout.template?.layout?.legend, ...layout.legend };
  delete layout.width;
  delete layout.title;
  layout.font = { ...layout.font, size };
  const names = figure.data.filter(t => t.visible !== false && t.showlegend !== false);
  const long = names.some(t => t.name?.length > 16), row = phone ? (long ? 1 : 2) : 4;
  const rows = Math.ceil(names.length / row) - 1;  // of the legend, but the first
  layout.height = (stacked ? each * axes.length + 30 : each) + 18 * Math.max(0, rows);
  layout.margin = { l: phone ? 52 : 70, r: 12, t: titles.length ? 36 : 16, b: 40 };
  layout.dragmode = phone ? false : layout.dragmode;
  const gap = (titles.length ? 26 : 8) / (layout.height - 120);
  layout.legend = { bgcolor: "rgba(0,0,0,0)", font: { size }, traceorder: own.traceorder,
    orientation: "h", x: 0, y: 1 + gap, yref: "paper", yanchor: "bottom" };
  axes.forEach((name, k) => {
    const x = layout[name], y = layout[name.replace("x", "y")];
    for (const [axis, room] of [[x, stacked || axes.length < 2 ? width : width / axes.length], [y, each]]) {
      if (axis?.title?.text) axis.title.text = wrapped(axis.title.text, (room - 90) / (0.5 * size));
      if (axis) axis.automargin = true;
    }
    if (!stacked) return;
    const top = 1 - k / axes.length - (k ? 0.045 : 0);
    x.domain = [0, 1];
    y.domain = [1 - (k + 1) / axes.length + 75 / layout.height, top];
    Object.assign(x, { showticklabels: true, anchor: name === "xaxis" ? "y" : "y" + (k + 1) });
    Object.assign(y, { showticklabels: true, anchor: name === "xaxis" ? "x" : "x" + (k + 1) });
    if (titles[k]) Object.assign(titles[k], { x: 0.5, y: top });
  });
  return layout;
}

/* A bet is a line in a later figure, and its name in the legend. */
const bets = {}, betted = trace => trace.meta?.bet in bets;

function bet({ bet: question, name, low, high, step }, parent) {
  const count = Math.round((high - low) / step) + 1;
  const values = [...Array(count).keys()].map(k => +(low + k * step).toPrecision(4));
  control({ name, values, now: count >> 1, range: true }, controls(parent), k => {
    bets[question] = values[k];
    document.dispatchEvent(new Event("bet"));
  });
  return { draw() {} };
}

function guessed(figure) {
  const { data, layout } = structuredClone(figure);
  for (const line of layout.shapes ?? [])
    if (line.name in bets) line.y0 = line.y1 = bets[line.name];
  for (const trace of data.filter(betted))
    trace.name = `your bet${trace.meta.on}: ${bets[trace.meta.bet]} ${trace.meta.unit}`;
  return { data, layout };
}

function figure(part, parent) {
  const box = make("figure", parent), caption = make("figcaption", box);
  const plot = make("div", box, { class: "plot" });
  plot.style.minHeight = `${Math.min(part.figure.layout.height ?? 440, 480)}px`;
  const slider = part.figure.layout.sliders?.[0], step = { now: slider?.active ?? 0 };
  delete part.figure.layout.sliders;
  if (slider) {
    const name = slider.currentvalue?.prefix || "Move";
    control({ name, values: slider.steps.map(s => s.label), now: step.now, range: true },
      controls(box), k => Plotly.restyle(plot, ...slider.steps[step.now = k].args));
  }
  let drawn = 0;
  async function draw(given = part) {
    part = given;
    await load("plotly.js");
    caption.innerHTML = (part.figure.layout.title?.text ?? "").replace(/<br>/g, " ");
    plot.style.minHeight = "";
    drawn = plot.clientWidth || 700;
    const now = guessed(part.figure);
    await Plotly.react(plot, now.data, fitted(now, drawn), { displayModeBar: false });
    if (slider && step.now !== slider.active) Plotly.restyle(plot, ...slider.steps[step.now].args);
  }
  new ResizeObserver(([{ target }]) => {  // not while it is being photographed or hidden
    if (drawn && target.clientWidth > 100 && drawn !== target.clientWidth) draw();
  }).observe(plot);
  document.addEventListener("bet", () => {
    if (drawn && part.figure.data.some(betted)) draw();
  });
  const show = (k, total) => {  // a star on the curve of a run, at the frame that is shown
    const [{ x, y }, ...others] = part.figure.data;
    const at = Math.min(k * Math.round(x.length / total), x.length - 1);  // as gallery.Movie
    const star = others.findIndex(trace => trace.name === "this frame") + 1;
    if (star && plot.data) Plotly.restyle(plot, { x: [[x[at]]], y: [[y[at]]] }, star);
  };
  return { draw, show };
}

/* Structures: 3Dmol.js; a finger or the arrow keys turn one, frames have a slider. */
function structure(part, parent) {
  if (part.name) make("div", parent, {}, part.name);
  const box = make("div", parent, { class: "structure", tabindex: 0, role: "application",
    "aria-label": "A structure; the arrow keys turn it" });
  let viewer;
  const show = k => viewer?.setFrame(Math.min(Math.floor(k / part.every), part.frames - 1))
    .then(() => viewer.render());
  box.addEventListener("wheel", event => event.ctrlKey || event.stopPropagation(), true);
  box.addEventListener("keydown", event => {
    const [angle, axis] = { ArrowLeft: [-15, "y"], ArrowRight: [15, "y"],
      ArrowUp: [-15, "x"], ArrowDown: [15, "x"] }[event.key] ?? [];
    if (axis) { viewer?.rotate(angle, axis); event.preventDefault(); }
  });
  async function draw(now = part) {
    part = now;
    await load("3Dmol-min.js");
    const view = viewer?.getView();
    viewer ??= $3Dmol.createViewer(box, { backgroundAlpha: 0, id: `structure-${++made}` });
    viewer.removeAllModels();
    viewer.removeAllShapes();
    viewer.addModelsAsFrames(part.xyz, "xyz");
    viewer.setStyle({}, { stick: { radius: 0.1 }, sphere: { scale: 0.23 } });
    if (part.red.length) viewer.setStyle({ index: part.red },
      { stick: { radius: 0.14, color: "#D00000" }, sphere: { scale: 0.25, color: "#D00000" } });
    const at = ([x, y, z]) => ({ x, y, z });
    for (const [a, b] of part.edges) viewer.addLine({ start: at(a), end: at(b), color: "gray" });
    for (const [a, b, color, radius] of part.arrows)
      viewer.addArrow({ start: at(a), end: at(b), color, radius });
    view ? viewer.setView(view) : viewer.zoomTo();
    if (!view && !part.edges.length) viewer.zoom(1.3);
    viewer.render();
  }
  return { draw, show };
}

/* A run: all its parts show the same frame. */
function frames(part, above, show) {
  let frame = 0, timer;
  const count = part.frames, row = controls();
  above.after(row);
  const values = [...Array(count).keys()].map(k => `${k * part.every + 1}`);
  const range = control({ name: "Frame", values, now: 0, range: true }, row,
    k => show((frame = k) * part.every));
  const button = make("button", row, { type: "button" }, "Play");
  button.onclick = () => {
    timer = timer ? clearInterval(timer) : setInterval(() => range.set((frame + 1) % count), 120);
    button.textContent = timer ? "Stop" : "Play";
  };
  return range;
}

function words(part, parent) {
  const box = make("div", parent);
  return { draw(now = part) { box.innerHTML = now.html; } };
}

/* Explorers: controls choose one of the states. */
const controls = parent => make("div", parent, { class: "controls" });

function control({ name, values, now, range }, parent, act) {
  const boolean = values.join() === "False,True";
  range &&= !boolean;
  const label = make("label", parent, boolean ? { class: "tick" } : {});
  const text = make("span", label, {}, name);
  const input = make(range || boolean ? "input" : "select", label);
  if (boolean) Object.assign(input, { type: "checkbox", checked: now });
  else if (range) Object.assign(input, { type: "range", min: 0, max: values.length - 1, value: now });
  else values.forEach((value, k) => make("option", input, { value: k }, value));
  input.value = now;
  const say = () => { if (range) {
    text.textContent = `${name}: ${values[input.value]}`;
    input.setAttribute("aria-valuetext", values[input.value]);
  } };
  const set = k => { input.value = k; say(); act(+k); };
  input.oninput = () => boolean ? act(+input.checked) : set(input.value);
  say();
  return { set };
}

function merged(base, patch) {
  const state = structuredClone(base);
  for (const [path, value] of patch)
    path.slice(0, -1).reduce((at, key) => at[key] ??= {}, state)[path.at(-1)] = value;
  return state;
}

function explorer(box) {
  const given = JSON.parse(box.querySelector("script").textContent);
  const chosen = (given.controls ?? []).map(each => each.now);
  const index = () => given.controls.reduce((k, each, i) => k * each.values.length + chosen[i], 0);
  const state = () => given.states ? merged(given.parts, given.states[index()]) : given.parts;
  const row = given.states?.length > 1 && controls(box);
  const group = make("div", box, { class: "structures" });
  const kinds = { figure, xyz: structure, html: words, bet };
  const drawn = state().map(part => {
    const [kind, maker] = Object.entries(kinds).find(([name]) => name in part);
    return maker(part, kind === "xyz" ? make("div", group) : box);
  });
  const longest = state().filter(part => part.frames > 1).sort((a, b) => b.frames - a.frames)[0];
  const run = longest && frames(longest, group, k => drawn.forEach(each => each.show?.(k, total)));
  let total = longest?.total;  // frames of the run before some were left out
  const redraw = () => {
    const now = state();
    total = Math.max(...now.map(part => part.total ?? 0));
    return Promise.all(now.map((part, k) => drawn[k].draw(part))).then(() => run?.set(0));
  };
  for (const [i, each] of (given.controls ?? []).entries()) if (each.values.length > 1)
    control(each, row, k => { chosen[i] = k; redraw(); });
  if (row) make("p", row, { class: "note" }, "Computed in advance. With a kernel, on Binder, there is more to choose.");
  new IntersectionObserver((entries, observer) => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    observer.disconnect();
    redraw();
  }, { rootMargin: "600px" }).observe(box);
}

document.addEventListener("DOMContentLoaded", () => {
  const input = document.querySelector(".search input"), box = document.querySelector(".found");
  input.oninput = () => find(input, box);
  input.form.onsubmit = event => { event.preventDefault(); box.querySelector("a")?.click(); };
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") box.hidden = true;
  });
  document.addEventListener("click", event => {
    if (!event.target.closest(".search")) box.hidden = true;
    const menu = document.querySelector(".menu");
    if (!menu.contains(event.target)) menu.open = false;
  });
  document.querySelector(".theme").onclick = () =>
    kept(whole.dataset.theme = whole.dataset.theme === "dark" ? "light" : "dark");
  if (innerWidth < 900) document.querySelector(".contents")?.removeAttribute("open");
  document.querySelectorAll(".explorer").forEach(explorer);
  document.querySelectorAll(".race").forEach(race);
});

/* The front page's race: bars as long as errors, for any number of labels. */
function race(box) {
  const { sizes, arms } = JSON.parse(box.querySelector("script").textContent);
  const longest = Math.max(...arms.flatMap(arm => arm.errors)), rows = make("div", null);
  const bars = arms.map(arm => {
    const text = make("div", rows);
    const bar = make("span", rows, { class: "bar" });
    bar.style.background = arm.color;
    return k => {
      text.textContent = `${arm.name}: ${arm.errors[k].toFixed(0)} meV/Å`;
      bar.style.width = `${100 * arm.errors[k] / longest}%`;
    };
  });
  const show = k => bars.forEach(draw => draw(k));
  control({ name: "Quantum labels", values: sizes, now: 0, range: true }, controls(box), show);
  box.append(rows);
  show(0);
}
