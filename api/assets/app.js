// The dashboard: asks for public data once a second and draws it. It never sees a signal that is still for sale.
"use strict";

const EVERY_MS = 1000;
const ROWS = 12;
const SVG = "http://www.w3.org/2000/svg";
const shown = new Map();
let lastOutcome = null;

const id = (name) => document.getElementById(name);

/** An element with attributes, and children that are elements or text; never HTML. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const units = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const signed = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });

const percent = (p) => (p === null || p === undefined ? "–" : `${(100 * p).toFixed(1)}%`);
const score = (x) => (x === null || x === undefined ? "–" : x.toFixed(4));
const micros = (text) => Number(text) / 1e6;
const clock = (time) => time.slice(11, 19);
const plural = (n, one, many) => `${whole.format(n)} ${n === 1 ? one : many}`;

/** Draws a part only when its data changed, so that nothing flickers and a selection survives. */
function part(name, data, draw) {
  const key = JSON.stringify(data);
  if (shown.get(name) === key) return;
  shown.set(name, key);
  draw(data);
}

function fill(body, rows, columns, none) {
  const empty = el("tr", {}, el("td", { colspan: columns, class: "empty" }, none));
  id(body).replaceChildren(...(rows.length ? rows : [empty]));
}

function say(name, text) {
  const node = id(name);
  if (node.textContent !== text) node.textContent = text;
}

function bar(fraction) {
  const inner = el("i");
  inner.style.width = `${Math.max(0, Math.min(1, fraction)) * 100}%`;
  return el("span", { class: "track", "aria-hidden": "true" }, inner);
}

function outcomePill(result) {
  if (!result) return el("span", { class: "quiet" }, "open");
  const words = { up: "Up", down: "Down", void: "Void" };
  return el("span", { class: `pill ${result}` }, words[result] ?? result);
}

function drawTiles(page) {
  const t = page.totals;
  say("t-issued", whole.format(t.issued));
  say("t-open", plural(t.open_questions, "question open", "questions open"));
  say("t-sold", whole.format(t.sold));
  say("t-subs", plural(t.connections, "live subscriber", "live subscribers"));
  say("t-resolved", whole.format(t.resolved));
  say("t-void", t.void ? `and ${plural(t.void, "void one", "void ones")}` : "none void");
  const mean = (pick) => {
    const topics = page.topics.map(pick).filter((s) => s.n > 0);
    const n = topics.reduce((sum, s) => sum + s.n, 0);
    return n ? topics.reduce((sum, s) => sum + s.n * s.brier, 0) / n : null;
  };
  const own = mean((topic) => topic.ensemble);
  const reference = mean((topic) => topic.reference);
  say("t-brier", score(own));
  say("t-skill", own === null ? "a coin scores 0.25" : `reference ${score(reference)}, coin 0.25`);
  const books = page.ledger;
  const balanced = books.sum_usd === "0" && books.sum_stake === "0" && books.chain_breaks === 0;
  const off = `${books.sum_usd} / ${books.sum_stake}`;
  say("t-ledger", balanced ? "0" : off);
  id("t-ledger").className = balanced ? "good" : "bad";
  say("t-postings", balanced ? `${plural(books.postings, "posting", "postings")}, balanced` : "out of balance");
}

function signalRow(s) {
  const meter = s.sealed
    ? el("span", { class: "meter sealed" }, bar(0), el("span", { class: "said" }, "sealed"))
    : el("span", { class: "meter" }, bar(s.p), el("span", { class: "said" }, percent(s.p)));
  return el("tr", {},
    el("th", { scope: "row", class: "mono" }, clock(s.issued_at)),
    el("td", {}, s.topic),
    el("td", { class: "mono quiet", title: s.market.market_id }, clock(s.slot)),
    el("td", {}, meter),
    el("td", { class: "num" }, percent(s.p_market)),
    el("td", { class: "num" }, percent(s.reference)),
    el("td", { class: "mono quiet" }, clock(s.expires_at)),
    el("td", {}, outcomePill(s.result)));
}

function against(skill) {
  if (skill === null) return el("span", { class: "quiet" }, "–");
  const width = Math.min(0.5, Math.abs(skill)) * 100;
  const inner = el("i", { class: skill >= 0 ? "good" : "bad" });
  inner.style.width = `${width}%`;
  inner.style.left = `${skill >= 0 ? 50 : 50 - width}%`;
  const text = `${skill >= 0 ? "+" : "−"}${Math.abs(100 * skill).toFixed(1)}%`;
  return el("span", {}, el("span", { class: "vs", "aria-hidden": "true" }, inner), el("span", { class: skill >= 0 ? "good" : "bad" }, text));
}

function minerRow(m, most) {
  const gain = micros(m.gain);
  return el("tr", {},
    el("td", { class: "num quiet" }, String(m.rank)),
    el("th", { scope: "row", class: "name", title: m.miner }, m.name, el("small", {}, m.kind)),
    el("td", {}, el("span", { class: "meter stake" }, bar(most ? micros(m.stake) / most : 0), units.format(micros(m.stake)))),
    el("td", { class: `num ${gain > 0 ? "good" : gain < 0 ? "bad" : "quiet"}` }, signed.format(gain)),
    el("td", { class: "num" }, score(m.brier)),
    el("td", {}, against(m.skill)),
    el("td", { class: "num" }, whole.format(m.n)),
    el("td", { class: "num" }, whole.format(m.missing)),
    el("td", { class: "num" }, whole.format(m.rejected)));
}

function drawBrier(topics) {
  const [left, right, row, top] = [64, 56, 66, 24];
  const width = 520;
  const height = top + Math.max(1, topics.length) * row + 8;
  const worst = topics.flatMap((t) => [t.ensemble.brier, t.reference.brier, t.market.brier]).reduce((a, b) => Math.max(a, b ?? 0), 0.25);
  const x = (value) => left + ((width - left - right) * value) / (worst * 1.05);
  const words = topics.map((t) => `${t.id}: signals ${score(t.ensemble.brier)}, reference ${score(t.reference.brier)}, market ${score(t.market.brier)}`);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Mean Brier score. ${words.join(". ")}.` });
  const coin = x(0.25);
  chart.append(
    svg("line", { class: "ideal", x1: coin, x2: coin, y1: top - 6, y2: height - 8 }),
    svg("text", { x: coin, y: 12, "text-anchor": "middle" }, "0.25"));
  topics.forEach((topic, i) => {
    const y = top + i * row;
    chart.append(
      svg("text", { class: "strong", x: 0, y: y + 22 }, `${topic.horizon_s} s`),
      svg("text", { x: 0, y: y + 39 }, `n ${whole.format(topic.ensemble.n)}`));
    [["ensemble", topic.ensemble], ["reference", topic.reference], ["market", topic.market]].forEach(([kind, skill], k) => {
      const at = y + 4 + k * 17;
      const length = skill.brier === null ? 0 : Math.max(1, x(skill.brier) - left);
      chart.append(
        svg("rect", { class: `f-${kind}`, x: left, y: at, width: length, height: 12, rx: 3 }),
        svg("text", { x: left + length + 8, y: at + 10.5 }, skill.brier === null ? "not quoted" : score(skill.brier)));
    });
  });
  id("chart-brier").replaceChildren(chart);
}

function drawReliability([bins, reference]) {
  const [size, left, top] = [300, 44, 18];
  const [width, height] = [left + size + 16, top + size + 62];
  const x = (p) => left + size * p;
  const y = (p) => top + size * (1 - p);
  const most = bins.reduce((a, b) => Math.max(a, b.n), 1);
  const filled = bins.filter((b) => b.n > 0);
  const words = filled.map((b) => `said ${percent(b.mean_p)}, came true ${percent(b.observed)}, ${b.n} times`);
  const label = filled.length ? `Reliability. ${words.join("; ")}.` : "Reliability. No outcomes yet.";
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    chart.append(
      svg("line", { class: "grid", x1: x(0), x2: x(1), y1: y(tick), y2: y(tick) }),
      svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: y(0), y2: y(1) }),
      svg("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, `${100 * tick}%`),
      svg("text", { x: x(tick), y: y(0) + 18, "text-anchor": "middle" }, `${100 * tick}%`));
  }
  chart.append(svg("line", { class: "ideal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }));
  for (const bin of reference.filter((b) => b.n > 0)) {
    chart.append(svg("circle", { class: "o-reference", cx: x(bin.mean_p), cy: y(bin.observed), r: 4 + 9 * Math.sqrt(bin.n / most) }));
  }
  for (const bin of filled) {
    const dot = svg("circle", { class: "f-ensemble see", cx: x(bin.mean_p), cy: y(bin.observed), r: 4 + 9 * Math.sqrt(bin.n / most) });
    dot.append(svg("title", {}, `said ${percent(bin.mean_p)}, came true ${percent(bin.observed)}, n = ${bin.n}`));
    chart.append(dot);
  }
  for (const bin of bins) {
    const tall = (22 * bin.n) / most;
    const base = height - 14;
    chart.append(
      svg("rect", { class: "f-ensemble see", x: x(bin.lo) + 2, y: base - tall, width: size / 10 - 4, height: tall, rx: 2 }),
      svg("text", { x: x(bin.lo) + size / 20, y: height - 2, "text-anchor": "middle" }, bin.n ? whole.format(bin.n) : ""));
  }
  id("chart-cal").replaceChildren(chart);
}

function outcomeItem(o) {
  const said = o.p === null ? "no signal" : `said ${percent(o.p)}`;
  const detail = o.result === "void" ? (o.void_reason ?? "void").replaceAll("_", " ") : `${said}, reference ${percent(o.reference)}`;
  return el("li", {},
    el("time", { datetime: o.closes_at }, clock(o.closes_at)),
    el("span", {}, o.topic, el("br"), el("span", { class: "detail" }, detail)),
    el("span", {}, outcomePill(o.result)));
}

function announce(outcomes) {
  const newest = outcomes[0];
  if (!newest || newest.question === lastOutcome) return;
  if (lastOutcome !== null) say("announce", `${newest.topic} ended ${newest.result}`);
  lastOutcome = newest.question;
}

function epochRow(e) {
  return el("tr", {},
    el("th", { scope: "row", class: "num" }, String(e.epoch)),
    el("td", { class: "mono quiet", title: e.root }, e.root.slice(0, 10)),
    el("td", { class: "num" }, whole.format(e.questions)),
    el("td", { class: "num" }, units.format(micros(e.paid))),
    el("td", { class: "num" }, units.format(micros(e.burned))),
    el("td", { class: "num" }, `$${units.format(micros(e.revenue))}`),
    el("td", {}, e.is_final ? el("span", { class: "pill up" }, "final") : el("span", { class: "pill" }, "voting")));
}

function draw(page) {
  drawTiles(page);
  part("signals", page.signals.slice(0, ROWS), (rows) => fill("rows-signals", rows.map(signalRow), 8, "Waiting for the first signal"));
  part("miners", page.leaderboard, (rows) => {
    const most = rows.reduce((a, m) => Math.max(a, micros(m.stake)), 0);
    fill("rows-miners", rows.map((m) => minerRow(m, most)), 9, "Nobody has joined yet");
  });
  const topics = [...page.topics].sort((a, b) => a.horizon_s - b.horizon_s);
  part("brier", topics, drawBrier);
  part("reliability", [page.reliability, page.reference_reliability], drawReliability);
  part("outcomes", page.outcomes, (rows) => {
    id("feed").replaceChildren(...(rows.length ? rows.map(outcomeItem) : [el("li", { class: "empty" }, "None yet")]));
    announce(rows);
  });
  part("epochs", page.epochs, (rows) => fill("rows-epochs", rows.map(epochRow), 7, "None has closed yet"));
  say("pulse-text", `live, ${clock(page.at)} UTC`);
  id("pulse").dataset.state = "live";
  say("where", `record ${whole.format(page.seq)} of history ${page.epoch.slice(0, 8) || "–"}`);
}

async function tick() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/v1/dashboard", { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      draw(await answer.json());
    } catch {
      id("pulse").dataset.state = "lost";
      say("pulse-text", "no connection, trying again");
    }
  }
  setTimeout(tick, EVERY_MS);
}

tick();
