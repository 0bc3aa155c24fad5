"use strict";
// Reads ./status every ten seconds and draws it. Text from the server goes into text nodes alone.

const SVG = "http://www.w3.org/2000/svg";
const EVERY_MS = 10000;
// Okabe and Ito's colours, told apart by people with any colour vision; more regions repeat them with a dash.
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b3a900", "#7f7f7f"];

const byId = (id) => document.getElementById(id);
const colour = (index) => COLOURS[index % COLOURS.length];

function node(name, attributes = {}, text = null, space = null) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}
const shape = (name, attributes) => node(name, attributes, null, SVG);

function mass(grams) {
  const units = [["t", 1e6], ["kg", 1e3], ["g", 1], ["mg", 1e-3], ["µg", 1e-6]];
  const size = Math.abs(grams);
  const [name, per] = size ? units.find(([, per]) => size >= per) || units[units.length - 1] : ["g", 1];
  return `${(grams / per).toPrecision(3)} ${name}`;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} d`;
}

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;

function shares(of, regions) {
  return regions.filter((region) => of[region] > 0).map((region) => `${region} ${percent(of[region])}`).join(", ") || "none";
}

// A bar of the weights now above a band of the last day.
function bar(weights, history, regions) {
  const text = `now: ${shares(weights, regions)}`;
  const picture = shape("svg", { viewBox: "0 0 100 26", preserveAspectRatio: "none", role: "img", height: "34" });
  picture.append(node("title", {}, text, SVG));
  let left = 0;
  regions.forEach((region, index) => {
    const width = 100 * weights[region];
    picture.append(shape("rect", { x: left, y: 0, width, height: 12, fill: colour(index) }));
    left += width;
  });
  const moments = history[regions[0]].length;
  const low = new Array(moments).fill(0);
  regions.forEach((region, index) => {
    const high = low.map((value, at) => value + history[region][at]);
    const x = (at) => (moments > 1 ? (100 * at) / (moments - 1) : 100 * at);
    const y = (value) => 15 + 11 * value; // the first region on top, as the legend has it
    const edge = moments > 1 ? high.map((value, at) => `${x(at)},${y(value)}`) : [`0,${y(high[0])}`, `100,${y(high[0])}`];
    const back = moments > 1 ? low.map((value, at) => `${x(at)},${y(value)}`).reverse() : [`100,${y(low[0])}`, `0,${y(low[0])}`];
    picture.append(shape("polygon", { points: [...edge, ...back].join(" "), fill: colour(index), "fill-opacity": 0.75 }));
    high.forEach((value, at) => { low[at] = value; });
  });
  return picture;
}

function line(values, label) {
  const known = values.filter((value) => value !== null);
  const picture = shape("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", role: "img" });
  picture.append(node("title", {}, known.length ? `${label}: ${Math.min(...known).toFixed(0)} to ${Math.max(...known).toFixed(0)} g/kWh in the last day` : `${label}: unknown`, SVG));
  const most = Math.max(...known, 1);
  let path = "";
  values.forEach((value, at) => {
    if (value === null) return;
    const from = at > 0 && values[at - 1] !== null ? "L" : "M";
    path += `${from}${(100 * at) / Math.max(values.length - 1, 1)},${19 - (17 * value) / most}`;
  });
  picture.append(shape("path", { d: path || "M0,0", fill: "none", stroke: "currentColor", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
  return picture;
}

function chip(state) {
  const alarms = state.last ? state.last.alarms.length : 0;
  const good = state.healthy && !alarms;
  const word = !state.healthy ? "no tick in time" : alarms ? `${alarms} alarm${alarms > 1 ? "s" : ""}` : "well";
  const made = byId("state");
  made.className = `chip ${good ? "good" : "bad"}`;
  made.textContent = `${state.mode}: ${word}`;
}

function answers(state) {
  const grams = state.since_start.emissions_g, saved = grams.baseline - grams.policy;
  const shadow = state.mode === "shadow" ? "would have been " : "";
  if (Number.isFinite(saved)) {
    byId("saved").textContent = `${shadow}${mass(saved)}`;
    const share = grams.baseline > 0 ? `${((100 * saved) / grams.baseline).toFixed(1)} % of ${mass(grams.baseline)}` : "nothing was emitted";
    const measured = state.since_start.measured;
    byId("saved-detail").textContent = `${share}, in ${span(state.since_start.seconds)}` +
      (measured ? `; measured by switchback ${measured.saving_pct.toFixed(1)} ± ${measured.half_width_pct.toFixed(1)} %` : "; by the carbon known at each decision");
  } else {
    byId("saved").textContent = "unknown yet";
    byId("saved-detail").textContent = "needs carbon, energies and two ticks";
  }
  const now = state.emissions_g_per_h;
  byId("now").textContent = "in force" in now ? `${mass(now["in force"])}/h` : "unknown";
  const beside = ["baseline", ...(state.mode === "shadow" ? ["policy"] : [])].filter((name) => name in now);
  byId("now-detail").textContent = beside.map((name) => `${name}: ${mass(now[name])}/h`).join(", ") || "carbon of a region in use is unknown";
  byId("by").textContent = state.mode === "shadow" && state.last.by === "policy" ? "the baseline's (shadow)" : { policy: "the policy's", baseline: "the baseline's", held: "held" }[state.last.by];
  byId("by-detail").textContent = state.last.reasons.join("; ") || `decided ${span(state.last.age_s)} ago by ${state.policy}`;
}

function weights(state) {
  const shadow = state.mode === "shadow";
  byId("weights-heading").textContent = shadow ? "Weights that the policy would set" : "Weights in force";
  byId("legend").replaceChildren(...state.regions.map((region, index) => {
    const item = node("li"), mark = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    mark.append(shape("rect", { width: 10, height: 10, fill: colour(index) }));
    item.append(mark, region);
    return item;
  }));
  const origins = [...new Set(state.cells.map((cell) => cell.origin))];
  const workloads = [...new Set(state.cells.map((cell) => cell.workload))];
  byId("cells").replaceChildren(...state.cells.map((cell) => {
    const row = node("div", { class: "cell" });
    const rate = cell.requests_per_s === null ? "rate unknown" : `${cell.requests_per_s.toPrecision(3)}/s`;
    const name = node("div", { class: "name" }, `${cell.origin} · ${cell.workload}`);
    const history = state.last_day.followed[origins.indexOf(cell.origin)][workloads.indexOf(cell.workload)];
    const now = shadow ? cell.decided : cell.in_force;
    const beside = shadow ? `; in force: ${shares(cell.in_force, state.regions)}` : "";
    row.append(name, bar(now, history, state.regions), node("div", { class: "shares" }, `${shares(now, state.regions)} (${rate})${beside}`));
    return row;
  }));
}

function carbon(state) {
  const words = { "fresh": "measured", "forecast": "forecast", "last-good": "last good value", "same-hour-yesterday": "same hour yesterday", "reference": "long-run mean", "latency-only": "unknown: latency decides" };
  byId("carbon").replaceChildren(...state.carbon.map((one) => {
    const row = node("tr"), last = node("td", { "data-label": "Last day" });
    last.append(line(state.last_day.carbon_g_per_kwh[one.region], one.region));
    row.append(
      node("th", { scope: "row" }, one.region),
      node("td", { class: "number", "data-label": "g/kWh" }, one.g_per_kwh === null ? "unknown" : one.g_per_kwh.toFixed(0)),
      node("td", { class: "number", "data-label": "Age" }, span(one.age_s)),
      node("td", { "data-label": "Known how", class: one.step === "latency-only" ? "bad-text" : "" }, `${words[one.step] || one.step}${one.source ? ` (${one.source})` : ""}`),
      node("td", { "data-label": "Takes requests", class: one.available ? "" : "bad-text" }, one.available ? "yes" : "no"),
      last,
    );
    return row;
  }));
}

function actuators(state) {
  byId("no-actuators").hidden = state.actuators.length > 0;
  byId("actuator-table").hidden = state.actuators.length === 0;
  byId("actuators").replaceChildren(...state.actuators.map((one) => {
    const row = node("tr");
    row.append(
      node("th", { scope: "row" }, one.name),
      node("td", { "data-label": "Last write", class: one.result === "ok" ? "" : "bad-text" }, one.result === "ok" ? "read back" : `${one.result}${one.detail ? `: ${one.detail}` : ""}`),
      node("td", { class: "number", "data-label": "ms" }, one.ms.toFixed(0)),
    );
    return row;
  }));
}

function show(state) {
  document.title = `${state.scenario}: ${state.mode}`;
  byId("title").textContent = `${state.scenario}: ${state.policy}`;
  chip(state);
  if (!state.last) return;
  byId("alarms").hidden = state.last.alarms.length === 0;
  byId("alarm-list").replaceChildren(...state.last.alarms.map((alarm) => node("li", {}, alarm)));
  answers(state);
  weights(state);
  carbon(state);
  actuators(state);
  byId("foot").textContent = `Decision ${state.last.tick + 1} at ${state.last.time_utc}, every ${span(state.interval_s)}; took ${state.last.took_ms} ms.`;
}

async function refresh() {
  try {
    const answer = await fetch("status", { cache: "no-store" });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    const made = byId("state");
    made.className = "chip bad";
    made.textContent = `the controller does not answer (${error.message})`;
  }
}

refresh();
setInterval(refresh, EVERY_MS);
