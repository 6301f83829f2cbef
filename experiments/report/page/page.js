(function () {
'use strict';
const D = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);
const make = (tag, text, attributes) => {
  const e = document.createElement(tag);
  if (text !== undefined && text !== null) e.textContent = text;
  for (const k in attributes || {}) e.setAttribute(k, attributes[k]);
  return e;
};
const N = D.rows;

// Columns: numbers as a Float64Array with NaN for none, others as codes of words with -1 for none.
const cols = D.columns.map((c, index) => {
  if (c.same) { const o = D.columns.find(e => e.name === c.same); c.words = o.words; c.values = o.values; }
  const o = {index, name: c.name, unit: c.unit || '', kind: c.kind, role: c.role, about: c.about || '', goal: c.goal || ''};
  if (c.kind === 'number') {
    o.x = new Float64Array(N);
    for (let i = 0; i < N; i++) {
      const v = c.words ? (c.values[i] < 0 ? null : c.words[c.values[i]]) : c.values[i];
      o.x[i] = v === null || v === undefined ? NaN : v;
    }
    o.lo = Infinity; o.hi = -Infinity;
    for (const v of o.x) { if (v < o.lo) o.lo = v; if (v > o.hi) o.hi = v; }
    o.levels = new Set(o.x).size;
  } else {
    o.words = c.words; o.code = Int32Array.from(c.values);
    o.levels = c.words.length;
  }
  return o;
});
const byName = new Map(cols.map(c => [c.name, c]));
const numeric = cols.filter(c => c.kind === 'number' && c.lo <= c.hi);
const axes = cols.filter(c => c.role === 'axis'), objectives = cols.filter(c => D.objectives.includes(c.name));
const status = byName.get('status');
const okCode = status.words.indexOf('ok');
const isOk = i => status.code[i] === okCode;
const onFront = new Uint8Array(N);
for (const i of D.front || []) onFront[i] = 1;

// Figures with their units.
const prefixes = [[1e18, 'E'], [1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k'], [1, ''], [1e-3, 'm'], [1e-6, 'µ'], [1e-9, 'n'], [1e-12, 'p']];
const binary = [[2 ** 50, 'Pi'], [2 ** 40, 'Ti'], [2 ** 30, 'Gi'], [2 ** 20, 'Mi'], [2 ** 10, 'Ki'], [1, '']];
function digits(v, n) {
  if (v === 0) return '0';
  const a = Math.abs(v);
  if (a >= 1e6 || a < 1e-4) return Number(v.toPrecision(n)).toExponential().replace('e+', 'e');
  return String(Number(v.toPrecision(n)));
}
function show(v, unit, n) {
  n = n || 4;
  if (Number.isNaN(v)) return '';
  if (v === 0 || !Number.isFinite(v)) return unit ? v + ' ' + unit : String(v);
  const scaled = list => {
    const a = Math.abs(v) * (1 + 1e-9);
    for (const [size, p] of list) if (a >= size) return digits(v / size, n) + ' ' + p + unit;
    const [size, p] = list[list.length - 1];
    return digits(v / size, n) + ' ' + p + unit;
  };
  if (unit === 'B') return scaled(binary);
  if (['s', 'J', 'W', 'B/s', 'Hz', 'OP/s', 'OP/B'].includes(unit)) return unit === 's' && Math.abs(v) >= 1 ? digits(v, n) + ' s' : scaled(unit === 'OP/B' ? [[1, '']] : prefixes);
  const text = Number.isInteger(v) && Math.abs(v) < 1e9 ? String(v) : digits(v, n);
  return unit ? text + ' ' + unit : text;
}
const cell = (c, i) => c.kind === 'number' ? show(c.x[i], c.unit) : c.code[i] < 0 ? '' : c.words[c.code[i]];
const titled = c => c.name + (c.unit ? ', ' + c.unit : '');

// Choice: what brushes and the filter let through.
const chosen = new Uint8Array(N).fill(1);
let chosenCount = N, hovered = -1;
const brushes = new Map(); // column → [low, high]
let terms = [];
const watchers = [];
const position = (c, i) => c.kind === 'number' ? c.x[i] : c.code[i] < 0 ? NaN : c.code[i];
function choose(quick) {
  chosenCount = 0;
  const list = [...brushes];
  for (let i = 0; i < N; i++) {
    let keep = 1;
    for (const [c, [lo, hi]] of list) { const v = position(c, i); if (!(v >= lo && v <= hi)) { keep = 0; break; } }
    if (keep) for (const t of terms) if (!t(i)) { keep = 0; break; }
    chosen[i] = keep; chosenCount += keep;
  }
  $('chosen').textContent = chosenCount === N ? N + ' points' : chosenCount + ' of ' + N + ' points';
  for (const w of watchers) w(quick);
}
function parseFilter(text) {
  const out = []; let bad = '';
  for (const word of text.match(/(?:[^\s"]|"[^"]*")+/g) || []) {
    const m = /^([^<>=!"]+)(<=|>=|!=|==|=|<|>)(.*)$/.exec(word);
    if (m) {
      const c = byName.get(m[1]), value = m[3].replace(/"/g, ''), x = Number(value), op = m[2];
      if (!c) { bad = 'no column ' + m[1]; continue; }
      if (c.kind === 'number') {
        if (value === '' || Number.isNaN(x)) { bad = m[1] + ' is a number'; continue; }
        const near = Math.abs(x) * 1e-5;
        out.push(i => { const v = c.x[i]; return op === '<' ? v < x : op === '>' ? v > x : op === '<=' ? v <= x + near : op === '>=' ? v >= x - near : op === '!=' ? Math.abs(v - x) > near : Math.abs(v - x) <= near; });
      } else out.push(i => { const same = cell(c, i) === value; return op === '!=' ? !same : same; });
      continue;
    }
    const want = word.replace(/"/g, '').toLowerCase();
    const hits = cols.filter(c => c.kind !== 'number').map(c => [c, c.words.map(w => String(w).toLowerCase().includes(want))]);
    out.push(i => hits.some(([c, h]) => c.code[i] >= 0 && h[c.code[i]]));
  }
  terms = bad ? [] : out;
  $('filterbad').textContent = bad;
}
$('filter').addEventListener('input', () => { parseFilter($('filter').value); choose(); });
$('clear').addEventListener('click', () => { $('filter').value = ''; terms = []; brushes.clear(); $('filterbad').textContent = ''; fillRanges(); choose(); });

// Tooltip.
const tip = $('tip');
function showTip(x, y, head, lines, say) {
  tip.replaceChildren(make('b', head));
  for (const [k, v] of lines) { const d = make('div'); d.append(make('span', k), make('span', v)); tip.append(d); }
  tip.hidden = false;
  const w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = Math.max(4, x + 16 + w > innerWidth ? x - w - 12 : x + 16) + 'px';
  tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - h - 6)) + 'px';
  if (say) $('live').textContent = head + ': ' + lines.map(l => l.join(' ')).join(', ');
}
const hideTip = () => { tip.hidden = true; };
function pointLines(i) {
  const lines = [];
  for (const c of cols) if (c.role === 'axis' || D.objectives.includes(c.name)) lines.push([c.name, cell(c, i)]);
  if (!isOk(i)) lines.push(['status', cell(status, i)]);
  const bound = byName.get('bound_by');
  if (bound && bound.code[i] >= 0) lines.push(['bound_by', cell(bound, i)]);
  return lines;
}
const keyOf = i => { const p = byName.get('point'), k = byName.get('key'); return (p ? 'point ' + p.x[i] : 'row ' + (i + 1)) + (k && k.code[i] >= 0 ? ' (' + cell(k, i) + ')' : '') + (onFront[i] ? ', on the front' : ''); };

// Canvases: a base that is drawn when data or sizes change, and what is drawn over it.
let ink = {};
function readInk() {
  const s = getComputedStyle(document.documentElement);
  for (const n of ['bg', 'fg', 'soft', 'line', 'grid', 'accent', 'front', 'dim', 'point', 'card']) ink[n] = s.getPropertyValue('--' + n).trim();
  ink.dark = matchMedia('(prefers-color-scheme: dark)').matches;
}
const palette = () => ink.dark ? ['#6caee6', '#f0904c', '#4fc3a1', '#e08fc0', '#f2c14e', '#a99be8', '#b7c46a', '#9aa3ad', '#e57373', '#66c7d4', '#c9a27e', '#8fd694'] :
  ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#c28a00', '#5b3a8e', '#6f7a1d', '#6b7178', '#b2182b', '#1f8a99', '#8c5a2b', '#3f8f3f'];
const canvases = [];
function canvas(id, label, draw, over) {
  const el = $(id), base = document.createElement('canvas');
  el.setAttribute('role', 'img'); el.setAttribute('aria-label', label);
  const c = {el, height: el.height, width: 0, dirty: true, waiting: false, seen: true};
  c.paint = () => {
    c.waiting = false;
    const width = el.clientWidth, ratio = devicePixelRatio || 1;
    if (!width) return;
    if (width !== c.width || base.height !== Math.round(c.height * ratio)) c.dirty = true;
    if (c.dirty) {
      c.width = width;
      base.width = Math.round(width * ratio); base.height = Math.round(c.height * ratio);
      const g = base.getContext('2d');
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.font = '12px system-ui,sans-serif'; g.textBaseline = 'middle';
      draw(g, width, c.height, c);
      if (base.height !== Math.round(c.height * ratio)) { c.paint(); return; } // it asked for another height
      c.dirty = false;
      el.style.height = c.height + 'px';
      el.width = base.width; el.height = base.height;
    }
    const g = el.getContext('2d');
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, el.width, el.height);
    g.drawImage(base, 0, 0);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.font = '12px system-ui,sans-serif'; g.textBaseline = 'middle';
    if (over) over(g, width, c.height, c);
  };
  // What is out of sight is drawn when it comes into sight.
  c.later = () => { if (!c.waiting && c.seen) { c.waiting = true; requestAnimationFrame(c.paint); } };
  new IntersectionObserver(list => { const seen = list[list.length - 1].isIntersecting; if (seen && !c.seen && c.dirty) { c.seen = true; c.later(); } c.seen = seen; }, {rootMargin: '200px'}).observe(el);
  c.redraw = () => { c.dirty = true; c.later(); };
  new ResizeObserver(() => { if (el.clientWidth !== c.width) c.redraw(); }).observe(el);
  el.addEventListener('pointerleave', hideTip);
  el.addEventListener('blur', hideTip);
  canvases.push(c);
  return c;
}
// While the mouse moves along an axis, the other charts follow some times a second.
function calm(c) {
  let waiting = 0;
  return quick => {
    if (!quick) { clearTimeout(waiting); waiting = 0; c.redraw(); } else if (!waiting) waiting = setTimeout(() => { waiting = 0; c.redraw(); }, 200);
  };
}
const at = (c, e) => { const r = c.el.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
function scale(lo, hi, log, from, to) {
  if (!(lo <= hi)) { lo = 0; hi = 1; }
  if (log && lo <= 0) log = false;
  let a = log ? Math.log10(lo) : lo, b = log ? Math.log10(hi) : hi;
  if (a === b) { const d = log ? 0.3 : Math.abs(a) * 0.1 || 1; a -= d; b += d; }
  const m = (b - a) * 0.04; a -= m; b += m;
  const f = v => from + ((log ? Math.log10(v) : v) - a) / (b - a) * (to - from);
  f.log = log; f.a = a; f.b = b; f.from = from; f.to = to;
  f.back = p => { const t = a + (p - from) / (to - from) * (b - a); return log ? 10 ** t : t; };
  return f;
}
function ticks(s, room) {
  const most = Math.max(2, Math.floor(Math.abs(s.to - s.from) / room)), list = [];
  if (s.log) {
    for (const steps of [[1, 2, 5], [1, 3], [1]]) {
      list.length = 0;
      for (let e = Math.floor(s.a); e <= s.b; e++) for (const k of steps) { const v = k * 10 ** e, t = Math.log10(v); if (t >= s.a && t <= s.b) list.push(v); }
      if (list.length <= most && list.length > 1) return list;
    }
    if (list.length > 1) { const every = Math.ceil(list.length / most); return list.filter((_, i) => i % every === 0); }
  }
  const lo = s.log ? 10 ** s.a : s.a, hi = s.log ? 10 ** s.b : s.b;
  let step = 10 ** Math.floor(Math.log10((hi - lo) / most));
  for (const k of [1, 2, 5, 10]) if ((hi - lo) / (step * k) <= most) { step *= k; break; }
  const out = [];
  for (let i = Math.ceil(lo / step); i * step <= hi; i++) out.push(i * step);
  return out;
}
// At an axis whose title says the unit, only units with prefixes are said again.
const mark = (v, unit) => show(v, ['s', 'J', 'W', 'B', 'B/s', 'Hz', 'OP/s'].includes(unit) ? unit : '', 3);
function frame(g, sx, sy, box, xName, yName, xUnit, yUnit) {
  g.lineWidth = 1; g.font = '12px system-ui,sans-serif';
  for (const v of ticks(sx, 82)) {
    const x = Math.round(sx(v)) + 0.5;
    g.strokeStyle = ink.grid; g.beginPath(); g.moveTo(x, box.top); g.lineTo(x, box.bottom); g.stroke();
    g.fillStyle = ink.soft; g.textAlign = 'center'; g.fillText(mark(v, xUnit), x, box.bottom + 13);
  }
  for (const v of ticks(sy, 42)) {
    const y = Math.round(sy(v)) + 0.5;
    g.strokeStyle = ink.grid; g.beginPath(); g.moveTo(box.left, y); g.lineTo(box.right, y); g.stroke();
    g.fillStyle = ink.soft; g.textAlign = 'right'; g.fillText(mark(v, yUnit), box.left - 7, y);
  }
  g.strokeStyle = ink.line; g.strokeRect(box.left + 0.5, box.top + 0.5, box.right - box.left, box.bottom - box.top);
  g.fillStyle = ink.fg; g.textAlign = 'center'; g.fillText(xName, (box.left + box.right) / 2, box.bottom + 34);
  g.save(); g.translate(12, (box.top + box.bottom) / 2); g.rotate(-Math.PI / 2); g.fillText(yName, 0, 0); g.restore();
}
// Many points are stamped, which is much faster than drawing each.
const stamps = new Map();
function stamp(g, x, y, r) {
  const k = g.fillStyle + ' ' + r; let m = stamps.get(k);
  if (!m) { const q = devicePixelRatio || 1; m = document.createElement('canvas'); m.width = m.height = Math.ceil((2 * r + 2) * q); const h = m.getContext('2d'); h.scale(q, q); h.fillStyle = g.fillStyle; dot(h, r + 1, r + 1, r); m.side = m.width / q; if (stamps.size > 500) stamps.clear(); stamps.set(k, m); }
  g.drawImage(m, x - r - 1, y - r - 1, m.side, m.side);
}
function dot(g, x, y, r) { g.beginPath(); g.arc(x, y, r, 0, 7); g.fill(); }
function picker(into, label, options, value, changed) {
  const l = make('label', label), s = make('select');
  for (const [v, text] of options) s.append(make('option', text, {value: v}));
  s.value = value; s.addEventListener('change', () => changed(s.value));
  l.append(s); into.append(l);
  return s;
}
function ticker(into, label, on, changed) {
  const l = make('label'), b = make('input', null, {type: 'checkbox'});
  b.checked = on; b.addEventListener('change', () => changed(b.checked));
  l.append(b, document.createTextNode(label)); into.append(l);
  return b;
}
function empty(section, text) {
  const s = $(section), h = s.querySelector('h2');
  for (const e of [...s.children]) if (e !== h) e.remove();
  s.append(make('p', text, {class: 'note'}));
}
const wide = c => c.lo > 0 && c.hi / c.lo > 30;
function legend(id, entries) {
  const box = $(id); box.replaceChildren();
  for (const [colour, text] of entries) { const s = make('span'), i = make('i'); i.style.background = colour; s.append(i, document.createTextNode(text)); box.append(s); }
}
// Colours by a column.
function painter(c) {
  if (!c) return null;
  if (c.kind !== 'number' || c.levels <= 8) {
    const levels = c.kind === 'number' ? [...new Set(c.x)].filter(v => !Number.isNaN(v)).sort((a, b) => a - b) : c.words;
    const p = palette(), of = new Map(levels.map((v, i) => [c.kind === 'number' ? v : i, p[i % p.length]]));
    return {colour: i => of.get(position(c, i)) || ink.dim, entries: levels.slice(0, 24).map((v, i) => [p[i % p.length], c.kind === 'number' ? show(v, c.unit) : String(v)])};
  }
  const s = scale(c.lo, c.hi, wide(c), 0, 1), ramp = t => { t = Math.max(0, Math.min(1, t)); return 'hsl(' + Math.round(250 - 210 * t) + ',' + (ink.dark ? '75%,' + Math.round(52 + 16 * t) : '80%,' + Math.round(34 + 12 * t)) + '%)'; };
  return {colour: i => Number.isNaN(c.x[i]) ? ink.dim : ramp(s(c.x[i])), entries: [0, 0.25, 0.5, 0.75, 1].map(t => [ramp(t), show(s.back(t), c.unit, 3)])};
}

// Few points are drawn larger.
const radius = N < 150 ? 4.2 : N < 1500 ? 3 : 2.2;

// Compromises.
(function () {
  if (numeric.length < 2) { empty('compare', 'Fewer than two figures to compare.'); return; }
  const state = {x: byName.get(D.objectives[0]) || numeric[0], y: byName.get(D.objectives[1]) || numeric[1], colour: ''};
  state.logx = wide(state.x); state.logy = wide(state.y);
  const opts = numeric.map(c => [c.name, titled(c)]), box = {}, controls = $('compare-controls');
  let sx, sy, line = [], order = [];
  let xs, ys;
  const pickX = picker(controls, 'across', opts, state.x.name, v => { state.x = byName.get(v); lx.checked = state.logx = wide(state.x); gx.value = state.x.goal; pl.redraw(); });
  const lx = ticker(controls, 'logarithmic', state.logx, v => { state.logx = v; pl.redraw(); });
  const gx = picker(controls, 'better', [['', '–'], ['min', 'small'], ['max', 'large']], state.x.goal, v => { state.x.goal = v; pl.redraw(); });
  const pickY = picker(controls, 'up', opts, state.y.name, v => { state.y = byName.get(v); ly.checked = state.logy = wide(state.y); gy.value = state.y.goal; pl.redraw(); });
  const ly = ticker(controls, 'logarithmic', state.logy, v => { state.logy = v; pl.redraw(); });
  const gy = picker(controls, 'better', [['', '–'], ['min', 'small'], ['max', 'large']], state.y.goal, v => { state.y.goal = v; pl.redraw(); });
  const colours = cols.filter(c => c.levels > 1 && c.role !== 'label' || ['bound_by', 'arch', 'model', 'dtype', 'parallel'].includes(c.name) && c.levels > 1 && c.levels <= 24);
  picker(controls, 'colour', [['', 'front or not']].concat(colours.map(c => [c.name, c.name])), '', v => { state.colour = v; pl.redraw(); });
  void pickX; void pickY;
  $('compare-note').textContent = D.volume ? D.volume : 'Points that are ok; the line is the front of the two figures shown.';
  const pl = canvas('c-compare', 'Scatter of points by two figures. Arrow keys go from point to point, f along the front.', (g, w, h) => {
    Object.assign(box, {left: 84, right: w - 14, top: 12, bottom: h - 48});
    const X = state.x.x, Y = state.y.x;
    let lo = Infinity, hi = -Infinity, lo2 = Infinity, hi2 = -Infinity;
    order = [];
    for (let i = 0; i < N; i++) if (isOk(i) && X[i] === X[i] && Y[i] === Y[i]) { order.push(i); lo = Math.min(lo, X[i]); hi = Math.max(hi, X[i]); lo2 = Math.min(lo2, Y[i]); hi2 = Math.max(hi2, Y[i]); }
    sx = scale(lo, hi, state.logx, box.left, box.right); sy = scale(lo2, hi2, state.logy, box.bottom, box.top);
    frame(g, sx, sy, box, titled(state.x), titled(state.y), state.x.unit, state.y.unit);
    xs = new Float32Array(N).fill(NaN); ys = new Float32Array(N);
    for (const i of order) { xs[i] = sx(X[i]); ys[i] = sy(Y[i]); }
    const paint = painter(byName.get(state.colour));
    g.globalAlpha = 0.5; g.fillStyle = ink.dim;
    if (chosenCount < N) for (const i of order) if (!chosen[i]) g.fillRect(xs[i] - 1.2, ys[i] - 1.2, 2.4, 2.4);
    g.globalAlpha = order.length > 3000 ? 0.5 : 0.75; g.fillStyle = ink.point;
    for (const i of order) if (chosen[i]) { if (paint) g.fillStyle = paint.colour(i); stamp(g, xs[i], ys[i], radius); }
    g.globalAlpha = 1;
    // The front of the two figures.
    line = [];
    if (state.x.goal && state.y.goal) {
      const a = state.x.goal === 'min' ? 1 : -1, b = state.y.goal === 'min' ? 1 : -1;
      let best = Infinity;
      for (const i of order.slice().sort((i, j) => a * (X[i] - X[j]) || b * (Y[i] - Y[j]) || i - j)) if (b * Y[i] < best) { best = b * Y[i]; line.push(i); }
      g.strokeStyle = ink.front; g.lineWidth = 1.8; g.beginPath();
      line.forEach((i, k) => { if (k) { g.lineTo(xs[i], ys[line[k - 1]]); g.lineTo(xs[i], ys[i]); } else g.moveTo(xs[i], ys[i]); });
      g.stroke();
      g.fillStyle = ink.front; for (const i of line) dot(g, xs[i], ys[i], radius + 1.1);
    }
    g.strokeStyle = ink.front; g.lineWidth = 1;
    if (D.objectives.length > 2) for (const i of order) if (onFront[i]) { g.beginPath(); g.arc(xs[i], ys[i], radius + 2.4, 0, 7); g.stroke(); }
    order.sort((i, j) => xs[i] - xs[j] || ys[i] - ys[j]);
    const entries = paint ? paint.entries.slice() : [[ink.point, 'ok']];
    if (line.length) entries.push([ink.front, 'front of these two (' + line.length + ')']);
    if (D.objectives.length > 2) entries.push([ink.front, 'circled: front of ' + D.objectives.join(', ') + ' (' + (D.front || []).length + ')']);
    if (chosenCount < N) entries.push([ink.dim, 'not chosen']);
    legend('compare-legend', entries);
  }, g => {
    if (hovered >= 0 && xs && xs[hovered] === xs[hovered]) { g.strokeStyle = ink.fg; g.lineWidth = 2; g.beginPath(); g.arc(xs[hovered], ys[hovered], 6.5, 0, 7); g.stroke(); }
  });
  const tell = (i, say) => { const r = pl.el.getBoundingClientRect(); hovered = i; showTip(r.left + xs[i], r.top + ys[i], keyOf(i), [[state.x.name, cell(state.x, i)], [state.y.name, cell(state.y, i)]].concat(pointLines(i).filter(l => l[0] !== state.x.name && l[0] !== state.y.name)), say); pl.later(); };
  pl.el.addEventListener('pointermove', e => {
    const [x, y] = at(pl, e); let best = -1, near = 14 * 14;
    for (const i of order) { if (!chosen[i]) continue; const d = (xs[i] - x) ** 2 + (ys[i] - y) ** 2; if (d < near) { near = d; best = i; } }
    if (best < 0) { if (hovered >= 0) { hovered = -1; pl.later(); } hideTip(); return; }
    tell(best);
  });
  pl.el.addEventListener('keydown', e => {
    const list = (e.key === 'f' ? line : order).filter(i => chosen[i]), k = list.indexOf(hovered);
    if (e.key === 'Escape') { hideTip(); return; }
    const to = {ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: list.length - 1, f: (k + 1) % (list.length || 1)}[e.key];
    if (to === undefined || !list.length) return;
    e.preventDefault(); tell(list[Math.max(0, Math.min(list.length - 1, to))], true);
  });
  watchers.push(calm(pl));
  window.strataScatter = {position: i => [xs[i], ys[i]], order: () => order}; // for tests of the page
})();

// All axes at once.
const shownAxes = axes.concat(objectives.filter(o => !axes.includes(o))).filter(c => c.levels > 1 && (c.kind === 'number' ? c.lo < c.hi : c.levels <= 40)).map((c, i) => ({c, on: i < 10}));
let fillRanges = () => {};
(function () {
  if (shownAxes.length < 2) { empty('parallel', 'Fewer than two axes differ between points.'); return; }
  let places = [], drag = null, full = 0;
  const top = 40;
  const build = (w, h) => {
    const on = shownAxes.filter(a => a.on).map(a => a.c);
    places = on.map((c, k) => {
      const x = on.length === 1 ? w / 2 : 70 + k * (w - 140) / (on.length - 1);
      const s = c.kind === 'number' ? scale(c.lo, c.hi, wide(c), h - 22, top) : scale(0, Math.max(1, c.words.length - 1), false, h - 22, top);
      return {c, x, s};
    });
  };
  const lines = (g, list, most) => {
    const every = Math.max(1, Math.ceil(list.length / most));
    for (let k = 0; k < list.length;) {
      g.beginPath();
      for (let m = 0; m < 150 && k < list.length; k += every, m++) {
        let started = false;
        for (const p of places) { const v = position(p.c, list[k]); if (v !== v) { started = false; continue; } const y = p.s(v); if (started) g.lineTo(p.x, y); else { g.moveTo(p.x, y); started = true; } }
      }
      g.stroke();
    }
  };
  const pl = canvas('c-parallel', 'Parallel coordinates of what was varied and the objectives. Ranges can be typed below.', (g, w, h) => {
    build(w, h);
    const ok = [], out = [], front = [];
    for (let i = 0; i < N; i++) if (isOk(i)) (chosen[i] ? onFront[i] ? front : ok : out).push(i);
    const most = full === 0 ? [4000, 1500] : [700, 300]; // fewer while the mouse moves
    g.lineWidth = 1; g.strokeStyle = ink.dim; g.globalAlpha = out.length ? Math.max(0.05, Math.min(0.5, 150 / out.length)) : 1; lines(g, out, most[1]);
    g.strokeStyle = ink.point; g.globalAlpha = Math.max(0.06, Math.min(0.7, 110 / (ok.length || 1))); lines(g, ok, most[0]);
    g.strokeStyle = ink.front; g.globalAlpha = Math.max(0.25, Math.min(0.9, 120 / (front.length || 1))); g.lineWidth = 1.3; lines(g, front, most[1]);
    g.globalAlpha = 1;
    places.forEach((p, k) => {
      g.strokeStyle = ink.fg; g.lineWidth = 1; g.beginPath(); g.moveTo(p.x, top - 6); g.lineTo(p.x, h - 16); g.stroke();
      g.textAlign = 'center'; g.fillStyle = ink.fg;
      const room = (w - 140) / Math.max(1, places.length - 1) - 8;
      let name = titled(p.c); while (g.measureText(name).width > Math.max(60, room) && name.length > 4) name = name.slice(0, -2) + '…';
      g.fillText(name, Math.max(g.measureText(name).width / 2 + 2, Math.min(w - g.measureText(name).width / 2 - 2, p.x)), 14);
      g.fillStyle = ink.soft; g.textAlign = k === places.length - 1 ? 'right' : 'left';
      const dx = k === places.length - 1 ? -6 : 6;
      const label = (text, y) => { let t = text; while (g.measureText(t).width > Math.max(50, room * 0.8) && t.length > 4) t = t.slice(0, -2) + '…'; const m = g.measureText(t).width; g.fillStyle = ink.bg; g.globalAlpha = 0.75; g.fillRect(dx < 0 ? p.x + dx - m - 2 : p.x + dx - 2, y - 8, m + 4, 16); g.globalAlpha = 1; g.fillStyle = ink.fg; g.fillText(t, p.x + dx, y); };
      if (p.c.kind === 'number') for (const v of ticks(p.s, 52)) label(mark(v, p.c.unit), p.s(v)); else if (p.c.words.length <= 12) p.c.words.forEach((t, i) => label(String(t), p.s(i)));
      const b = brushes.get(p.c);
      if (b) { const y0 = p.s(b[0]), y1 = p.s(b[1]); g.fillStyle = ink.accent; g.globalAlpha = 0.3; g.fillRect(p.x - 8, Math.min(y0, y1), 16, Math.abs(y1 - y0) || 2); g.globalAlpha = 1; g.strokeStyle = ink.accent; g.strokeRect(p.x - 8, Math.min(y0, y1), 16, Math.abs(y1 - y0) || 2); }
    });
  });
  const nearest = x => { let best = null; for (const p of places) if (Math.abs(p.x - x) < 28 && (!best || Math.abs(p.x - x) < Math.abs(best.x - x))) best = p; return best; };
  pl.el.addEventListener('pointerdown', e => { const [x, y] = at(pl, e), p = nearest(x); if (!p) return; drag = {p, y, moved: false}; pl.el.setPointerCapture(e.pointerId); e.preventDefault(); });
  pl.el.addEventListener('pointermove', e => {
    const [x, y] = at(pl, e);
    if (!drag) { pl.el.style.cursor = nearest(x) ? 'ns-resize' : ''; return; }
    if (Math.abs(y - drag.y) < 3 && !drag.moved) return;
    drag.moved = true;
    const clampY = v => Math.max(top - 8, Math.min(pl.height - 14, v));
    const a = drag.p.s.back(clampY(drag.y)), b = drag.p.s.back(clampY(y));
    brushes.set(drag.p.c, [Math.min(a, b), Math.max(a, b)]);
    full = 1; choose(true);
  });
  const end = () => { if (!drag) return; if (!drag.moved) brushes.delete(drag.p.c); drag = null; full = 0; fillRanges(); choose(); };
  pl.el.addEventListener('pointerup', end); pl.el.addEventListener('pointercancel', end);
  watchers.push(() => pl.redraw());
  fillRanges = () => {
    const into = $('ranges'); into.replaceChildren();
    for (const a of shownAxes) {
      const d = make('div'), c = a.c, b = brushes.get(c);
      const on = make('input', null, {type: 'checkbox', 'aria-label': 'show ' + c.name});
      on.checked = a.on; on.style.width = 'auto'; on.addEventListener('change', () => { a.on = on.checked; pl.redraw(); });
      d.append(on, make('span', titled(c)));
      const ends = [0, 1].map(k => {
        const what = (k ? 'largest ' : 'smallest ') + c.name;
        if (c.kind === 'number') { const i = make('input', null, {type: 'text', inputmode: 'decimal', 'aria-label': what}); i.placeholder = digits(k ? c.hi : c.lo, 4); if (b) i.value = String(Number(b[k].toPrecision(5))); return i; }
        const s = make('select', null, {'aria-label': k ? 'last ' + c.name : 'first ' + c.name});
        c.words.forEach((w, n) => s.append(make('option', String(w), {value: n})));
        s.value = b ? Math.max(0, Math.min(c.words.length - 1, k ? Math.floor(b[1]) : Math.ceil(b[0]))) : k ? c.words.length - 1 : 0;
        return s;
      });
      const changed = () => {
        const v = ends.map((e, k) => e.value.trim() === '' ? (k ? Infinity : -Infinity) : Number(e.value));
        if (v.some(Number.isNaN)) return;
        const whole = c.kind === 'number' ? v[0] === -Infinity && v[1] === Infinity : v[0] === 0 && v[1] === c.words.length - 1;
        if (whole) brushes.delete(c); else brushes.set(c, [Math.max(v[0], c.kind === 'number' ? c.lo : 0), Math.min(v[1], c.kind === 'number' ? c.hi : c.words.length - 1)]);
        choose();
      };
      for (const e of ends) { e.addEventListener('change', changed); d.append(e); }
      into.append(d);
    }
  };
  fillRanges();
})();

// Roofline.
(function () {
  if (!D.roof) { empty('roofline', D.roofnote || 'No point keeps what a roofline needs.'); return; }
  const M = D.machines, machines = M.name.map((n, i) => ({name: M.words[n], dtype: M.words[M.dtype[i]], tier: M.words[M.tier[i]], ops: M.ops[i], bandwidth: M.bandwidth[i]}));
  const index = D.roof.machine, X = D.roof.intensity.map(v => v === null ? NaN : v), Y = D.roof.rate.map(v => v === null ? NaN : v);
  const rows = []; for (let i = 0; i < N; i++) if (index[i] >= 0) rows.push(i);
  const groups = [...new Set(machines.map(m => m.name + (m.dtype ? ', ' + m.dtype : '')))];
  const groupOf = machines.map(m => groups.indexOf(m.name + (m.dtype ? ', ' + m.dtype : '')));
  let sx, sy, xs, ys;
  const pl = canvas('c-roofline', 'Roofline: operations per second over operations per byte, with the roofs of the machines. Arrow keys go from point to point.', (g, w, h) => {
    const box = {left: 90, right: w - 14, top: 12, bottom: h - 48};
    let lo = Infinity, hi = -Infinity, lo2 = Infinity, hi2 = -Infinity;
    for (const i of rows) { lo = Math.min(lo, X[i]); hi = Math.max(hi, X[i]); lo2 = Math.min(lo2, Y[i]); }
    for (const m of machines) { const ridge = m.ops / m.bandwidth; lo = Math.min(lo, ridge / 3); hi = Math.max(hi, ridge * 3); hi2 = Math.max(hi2, m.ops); }
    sx = scale(lo, hi, true, box.left, box.right); sy = scale(Math.min(lo2, hi2 / 100), hi2, true, box.bottom, box.top);
    frame(g, sx, sy, box, 'operations for each byte of memory off chip, OP/B', 'operations per second and chip, OP/s', '', 'OP/s');
    g.save(); g.beginPath(); g.rect(box.left, box.top, box.right - box.left, box.bottom - box.top); g.clip();
    const p = palette(), many = machines.length > 24;
    xs = new Float32Array(N); ys = new Float32Array(N);
    g.globalAlpha = rows.length > 3000 ? 0.4 : 0.7;
    for (const i of rows) { xs[i] = sx(X[i]); ys[i] = sy(Y[i]); g.fillStyle = chosen[i] ? p[groupOf[index[i]] % p.length] : ink.dim; if (chosen[i]) stamp(g, xs[i], ys[i], radius); else g.fillRect(xs[i] - 1, ys[i] - 1, 2, 2); }
    const every = Math.ceil(machines.length / 300);
    for (let k = 0; k < machines.length; k += every) {
      const m = machines[k], x0 = 10 ** sx.a, x1 = 10 ** sx.b, ridge = m.ops / m.bandwidth;
      g.strokeStyle = p[groupOf[k] % p.length]; g.globalAlpha = many ? 0.15 : 1; g.lineWidth = many ? 1 : 2;
      g.beginPath(); g.moveTo(sx(x0), sy(x0 * m.bandwidth)); g.lineTo(sx(ridge), sy(m.ops)); g.lineTo(sx(x1), sy(m.ops)); g.stroke();
    }
    g.globalAlpha = 1; g.restore();
    legend('roofline-legend', groups.slice(0, 24).map((name, k) => {
      const of = machines.filter((_, i) => groupOf[i] === k), range = (f, u) => { let a = Infinity, b = -Infinity; for (const m of of) { a = Math.min(a, f(m)); b = Math.max(b, f(m)); } return a === b ? show(a, u) : show(a, u) + ' to ' + show(b, u); };
      return [p[k % p.length], name + ': ' + range(m => m.ops, 'OP/s') + ', ' + of[0].tier + ' ' + range(m => m.bandwidth, 'B/s')];
    }));
    rows.sort((i, j) => xs[i] - xs[j] || ys[i] - ys[j]);
  }, g => { if (hovered >= 0 && index[hovered] >= 0 && xs) { g.strokeStyle = ink.fg; g.lineWidth = 2; g.beginPath(); g.arc(xs[hovered], ys[hovered], 6, 0, 7); g.stroke(); } });
  const tell = (i, say) => {
    const r = pl.el.getBoundingClientRect(), m = machines[index[i]], roof = Math.min(m.ops, m.bandwidth * X[i]);
    hovered = i;
    showTip(r.left + xs[i], r.top + ys[i], keyOf(i), [['machine', m.name], ['intensity', show(X[i], '') + ' OP/B'], ['rate', show(Y[i], 'OP/s')], ['of the roof there', (100 * Y[i] / roof).toFixed(1) + ' %']].concat(pointLines(i)), say); pl.later();
  };
  pl.el.addEventListener('pointermove', e => { const [x, y] = at(pl, e); let best = -1, near = 196; for (const i of rows) { if (!chosen[i]) continue; const d = (xs[i] - x) ** 2 + (ys[i] - y) ** 2; if (d < near) { near = d; best = i; } } if (best < 0) hideTip(); else tell(best); });
  pl.el.addEventListener('keydown', e => { const list = rows.filter(i => chosen[i]), k = list.indexOf(hovered), to = {ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: list.length - 1}[e.key]; if (e.key === 'Escape') hideTip(); if (to === undefined || !list.length) return; e.preventDefault(); tell(list[Math.max(0, Math.min(list.length - 1, to))], true); });
  watchers.push(calm(pl));
})();

// Bars of parts.
function bars(section, parts, unit, what) {
  if (!parts || !parts.names.length) { empty(section, 'No point keeps its ' + what + '.'); return; }
  const V = parts.values, K = parts.names.length, byAxis = axes.filter(c => c.levels > 1 && c.levels <= 40);
  const best = objectives.find(c => c.kind === 'number');
  const state = {rows: (D.front || []).length > 2 ? 'front' : best ? 'best:' + best.name : byAxis.length ? 'axis:' + byAxis[0].name : 'first', share: true};
  const options = [];
  if ((D.front || []).length) options.push(['front', 'the front']);
  for (const c of byAxis) options.push(['axis:' + c.name, 'each value of ' + c.name + ' (mean)']);
  for (const c of objectives.filter(c => c.kind === 'number')) options.push(['best:' + c.name, 'the best by ' + c.name]);
  if (!options.length) options.push(['first', 'the first points']);
  const controls = $(section + '-controls');
  picker(controls, 'bars', options, state.rows, v => { state.rows = v; pl.redraw(); });
  ticker(controls, 'as shares', true, v => { state.share = v; pl.redraw(); });
  controls.append(make('span', 'Bars of points are labelled by ' + axes.filter(c => c.levels > 1).slice(0, 5).map(c => c.name).join(', ') + '.', {class: 'note'}));
  const most = 40;
  let list = [], geometry = null, current = -1;
  const has = i => { for (let k = 0; k < K; k++) if (V[k][i] !== null) return true; return false; };
  const bar = (label, rows) => {
    const sums = new Float64Array(K); let n = 0;
    for (const i of rows) { if (!has(i)) continue; n++; for (let k = 0; k < K; k++) sums[k] += V[k][i] || 0; }
    return n ? {label, n, parts: sums.map(v => v / n), row: rows.length === 1 ? rows[0] : -1} : null;
  };
  const name = i => { const words = axes.filter(c => c.levels > 1).slice(0, 5).map(c => cell(c, i)).filter(t => t !== ''); return words.join('  ') || keyOf(i); };
  const collect = () => {
    const ok = []; for (let i = 0; i < N; i++) if (isOk(i) && chosen[i]) ok.push(i);
    const [how, column] = [state.rows.split(':')[0], state.rows.slice(state.rows.indexOf(':') + 1)], c = byName.get(column);
    if (how === 'axis') {
      const by = new Map(); for (const i of ok) { const v = position(c, i); if (v === v) { if (!by.has(v)) by.set(v, []); by.get(v).push(i); } }
      return [...by].sort((a, b) => a[0] - b[0]).map(([, rows]) => bar(cell(c, rows[0]), rows)).filter(Boolean);
    }
    let rows = ok;
    const o = how === 'best' ? c : byName.get(D.objectives[0]);
    if (how === 'front') rows = ok.filter(i => onFront[i]);
    if (o && o.x) rows = rows.slice().sort((i, j) => (o.goal === 'max' ? o.x[j] - o.x[i] : o.x[i] - o.x[j]) || i - j);
    return rows.slice(0, most).map(i => bar(name(i), [i])).filter(Boolean);
  };
  const pl = canvas('c-' + section, 'Stacked bars of ' + what + '. Arrow keys go from bar to bar.', (g, w, h, c) => {
    list = collect();
    const height = Math.max(90, list.length * 20 + 52);
    if (height !== c.height) { c.height = height; return; }
    g.font = '12px system-ui,sans-serif';
    let left = 60; for (const b of list) left = Math.max(left, g.measureText(b.label).width + 14); left = Math.min(left, w * 0.42);
    const totals = list.map(b => b.parts.reduce((a, v) => a + v, 0)), largest = Math.max(...totals, 1e-300), right = w - 90, p = palette();
    geometry = {left, right, largest, totals};
    if (!list.length) { g.fillStyle = ink.soft; g.textAlign = 'left'; g.fillText('no point to show', 12, 30); return; }
    const s = state.share ? v => left + v * (right - left) : v => left + v / largest * (right - left);
    list.forEach((b, n) => {
      const y = 8 + n * 20; let x = 0;
      g.fillStyle = ink.fg; g.textAlign = 'right';
      let label = b.label; while (g.measureText(label).width > left - 12 && label.length > 4) label = label.slice(0, -2) + '…';
      g.fillText(label, left - 8, y + 8);
      b.parts.forEach((v, k) => { const d = state.share ? v / (totals[n] || 1) : v, x0 = s(x), x1 = s(x + d); x += d; g.fillStyle = p[k % p.length]; g.fillRect(x0, y, Math.max(0, x1 - x0), 16); });
      g.fillStyle = ink.soft; g.textAlign = 'left'; g.fillText(show(totals[n], unit, 3), s(x) + 6, y + 8);
    });
    g.strokeStyle = ink.line; const y = 10 + list.length * 20; g.beginPath(); g.moveTo(left, y + 0.5); g.lineTo(right, y + 0.5); g.stroke();
    g.fillStyle = ink.soft; g.textAlign = 'center';
    for (const t of [0, 0.25, 0.5, 0.75, 1]) g.fillText(state.share ? Math.round(t * 100) + ' %' : show(t * largest, unit, 3), left + t * (right - left), y + 12);
    g.fillStyle = ink.fg; g.fillText(state.share ? 'share of the ' + (unit === 's' ? 'time' : 'energy') : (unit === 's' ? 'time, s' : 'energy, J'), (left + right) / 2, y + 30);
    legend(section + '-legend', parts.names.map((t, k) => [p[k % p.length], t]));
  }, g => { if (current >= 0 && current < list.length && geometry) { g.strokeStyle = ink.fg; g.lineWidth = 1.5; g.strokeRect(geometry.left, 8 + current * 20, geometry.right - geometry.left, 16); } });
  const tell = (n, x, y, say) => {
    current = n; const b = list[n], total = geometry.totals[n];
    showTip(x, y, (b.row >= 0 ? keyOf(b.row) : b.label + ', mean of ' + b.n), parts.names.map((t, k) => [t, show(b.parts[k], unit) + '  ' + (total ? 100 * b.parts[k] / total : 0).toFixed(1) + ' %']).concat([['all', show(total, unit)]]), say); pl.later();
  };
  pl.el.addEventListener('pointermove', e => { const [, y] = at(pl, e), n = Math.floor((y - 8) / 20); if (n < 0 || n >= list.length) { current = -1; hideTip(); pl.later(); return; } tell(n, e.clientX, e.clientY); });
  pl.el.addEventListener('keydown', e => { const to = {ArrowDown: current + 1, ArrowUp: current - 1, Home: 0, End: list.length - 1}[e.key]; if (e.key === 'Escape') hideTip(); if (to === undefined || !list.length) return; e.preventDefault(); const n = Math.max(0, Math.min(list.length - 1, to)), r = pl.el.getBoundingClientRect(); tell(n, r.left + geometry.left, r.top + 8 + n * 20, true); });
  watchers.push(quick => { if (!quick) pl.redraw(); });
}
bars('stalls', D.stalls, 's', 'time by cause');
bars('energy', D.energy, 'J', 'energy by component');

// Sensitivity.
(function () {
  const varied = axes.filter(c => c.levels > 1), of = numeric.filter(c => c.role !== 'axis' && c.name !== 'point');
  if (!varied.length || !of.length) { empty('sensitivity', 'Nothing was varied.'); return; }
  const state = {o: objectives.find(c => c.kind === 'number' && of.includes(c)) || of[0], log: false};
  state.log = wide(state.o);
  picker($('sensitivity-controls'), 'of', of.map(c => [c.name, titled(c)]), state.o.name, v => { state.o = byName.get(v); box.checked = state.log = wide(state.o); pl.redraw(); });
  const box = ticker($('sensitivity-controls'), 'logarithmic', state.log, v => { state.log = v; pl.redraw(); });
  const quantile = (xs, q) => { const a = q * (xs.length - 1), i = Math.floor(a); return i + 1 < xs.length ? xs[i] + (a - i) * (xs[i + 1] - xs[i]) : xs[xs.length - 1]; };
  const summary = c => {
    const rows = []; for (let i = 0; i < N; i++) { const v = position(c, i); if (isOk(i) && chosen[i] && v === v && state.o.x[i] === state.o.x[i]) rows.push([v, state.o.x[i], i]); }
    rows.sort((a, b) => a[0] - b[0]);
    let groups = [];
    for (const r of rows) { const g = groups[groups.length - 1]; if (g && g[0][0] === r[0]) g.push(r); else groups.push([r]); }
    let ranges = false;
    if (groups.length > 16) {
      if (c.kind === 'number') { ranges = true; groups = []; for (let k = 0; k < 10; k++) { const g = rows.slice(Math.floor(k * rows.length / 10), Math.floor((k + 1) * rows.length / 10)); if (g.length) groups.push(g); } } else groups = groups.slice(0, 16);
    }
    return groups.map(g => { const xs = g.map(r => r[1]).sort((a, b) => a - b); return {label: ranges ? show(g[0][0], c.unit, 3) + ' – ' + show(g[g.length - 1][0], c.unit, 3) : cell(c, g[0][2]), short: ranges ? show(g[g.length >> 1][0], c.unit, 2) : cell(c, g[0][2]), n: g.length, low: quantile(xs, 0.25), mid: quantile(xs, 0.5), high: quantile(xs, 0.75)}; });
  };
  let panels = [], marks = [], current = -1;
  const pl = canvas('c-sensitivity', 'Median of the objective for each value of each axis. Arrow keys go from value to value.', (g, w, h, c) => {
    panels = varied.map(a => { const s = summary(a); const m = s.map(x => x.mid); const spread = s.length ? (Math.max(...m) - Math.min(...m)) / (Math.abs(quantile(m.slice().sort((x, y) => x - y), 0.5)) || 1) : 0; return {a, s, spread}; }).filter(p => p.s.length).sort((p, q) => q.spread - p.spread || p.a.index - q.a.index);
    const across = Math.max(1, Math.min(4, Math.floor(w / 290), panels.length || 1)), width = w / across, tall = 220, height = Math.max(80, Math.ceil(panels.length / across) * tall);
    if (height !== c.height) { c.height = height; return; }
    let lo = Infinity, hi = -Infinity; for (const p of panels) for (const x of p.s) { lo = Math.min(lo, x.low); hi = Math.max(hi, x.high); }
    marks = [];
    if (!panels.length) { g.fillStyle = ink.soft; g.textAlign = 'left'; g.fillText('no point to show', 12, 30); return; }
    panels.forEach((p, n) => {
      const x0 = (n % across) * width + 74, x1 = (n % across) * width + width - 16, y0 = Math.floor(n / across) * tall + 30, y1 = y0 + tall - 84;
      const sy = scale(lo, hi, state.log, y1, y0);
      g.font = '600 12.5px system-ui,sans-serif'; g.fillStyle = ink.fg; g.textAlign = 'left';
      let title = titled(p.a); while (g.measureText(title).width > width - 90 && title.length > 4) title = title.slice(0, -2) + '…';
      g.fillText(title, x0, y0 - 16); g.font = '11.5px system-ui,sans-serif';
      for (const v of ticks(sy, 40)) { const y = Math.round(sy(v)) + 0.5; g.strokeStyle = ink.grid; g.lineWidth = 1; g.beginPath(); g.moveTo(x0, y); g.lineTo(x1, y); g.stroke(); g.fillStyle = ink.soft; g.textAlign = 'right'; g.fillText(mark(v, state.o.unit), x0 - 6, y); }
      g.strokeStyle = ink.line; g.strokeRect(x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0);
      const step = (x1 - x0) / p.s.length, turn = step < 44 || p.s.some(v => g.measureText(v.short).width > step - 3);
      const pts = p.s.map((v, k) => [x0 + (k + 0.5) * step, sy(v.mid), v]);
      g.strokeStyle = ink.point; g.globalAlpha = 0.35; g.lineWidth = Math.min(12, step * 0.5);
      for (const [x, , v] of pts) { g.beginPath(); g.moveTo(x, sy(v.low)); g.lineTo(x, sy(v.high)); g.stroke(); }
      g.globalAlpha = 1; g.lineWidth = 1.6; g.beginPath(); pts.forEach(([x, y], k) => k ? g.lineTo(x, y) : g.moveTo(x, y)); if (p.a.kind === 'number') g.stroke();
      g.fillStyle = ink.front;
      for (const [x, y, v] of pts) {
        dot(g, x, y, 3.2); marks.push({x, y, v, p});
        g.save(); g.fillStyle = ink.soft; g.translate(x, y1 + 10);
        let t = v.short; if (turn) { while (g.measureText(t).width > 68 && t.length > 4) t = t.slice(0, -2) + '…'; g.rotate(-Math.PI / 4); g.textAlign = 'right'; } else g.textAlign = 'center';
        g.fillText(t, turn ? 4 : 0, 0); g.restore();
      }
    });
  }, g => { const m = marks[current]; if (m) { g.strokeStyle = ink.fg; g.lineWidth = 2; g.beginPath(); g.arc(m.x, m.y, 6, 0, 7); g.stroke(); } });
  const tell = (k, say) => { current = k; const m = marks[k], r = pl.el.getBoundingClientRect(); showTip(r.left + m.x, r.top + m.y, m.p.a.name + ' ' + m.v.label, [['median ' + state.o.name, show(m.v.mid, state.o.unit)], ['quartiles', show(m.v.low, state.o.unit) + ' to ' + show(m.v.high, state.o.unit)], ['points', String(m.v.n)]], say); pl.later(); };
  pl.el.addEventListener('pointermove', e => { const [x, y] = at(pl, e); let best = -1, near = 900; marks.forEach((m, k) => { const d = (m.x - x) ** 2 + (m.y - y) ** 2 / 9; if (d < near) { near = d; best = k; } }); if (best < 0) { current = -1; hideTip(); pl.later(); } else tell(best); });
  pl.el.addEventListener('keydown', e => { const to = {ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: marks.length - 1}[e.key]; if (e.key === 'Escape') hideTip(); if (to === undefined || !marks.length) return; e.preventDefault(); tell(Math.max(0, Math.min(marks.length - 1, to)), true); });
  watchers.push(quick => { if (!quick) pl.redraw(); });
})();

// Points.
(function () {
  const size = 50, state = {page: 0, by: null, down: false, all: false};
  let list = [];
  const main = cols.filter(c => c.role !== 'figure'), head = ['point', 'key', 'status'];
  const pick = () => (state.all ? cols : main).filter(c => head.includes(c.name) && c.name !== 'status').concat((state.all ? cols : main).filter(c => !head.includes(c.name) || c.name === 'status')).filter(c => state.all || c.name !== 'reason' || status.words.length > 1);
  const table = $('table'), controls = $('table-controls');
  const previous = make('button', 'Previous', {type: 'button'}), next = make('button', 'Next', {type: 'button'}), where = make('span', '', {role: 'status'});
  previous.addEventListener('click', () => { state.page--; render(); }); next.addEventListener('click', () => { state.page++; render(); });
  controls.append(previous, next, where); ticker(controls, 'all columns', false, v => { state.all = v; render(); });
  controls.append(make('span', 'The front is marked at the left. Figures are rounded to six digits; the database has all of them.', {class: 'note'}));
  const collect = () => {
    list = []; for (let i = 0; i < N; i++) if (chosen[i]) list.push(i);
    const c = state.by;
    if (!c) return;
    const sign = state.down ? -1 : 1;
    const rank = c.kind === 'number' ? null : c.words.map((w, i) => [String(w), i]).sort((a, b) => a[0] < b[0] ? -1 : 1).reduce((r, [, i], k) => { r[i] = k; return r; }, []);
    const v = i => c.kind === 'number' ? c.x[i] : c.code[i] < 0 ? NaN : rank[c.code[i]];
    list.sort((i, j) => { const a = v(i), b = v(j); if (a !== a || b !== b) return (a !== a) - (b !== b) || i - j; return sign * (a - b) || i - j; });
  };
  const render = () => {
    const pages = Math.max(1, Math.ceil(list.length / size));
    state.page = Math.max(0, Math.min(pages - 1, state.page));
    const columns = pick(), top = make('thead'), tr = make('tr'), body = make('tbody');
    for (const c of columns) {
      const th = make('th', null, {scope: 'col', title: c.about}), b = make('button', titled(c) + (state.by === c ? state.down ? ' ▼' : ' ▲' : ''), {type: 'button'});
      if (c.kind === 'number') th.className = 'n';
      th.setAttribute('aria-sort', state.by === c ? state.down ? 'descending' : 'ascending' : 'none');
      b.addEventListener('click', () => { if (state.by === c) { if (state.down) { state.by = null; state.down = false; } else state.down = true; } else { state.by = c; state.down = false; } collect(); state.page = 0; render(); const again = table.querySelectorAll('th button')[columns.indexOf(c)]; if (again) again.focus(); });
      th.append(b); tr.append(th);
    }
    top.append(tr);
    for (const i of list.slice(state.page * size, (state.page + 1) * size)) {
      const row = make('tr'); if (onFront[i]) row.className = 'front';
      for (const c of columns) { const text = cell(c, i), td = make('td', text); if (c.kind === 'number') td.className = 'n'; if (text.length > 30) td.title = text; row.append(td); }
      row.addEventListener('pointerenter', () => { hovered = i; for (const c of canvases) c.later(); });
      body.append(row);
    }
    table.replaceChildren(make('caption', 'Points', {class: 'hide'}), top, body);
    previous.disabled = state.page === 0; next.disabled = state.page >= pages - 1;
    where.textContent = list.length ? (state.page * size + 1) + ' to ' + Math.min(list.length, (state.page + 1) * size) + ' of ' + list.length : 'no points';
  };
  let waiting = 0;
  watchers.push(quick => { clearTimeout(waiting); if (quick) waiting = setTimeout(() => { collect(); render(); }, 150); else { collect(); render(); } });
})();

// Head and provenance.
document.title = D.title; $('title').textContent = D.title; $('about').textContent = D.about;
for (const s of D.statuses) $('counts').append(make('span', s.rows + ' ' + s.status, s.status === 'ok' ? {class: 'ok'} : {}));
(function () {
  const into = $('facts');
  const list = (heads, rows) => {
    const t = make('table'), h = make('tr'), box = make('div', null, {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': heads.join(', ')});
    for (const x of heads) h.append(make('th', x, {scope: 'col'}));
    t.append(h);
    for (const r of rows) { const tr = make('tr'); r.forEach((x, k) => tr.append(make('td', x, typeof x === 'number' ? {class: 'n'} : k === r.length - 1 ? {class: 'wrap'} : {}))); t.append(tr); }
    box.append(t); into.append(box, make('p', ''));
  };
  list(['what', 'value'], D.facts);
  if (D.reasons.length) { into.append(make('p', 'Points that are not ok, with the figures of their reasons left out:')); list(['status', 'points', 'reason'], D.reasons.map(r => [r.status, r.rows, r.reason])); }
  for (const n of D.notes) into.append(make('p', n, {class: 'note'}));
  if (D.spec) { into.append(make('p', 'The file of the sweep:'), make('pre', D.spec, {tabindex: '0'})); }
})();

readInk();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readInk(); for (const c of canvases) c.redraw(); });
choose();
requestAnimationFrame(() => { for (const c of canvases) c.paint(); requestAnimationFrame(() => { document.documentElement.dataset.ready = String(Math.round(performance.now())); }); });
})();
