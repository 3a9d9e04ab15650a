// The page of `taper summary --format html`: `report` is the data that server/taper/src/commands/summary/html.rs
// writes, `echarts` the charts.

const element = (id) => document.getElementById(id);
const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();
const text = { color: colour("--text") };
const line = { lineStyle: { color: colour("--line") } };

// Okabe and Ito's colours, which people with any colour vision tell apart.
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a200", "#8c8c8c"];

function make(tag, content, parent) {
  const made = document.createElement(tag);
  if (content !== undefined) made.textContent = content;
  if (parent) parent.append(made);
  return made;
}

function scaled(value, base, units) {
  let power = 0;
  while (value >= base && power + 1 < units.length) {
    value /= base;
    power += 1;
  }
  const digits = power === 0 && Number.isInteger(value) ? value : value.toPrecision(3);
  return `${digits} ${units[power]}`.trim();
}
const count = (value) => scaled(value, 1000, ["", "K", "M", "G", "T", "P", "E"]);
const bytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
const seconds = (value) => (value === 0 ? "0 s" : scaled(value * 1e9, 1000, ["ns", "µs", "ms", "s"]));
const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "");
const escaped = (value) => make("i", value).innerHTML;

// What can be measured: the key of a layer, its name, and how it is written.
const MEASURES = [
  { key: "work", name: `${report.unit}s`, write: count },
  { key: "params", name: "parameters", write: count },
  { key: "activation_bytes", name: "activations", write: bytes },
].filter((measure) => report.layers.some((layer) => layer[measure.key] > 0));

// The kinds that do the most work have colours of their own.
const kinds = new Map();
for (const layer of report.layers) kinds.set(layer.kind, (kinds.get(layer.kind) ?? 0) + layer.work + layer.params);
const ranked = [...kinds.keys()].sort((one, other) => kinds.get(other) - kinds.get(one));
const colours = new Map(ranked.map((kind, at) => [kind, PALETTE[Math.min(at, PALETTE.length - 1)]]));

function head() {
  element("name").textContent = report.model;
  element("sizes").textContent = report.at;
  for (const [name, value, exact] of report.totals) {
    const entry = make("div", undefined, element("totals"));
    make("dt", name, entry);
    make("small", exact, make("dd", value, entry));
  }
  element("footer").textContent = report.footer;
}

// The layers by the segments of their paths.
function tree(measure) {
  const root = { children: new Map() };
  report.layers.forEach((layer, index) => {
    if (!layer[measure.key]) return;
    let node = root;
    for (const segment of layer.path.split(/\.|(?=@)/)) {
      if (!node.children.has(segment)) node.children.set(segment, { children: new Map() });
      node = node.children.get(segment);
    }
    // A path that is used again has one place.
    (node.layers ??= []).push(index);
  });
  const shown = (node, name, path) => {
    const own = (node.layers ?? []).map((index) => report.layers[index]);
    const children = [...node.children].map(([segment, child]) =>
      shown(child, segment, path ? `${path}.${segment}` : segment));
    const leaf = own.length > 0 && {
      name: children.length ? own[0].kind : `${name} ${own[0].kind}`,
      path,
      kind: own[0].kind,
      output: own[0].output,
      value: own.reduce((sum, layer) => sum + layer[measure.key], 0),
      itemStyle: { color: colours.get(own[0].kind) },
    };
    if (children.length === 0) return leaf;
    if (leaf) children.push(leaf);
    // A part of one part is that part.
    if (children.length === 1) return { ...children[0], name: `${name}.${children[0].name}` };
    // Where it is too small to show its parts it has the colour of the largest one.
    const size = (child) => child.value ?? child.children.reduce((sum, one) => sum + size(one), 0);
    const [largest] = [...children].sort((one, other) => size(other) - size(one));
    return { name, path, children, itemStyle: { color: largest.itemStyle.color } };
  };
  return [...root.children].map(([segment, child]) => shown(child, segment, segment));
}

function treemap() {
  const chart = echarts.init(element("treemap"), null, { renderer: "svg" });
  const show = (measure) => {
    const total = report.layers.reduce((sum, layer) => sum + layer[measure.key], 0);
    chart.setOption({
      tooltip: {
        formatter: ({ data, value }) =>
          [`<b>${escaped(data.path ?? report.model)}</b>`, data.kind && escaped(`${data.kind} ${data.output ?? ""}`),
            `${measure.write(value)} ${measure.name}, ${percent(value, total)}`].filter(Boolean).join("<br>"),
      },
      series: [{
        type: "treemap", data: tree(measure), name: report.model, roam: false, left: 0, right: 0, top: 0, bottom: 36,
        animationDurationUpdate: 200, nodeClick: "zoomToNode", visibleMin: 60,
        // Of a large model a click goes deeper.
        leafDepth: report.layers.length > 400 ? 4 : undefined,
        label: { formatter: "{b}", overflow: "truncate" },
        upperLabel: { show: true, height: 18, color: "#fff", fontSize: 11 },
        itemStyle: { borderColor: colour("--back"), gapWidth: 1, borderWidth: 1 },
        breadcrumb: { bottom: 4, itemStyle: { color: colour("--line"), textStyle: text } },
        levels: [{ upperLabel: { show: false } }, {}, {}, {}].map((level, depth) => ({
          ...level,
          itemStyle: { borderWidth: depth === 0 ? 0 : 1, gapWidth: depth < 2 ? 3 : 1, borderColor: depth === 0 ? colour("--back") : "#57606a" },
        })),
      }],
    }, true);
  };
  const buttons = MEASURES.map((measure) => {
    const button = make("button", measure.name, element("measures"));
    button.onclick = () => {
      buttons.forEach((one) => one.setAttribute("aria-pressed", one === button));
      show(measure);
    };
    return button;
  });
  buttons[0]?.click();
  return chart;
}

function roofline() {
  const chart = echarts.init(element("roofline"), null, { renderer: "svg" });
  const layers = report.layers.filter((layer) => layer.flops > 0 && layer.traffic > 0);
  const intensity = (layer) => layer.flops / layer.traffic;
  const show = (device) => {
    const at = (x) => Math.min(device.flops, x * device.bandwidth);
    const time = (layer) => Math.max(layer.flops / device.flops, layer.traffic / device.bandwidth);
    // Layers that do no arithmetic move bytes all the same.
    const whole = report.layers.reduce((sum, layer) => sum + time(layer), 0);
    const knee = device.flops / device.bandwidth;
    const all = layers.map(intensity).concat(knee);
    const [least, most] = [Math.min(...all) / 2, Math.max(...all) * 2];
    element("least").textContent = `at least ${seconds(whole)} in ${report.dtype}, by its data sheet`;
    const axis = { type: "log", axisLine: line, splitLine: line, axisLabel: { ...text, formatter: count }, nameLocation: "middle", nameTextStyle: text };
    const series = ranked.filter((kind) => layers.some((layer) => layer.kind === kind)).map((kind) => ({
      name: kind, type: "scatter", color: colours.get(kind), itemStyle: { opacity: 0.75 },
      symbolSize: ([, , share]) => 5 + 55 * Math.sqrt(share),
      data: layers.filter((layer) => layer.kind === kind)
        .map((layer) => [intensity(layer), at(intensity(layer)), time(layer) / whole, layer.path, time(layer)]),
    }));
    chart.setOption({
      legend: { type: "scroll", top: 0, textStyle: text },
      grid: { left: 75, right: 25, top: 35, bottom: 50 },
      xAxis: { ...axis, name: "FLOPs for a byte", nameGap: 30, min: least, max: most },
      yAxis: { ...axis, name: "FLOP/s at most", nameGap: 55 },
      tooltip: {
        formatter: ({ seriesType, seriesName, value }) => seriesType !== "scatter" ? "" :
          `<b>${escaped(value[3])}</b><br>${escaped(seriesName)}<br>${value[0].toPrecision(3)} FLOPs for a byte, bound by ${value[0] < knee ? "memory" : "arithmetic"}` +
          `<br>at least ${seconds(value[4])}, ${percent(value[2], 1)} of the whole`,
      },
      series: [{
        name: device.name, type: "line", symbol: "none", color: colour("--dim"), silent: true,
        data: [least, knee, most].map((x) => [x, at(x)]),
      }, ...series],
    }, true);
  };
  for (const device of report.devices) make("option", device.name, element("devices")).value = device.id;
  element("devices").onchange = ({ target }) => show(report.devices.find((device) => device.id === target.value));
  const first = report.devices.find((device) => device.id === "h100") ?? report.devices[0];
  element("devices").value = first.id;
  show(first);
  return chart;
}

function layers() {
  const whole = report.layers.reduce((sum, layer) => sum + layer.work, 0);
  const columns = [
    { name: "layer", key: "path" },
    { name: "kind", key: "kind" },
    { name: "output", key: "output" },
    { name: "parameters", key: "params", write: count },
    { name: `${report.unit}s`, key: "work", write: count },
    { name: "share", key: "work", write: (value) => percent(value, whole) },
    { name: "together" },
    { name: "activations", key: "activation_bytes", write: bytes },
  ];
  const row = make("tr", undefined, document.querySelector("thead"));
  const show = (column, head) => {
    row.querySelectorAll("th").forEach((one) => one.removeAttribute("aria-sort"));
    const sorted = [...report.layers];
    if (column) {
      const order = column.write ? "descending" : "ascending";
      head.setAttribute("aria-sort", order);
      sorted.sort((one, other) => column.write ? other[column.key] - one[column.key]
        : one[column.key].localeCompare(other[column.key], undefined, { numeric: true }));
    }
    let together = 0;
    const body = make("tbody");
    for (const layer of sorted.slice(0, 2000)) {
      together += layer.work;
      const line = make("tr", undefined, body);
      for (const { key, write } of columns) {
        const value = layer[key];
        make("td", key === undefined ? percent(together, whole) : write ? value && write(value) : value, line);
      }
    }
    if (sorted.length > 2000) make("td", `and ${sorted.length - 2000} more`, make("tr", undefined, body));
    document.querySelector("tbody").replaceWith(body);
  };
  for (const column of columns) {
    const head = make("th", column.name, row);
    head.onclick = () => show(column.key && column, head);
  }
  const work = columns.findIndex((column) => column.key === "work");
  show(columns[work], row.children[work]);
}

head();
const charts = [treemap(), roofline()];
layers();
addEventListener("resize", () => charts.forEach((chart) => chart.resize()));
