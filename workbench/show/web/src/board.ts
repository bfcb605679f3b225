// The tiles of one page: takes snapshots and ticks and writes them where the server's HTML left room.
import { Chart, text } from "./chart";
import { formatAge, formatClock, formatValue } from "./units";
import type { Alert, Boot, Snapshot, TileSpec, Tick } from "./types";

const TABLE_ROWS = 12;

export interface BoardEvents {
  zoom(from: number, to: number): void;
  say(text: string): void;
}

interface Age {
  us: number | null;
  at: number;
}

export class Board {
  private readonly charts = new Map<string, Chart>();
  private readonly boxes = new Map<string, HTMLElement>();
  private readonly ages = new Map<string, Age>();
  private readonly keys = new Map<string, Set<string>>();
  private alerts = "";

  constructor(
    root: HTMLElement,
    private readonly boot: Boot,
    private readonly events: BoardEvents,
  ) {
    for (const box of root.querySelectorAll<HTMLElement>("[data-tile]")) {
      const id = box.dataset["tile"]!;
      const spec = this.spec(id);
      this.boxes.set(id, box);
      if (spec.kind !== "timeseries") continue;
      const chart = new Chart(box, spec, events);
      this.charts.set(id, chart);
      const details = box.querySelector<HTMLDetailsElement>("details.more");
      details?.addEventListener("toggle", () => details.open && this.writeTable(box, chart));
    }
    this.load(boot.snapshot, true);
  }

  destroy(): void {
    for (const chart of this.charts.values()) chart.destroy();
  }

  /** Write a whole snapshot; the first one is in the HTML already and only its charts are drawn. */
  load(snapshot: Snapshot, first = false): void {
    for (const [id, tile] of Object.entries(snapshot.tiles)) {
      const box = this.boxes.get(id);
      if (!box) continue;
      if (tile.hidden) this.keys.delete(id);
      else this.keys.set(id, new Set(tile.series.map((row) => row.key)));
      this.age(id, tile.age);
      this.charts.get(id)?.load(tile, snapshot);
      if (first) continue;
      put(box, "[data-error]", tile.error, !tile.error);
      put(box, "[data-summary]", tile.summary);
      box.querySelector<HTMLElement>("[data-simulated]")!.hidden = !tile.simulated;
      this.writeNumbers(id, Object.fromEntries(tile.series.map((row) => [row.key, row.last])));
      const chart = this.charts.get(id);
      if (chart && box.querySelector<HTMLDetailsElement>("details.more")?.open) this.writeTable(box, chart);
    }
    this.head(snapshot.time, snapshot.lake_version);
    this.writeAlerts(snapshot.alerts, first);
  }

  /** Write the newest values. Returns whether a series appeared that the page should show and does not know. */
  tick(tick: Tick): boolean {
    let unknown = false;
    for (const [id, tile] of Object.entries(tick.tiles)) {
      this.age(id, tile.age);
      this.charts.get(id)?.push(tick.time, tile.values);
      this.writeNumbers(id, tile.values);
      // A tile that shows only its largest series has more in its ticks than on the page.
      const known = this.keys.get(id);
      if (known && Object.keys(tile.values).some((key) => !known.has(key))) unknown = true;
    }
    this.head(tick.time, tick.lake_version);
    this.writeAlerts(tick.alerts, false);
    this.writeAges();
    return unknown;
  }

  /** Ages grow also when nothing arrives. */
  writeAges(): void {
    if (!this.boot.snapshot.moving) return;
    const now = performance.now();
    for (const [id, age] of this.ages) {
      const us = age.us === null ? null : age.us + (now - age.at) * 1e3;
      put(this.boxes.get(id)!, "[data-age]", formatAge(us));
    }
  }

  private spec(id: string): TileSpec {
    return this.boot.dashboard.tiles[id]!;
  }

  private age(id: string, us: number | null): void {
    this.ages.set(id, { us, at: performance.now() });
  }

  private head(time: number, version: string): void {
    const stamp = document.querySelector<HTMLTimeElement>("#asof");
    const moment = new Date(time * 1000).toISOString();
    if (stamp) {
      stamp.dateTime = `${moment.slice(0, 19)}Z`;
      stamp.textContent = `${moment.slice(0, 10)} ${formatClock(time)}`;
    }
    const shown = document.querySelector("#lake-version");
    if (shown) shown.textContent = version || "none yet";
  }

  private writeNumbers(id: string, values: Record<string, number | null>): void {
    const spec = this.spec(id);
    const box = this.boxes.get(id)!;
    if (spec.kind === "stat") {
      const value = Object.values(values)[0] ?? null;
      const level = levelOf(spec, value);
      put(box, "[data-value]", formatValue(value, spec.unit));
      put(box, "[data-level-text]", { warn: spec.above ? "high" : "low", critical: "critical" }[level] ?? "");
      box.querySelector<HTMLElement>(".number")!.dataset["level"] = level;
    } else if (spec.kind === "table") {
      for (const row of box.querySelectorAll<HTMLElement>("tr[data-key]")) {
        const value = values[row.dataset["key"]!];
        if (value !== undefined) put(row, ".v", formatValue(value, spec.unit));
      }
    }
  }

  private writeTable(box: HTMLElement, chart: Chart): void {
    const table = box.querySelector("table");
    if (!table) return;
    const head = document.createElement("tr");
    head.append(header("col", "Time"), ...chart.names.map((name) => header("col", name)));
    table.tHead?.replaceChildren(head);
    const rows = chart.rows(TABLE_ROWS).map(([time, ...cells]) => {
      const row = document.createElement("tr");
      row.append(header("row", time!), ...cells.map((cell) => text("td", "", cell)));
      return row;
    });
    table.tBodies[0]?.replaceChildren(...rows);
  }

  private writeAlerts(alerts: Alert[] | null, first: boolean): void {
    if (!alerts) return;
    const signature = JSON.stringify(alerts);
    if (signature === this.alerts) return;
    const before = this.alerts && new Set((JSON.parse(this.alerts) as Alert[]).map(identify));
    this.alerts = signature;
    if (first) return;
    for (const list of document.querySelectorAll<HTMLElement>("[data-alert-list]")) {
      list.replaceChildren(...(alerts.length ? alerts.map(alertItem) : [text("li", "calm", "No active alerts.")]));
    }
    if (!before) return;
    const fresh = alerts.filter((alert) => alert.state === "firing" && !before.has(identify(alert)));
    if (fresh.length) this.events.say(`New alert: ${fresh.map((alert) => `${alert.name}, ${alert.severity}`).join("; ")}`);
  }
}

function alertItem(alert: Alert): HTMLElement {
  const item = document.createElement("li");
  item.dataset["severity"] = alert.severity;
  item.dataset["state"] = alert.state;
  item.append(text("strong", "", alert.name), " ", text("span", "sev", `${alert.severity}, ${alert.state}`), " ");
  if (alert.simulated) item.append(text("span", "badge", "simulated"), " ");
  item.append(text("span", "what", alert.summary || alert.labels));
  if (alert.since !== null) {
    const moment = new Date(alert.since * 1000).toISOString();
    item.append(" ", text("span", "since", `since ${moment.slice(0, 10)} ${moment.slice(11, 19)}`));
  }
  return item;
}

function identify(alert: Alert): string {
  return `${alert.name} ${alert.state} ${alert.labels}`;
}

function levelOf(spec: TileSpec, value: number | null): string {
  if (value === null || (spec.warn === null && spec.critical === null)) return "";
  const sign = spec.above ? 1 : -1;
  if (spec.critical !== null && sign * value >= sign * spec.critical) return "critical";
  return spec.warn !== null && sign * value >= sign * spec.warn ? "warn" : "ok";
}

function header(scope: string, content: string): HTMLElement {
  const cell = text("th", "", content);
  cell.setAttribute("scope", scope);
  return cell;
}

function put(root: ParentNode, selector: string, content: string, hidden?: boolean): void {
  const element = root.querySelector<HTMLElement>(selector);
  if (!element) return;
  if (element.textContent !== content) element.textContent = content;
  if (hidden !== undefined) element.hidden = hidden;
}
