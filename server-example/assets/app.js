// What pages do beyond what the server has drawn. Everything here is a comfort: each page works without it, but for what
// happens while one looks on.

const $ = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Times in the reader's zone, and how long things take while they do.

function span(millis) {
  const seconds = Math.floor(millis / 1000);
  if (millis < 1000) return `${Math.max(0, Math.round(millis))} ms`;
  if (seconds < 60) return `${seconds}.${Math.floor((millis % 1000) / 100)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, "0")} s`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.floor(seconds / 60) % 60).padStart(2, "0")} m`;
}

function ago(time) {
  const seconds = (Date.now() - time) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.min(59, Math.ceil(seconds / 60))} m ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 2592000) return `${Math.floor(seconds / 86400)} d ago`;
  return new Date(time).toISOString().slice(0, 10);
}

const inFull = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function tellTimes() {
  for (const element of all("time[datetime]")) {
    const time = Date.parse(element.dateTime);
    element.title = inFull.format(time);
    element.textContent = element.classList.contains("full") ? inFull.format(time) : ago(time);
  }
  for (const element of all("[data-since]")) element.textContent = span(Date.now() - Date.parse(element.dataset.since));
}

// The sign of a state.
function mark(within, state) {
  $("use", within)?.setAttribute("href", `#m-${state}`);
  const picture = $("svg.mark[role]", within);
  if (!picture) return;
  picture.setAttribute("aria-label", state);
  $("title", picture).textContent = state;
}

// The page of a run: its events and the chosen log come over one socket, which goes on where it was when it was cut.

class RunPage {
  constructor(root) {
    this.root = root;
    this.seq = Number(root.dataset.seq);
    this.isOver = root.dataset.over === "true";
    this.log = $("#log");
    this.line = Number(this.log?.dataset.last ?? 0);
    this.shown = all(".l", this.log ?? document).length;
    this.section = all(".cmd", this.log ?? document).at(-1);
    this.begun = this.section ? Date.parse($(".took", this.section).dataset.begun) : undefined;
    this.follows = true;
    this.pause = 250;
    this.rows = new Map(all(".jobs [data-stage]").map((element) => [element.dataset.stage, element]));
    this.nodes = new Map();
    for (const element of all("[data-stages]")) {
      const node = { element, names: JSON.parse(element.dataset.stages), states: new Map() };
      for (const name of node.names) {
        this.nodes.set(name, node);
        const state = this.rows.get(name)?.dataset.state;
        node.states.set(state, (node.states.get(state) ?? 0) + 1);
      }
    }
    this.states = new Map();
    for (const row of this.rows.values()) this.count(this.states, row.dataset.state, 1);
    if (this.log) this.watchScroll();
    if (!this.isOver || this.log?.dataset.open === "true") this.connect();
  }

  count(states, state, by) {
    states.set(state, (states.get(state) ?? 0) + by);
  }

  connect() {
    const address = new URL(this.root.dataset.live, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("after", this.seq);
    const socket = new WebSocket(address);
    socket.onopen = () => {
      this.pause = 250;
      $("#stale").hidden = true;
      // A page of a part, which links to the next one, is not sent what comes after it.
      if (this.log?.dataset.open === "true") this.wish();
    };
    socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    socket.onclose = () => this.closed();
    this.socket = socket;
  }

  async closed() {
    if (this.isOver && this.log?.dataset.open !== "true") return;
    $("#stale").hidden = false;
    if (this.pause > 1000 && !(await this.mayLook())) {
      $("#stale").textContent = "You may not see this any more: log in, or ask for it.";
      return;
    }
    setTimeout(() => this.connect(), this.pause);
    this.pause = Math.min(this.pause * 2, 10000);
  }

  // Whether the page itself is still there for this reader; a server that does not answer may be back soon.
  async mayLook() {
    try {
      return (await fetch(location.href, { redirect: "manual" })).ok;
    } catch {
      return true;
    }
  }

  // Asks for the chosen log from the line on that is shown last.
  wish() {
    const { stage, attempt } = this.log.dataset;
    this.socket.send(JSON.stringify({ log: { stage, attempt: Number(attempt), after: this.line } }));
  }

  // Another attempt of the chosen stage has begun, or an earlier result was taken: its log is the one to see.
  turnTo(attempt) {
    const log = this.log;
    if (Number(log.dataset.attempt) === attempt && log.dataset.open === "true") return;
    Object.assign(log.dataset, { attempt, open: "true" });
    [this.line, this.shown, this.section, this.begun] = [0, 0, undefined, undefined];
    log.replaceChildren();
    this.wish();
  }

  hear(said) {
    if (said.type === "event") this.heed(said.event);
    else if (said.type === "log") this.print(said);
    else if (said.type === "log_end") this.endLog();
  }

  endLog() {
    this.log.dataset.open = "false";
    if (this.isOver) this.socket.close();
  }

  heed(event) {
    this.seq = event.seq;
    const row = this.rows.get(event.stage);
    if (event.type === "run_started") {
      this.setRun("running");
      $("#took").dataset.since = event.time;
    }
    const isChosen = this.log && event.stage !== undefined && this.log.dataset.stage === event.stage;
    if (event.type === "attempt_started") {
      this.setStage(row, "running", { since: event.time });
      if (isChosen && event.attempt > Number(this.log.dataset.attempt)) this.turnTo(event.attempt);
    }
    if (event.type === "result_taken" && isChosen && event.result.key) this.turnTo(0);
    if (event.type === "approval_requested") { this.setStage(row, "waiting"); this.refresh(); }
    if (event.type === "approval_given") { if (!event.missing) this.setStage(row, "queued"); this.refresh(); }
    if (event.type === "stage_held" || event.type === "hold_ended") this.refresh();
    if (event.type === "retry_scheduled") this.setStage(row, "queued");
    if (event.type === "stage_finished") this.setStage(row, event.result.status, { until: event.time });
    if (row && !this.isOver) this.setRun(this.stateNow());
    if (event.type === "run_finished") {
      this.isOver = true;
      this.setRun(event.status);
      this.refresh();
      if (this.log?.dataset.open !== "true") this.socket.close();
    }
  }

  // A run that can do nothing but wait for a person says so.
  stateNow() {
    return this.states.get("waiting") > 0 && !(this.states.get("running") > 0) ? "waiting" : "running";
  }

  setRun(state) {
    const now = $("#now");
    if (now.dataset.state === state) return;
    now.dataset.state = state;
    $(".state", now).textContent = state;
    mark(now, state);
    const icon = $("link[rel=icon]");
    icon.href = icon.href.replace(/icon[a-z-]*\.svg/, `icon-${["succeeded", "failed", "cancelled", "waiting", "queued"].includes(state) ? state : "running"}.svg`);
    document.title = document.title.replace(/^\S+/, { succeeded: "✓", failed: "✕", cancelled: "■", waiting: "⏸" }[state] ?? "●");
    if (["succeeded", "failed", "cancelled"].includes(state)) {
      const took = $("#took");
      if (took?.dataset.since) { took.textContent = span(Date.now() - Date.parse(took.dataset.since)); took.removeAttribute("data-since"); }
    }
  }

  setStage(row, state, times = {}) {
    if (!row) return;
    const before = row.dataset.state;
    this.count(this.states, before, -1);
    this.count(this.states, state, 1);
    row.dataset.state = state;
    mark(row, state);
    const took = $(".took", row);
    if (times.since) { took.dataset.since = times.since; took.textContent = span(0); }
    if (times.until && took.dataset.since) {
      took.textContent = span(Date.parse(times.until) - Date.parse(took.dataset.since));
      took.removeAttribute("data-since");
    }
    const node = this.nodes.get(row.dataset.stage);
    if (!node) return;
    this.count(node.states, before, -1);
    this.count(node.states, state, 1);
    const worst = ["failed", "timed_out", "lost", "running", "waiting", "cancelled", "queued", "succeeded", "skipped"].find((word) => node.states.get(word) > 0) ?? "queued";
    node.element.dataset.state = worst;
    mark(node.element, worst);
    const sub = $(".sub", node.element);
    if (sub) sub.textContent = `${(node.states.get("succeeded") ?? 0) + (node.states.get("skipped") ?? 0)}/${node.names.length}`;
  }

  // What only the server knows how to draw: questions and actions. Several changes at once are one look.
  refresh() {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => this.redraw(), 100);
  }

  async redraw() {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["attention", "actions"]) {
      const [old, next] = [document.getElementById(id), fresh.getElementById(id)];
      if (old && next && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(next));
    }
    tellTimes();
  }

  print({ stage, attempt, stream, time, first_line, lines }) {
    const log = this.log;
    if (stage !== log.dataset.stage || attempt !== Number(log.dataset.attempt)) return;
    $("#no-lines")?.remove();
    const template = document.createElement("template");
    const base = log.dataset.base;
    const clock = new Date(time).toISOString().slice(11, 23);
    template.innerHTML = lines.map((html, place) => {
      const line = first_line + place;
      return line <= this.line ? "" : `<div class="l ${stream}" id="L${line}" data-time="${clock}"><a class="n" href="${base}#L${line}">${line}</a><span class="x">${html}</span></div>`;
    }).join("");
    this.line = Math.max(this.line, first_line + lines.length - 1);
    this.shown += template.content.childElementCount;
    if (stream === "command" && template.content.childElementCount > 0) this.begin(template.content, time);
    else (this.section ?? log).append(template.content);
    this.shorten();
    if (this.follows) scrollTo({ top: document.body.scrollHeight });
    else this.tellNew(lines.length);
  }

  // A command begins: the one before has passed, and folds.
  begin(head, time) {
    const section = document.createElement("details");
    section.className = "cmd";
    section.open = true;
    const took = document.createElement("span");
    took.className = "took number";
    const summary = document.createElement("summary");
    summary.append(head, took);
    section.append(summary);
    if (this.section) {
      this.section.open = false;
      if (this.begun) $("summary .took", this.section).textContent = span(Date.parse(time) - this.begun);
    }
    this.log.append(section);
    [this.section, this.begun] = [section, Date.parse(time)];
  }

  // What a page can hold; the rest is in the whole log.
  shorten() {
    for (; this.shown > 20000; this.shown--) {
      const first = this.log.firstElementChild;
      const line = first.matches(".cmd") ? $(":scope > .l", first) : first;
      if (line) line.remove();
      else first.remove();
    }
  }

  watchScroll() {
    const isAtEnd = () => innerHeight + scrollY >= document.body.scrollHeight - 40;
    this.follows = !location.hash;
    addEventListener("scroll", () => {
      this.follows = isAtEnd();
      if (this.follows) this.tellNew(null);
    }, { passive: true });
    $("#new-lines")?.addEventListener("click", () => { this.follows = true; scrollTo({ top: document.body.scrollHeight }); this.tellNew(null); });
  }

  tellNew(count) {
    const button = $("#new-lines");
    if (!button) return;
    this.unseen = count === null ? 0 : (this.unseen ?? 0) + count;
    button.hidden = this.unseen === 0;
    button.textContent = `${this.unseen} new ↓`;
  }
}

// The palette: what is asked of it, the server finds.

class Palette {
  constructor(dialog) {
    this.dialog = dialog;
    this.input = $("input[type=search]", dialog);
    this.found = $("#found", dialog);
    const [, pipeline = "", run = ""] = /\/pipelines\/([^/]+)(?:\/runs\/(\d+))?/.exec(location.pathname) ?? [];
    $("[name=pipeline]", dialog).value = decodeURIComponent(pipeline);
    $("[name=run]", dialog).value = run;
    new MutationObserver(() => this.choose(0)).observe(this.found, { childList: true });
    $("form", dialog).addEventListener("submit", (event) => { event.preventDefault(); this.go(); });
    dialog.addEventListener("keydown", (event) => this.heed(event));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    for (const opener of all("[data-palette]")) {
      opener.addEventListener("click", (event) => { event.preventDefault(); this.open(); });
    }
  }

  open() {
    if (this.dialog.open) return;
    this.dialog.showModal();
    this.input.select();
    this.input.dispatchEvent(new Event("look"));
  }

  items() {
    return all("a", this.found);
  }

  choose(at) {
    const items = this.items();
    this.at = Math.max(0, Math.min(items.length - 1, at));
    items.forEach((item, place) => item.classList.toggle("on", place === this.at));
    items[this.at]?.scrollIntoView({ block: "nearest" });
  }

  go() {
    this.items()[this.at]?.click();
  }

  heed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.choose(this.at + step);
  }
}

// Arrow keys walk the graph: to the nearest box on that side.
function walk(event) {
  const from = event.target.closest?.(".dag .node");
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
  if (!from || dx === undefined) return;
  event.preventDefault();
  const middle = (node) => { const { x, y, width, height } = node.getBoundingClientRect(); return [x + width / 2, y + height / 2]; };
  const [x, y] = middle(from);
  let [nearest, least] = [undefined, Infinity];
  for (const node of all(".dag .node")) {
    const [tx, ty] = middle(node);
    const [ahead, aside] = [(tx - x) * dx + (ty - y) * dy, Math.abs((tx - x) * dy) + Math.abs((ty - y) * dx)];
    const far = ahead + 2 * aside;
    if (ahead > 1 && far < least) [nearest, least] = [node, far];
  }
  nearest?.focus();
  nearest?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// Lines that an address names: #L9-L20.
function light() {
  all(".l.lit").forEach((line) => line.classList.remove("lit"));
  const [, from, to] = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash) ?? [];
  if (!from) return;
  for (let line = Number(from); line <= Number(to ?? from) && line < Number(from) + 10000; line++) document.getElementById(`L${line}`)?.classList.add("lit");
  const first = document.getElementById(`L${from}`);
  const fold = first?.closest(".cmd");
  if (fold) fold.open = true;
  first?.scrollIntoView({ block: "center" });
}

// The next line behind the one that is lit which tells of an error.
function nextError() {
  const lines = all("#log .l:not(.command)");
  const lit = all("#log .l.lit").at(-1);
  const isError = (line) => $(".f1, .f9", line) || /\b(error|fatal|panicked|failed|failure|exception)\b/i.test($(".x", line).textContent);
  const at = lit ? lines.indexOf(lit) : -1;
  const found = lines.slice(at + 1).find(isError) ?? lines.find(isError);
  if (found) {
    history.replaceState(null, "", `#${found.id}`);
    light();
  }
  return found;
}

// With shift, a range from the line that is lit to this one.
function range(event) {
  const number = event.target.closest?.("#log .n");
  const [, from] = /^#L(\d+)/.exec(location.hash) ?? [];
  if (!number || !event.shiftKey || !from) return;
  event.preventDefault();
  const ends = [Number(from), Number(number.textContent)].sort((one, other) => one - other);
  history.replaceState(null, "", `#L${ends[0]}-L${ends[1]}`);
  light();
}

function showTimes(is) {
  $("#log").classList.toggle("times", is);
  $("#times").setAttribute("aria-pressed", is);
  localStorage.setItem("times", is);
}

// Keys: j and k walk a list, / searches, e goes to the next error, ? tells.
function keys(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && palette) {
    event.preventDefault();
    palette.open();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  const items = all(".list a.line, .list summary, .jobs .job, .templates a");
  const at = items.indexOf(document.activeElement);
  const go = (to) => { items[Math.max(0, Math.min(items.length - 1, to))]?.focus(); event.preventDefault(); };
  if (event.key === "j") go(at + 1);
  else if (event.key === "k") go(at < 0 ? 0 : at - 1);
  else if (event.key === "/") { const search = $("input[type=search]"); if (search) { search.focus(); event.preventDefault(); } }
  else if (event.key === "e" && nextError()) event.preventDefault();
  else if (event.key === "e") all('.jobs .job[data-state="failed"], .jobs .job[data-state="timed_out"], .jobs .job[data-state="lost"]')[0]?.click();
  else if (event.key === "?") $("#keys")?.showModal();
}

const palette = $("#palette") ? new Palette($("#palette")) : undefined;
addEventListener("keydown", keys);
addEventListener("keydown", walk);
addEventListener("hashchange", light);
addEventListener("click", range);
if ($("#times") && $("#log")) {
  $("#times").hidden = false;
  $("#times").addEventListener("click", () => showTimes(!$("#log").classList.contains("times")));
  showTimes(localStorage.getItem("times") === "true");
}
$("#keys-open")?.addEventListener("click", () => $("#keys").showModal());
for (const button of all("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}
tellTimes();
light();
// A page of what failed opens where it did.
if (!location.hash && $("#log")?.dataset.failed === "true") all("#log .cmd").at(-1)?.scrollIntoView({ block: "start" });
setInterval(tellTimes, 1000);
const run = $("[data-live]");
if (run) new RunPage(run);
