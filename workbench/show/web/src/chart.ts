// One time series chart: uPlot on a focusable surface, with a legend that tells values and a cursor for the keyboard.
import uPlot from "uplot";
import { formatClock, formatTick, formatValue } from "./units";
import type { SeriesData, Snapshot, TileData, TileSpec } from "./types";

const DASHES: number[][] = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4], [4, 2], [2, 6], [12, 3, 2, 3, 2, 3]];
const STYLES = DASHES.length;
const HEIGHT = 176;
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const SYNC = uPlot.sync("workbench");

export interface ChartEvents {
  zoom(from: number, to: number): void;
  say(text: string): void;
}

/** Times on the first axis, then one row of values for each series. */
type Columns = [number[], ...(number | null)[][]];

export class Chart {
  private readonly surface: HTMLElement;
  private readonly legend: HTMLElement;
  private plot: uPlot | null = null;
  private columns: Columns = [[]];
  private series: SeriesData[] = [];
  private span = { start: 0, end: 0, step: 1 };
  private seen = false;
  private stale = false;
  private provisional = false;
  private gone = false;
  private readonly watcher: IntersectionObserver;
  private readonly sizes: ResizeObserver;

  constructor(
    private readonly box: HTMLElement,
    private readonly spec: TileSpec,
    private readonly events: ChartEvents,
  ) {
    this.surface = box.querySelector<HTMLElement>("[data-plot]")!;
    this.legend = box.querySelector<HTMLElement>("[data-legend]")!;
    this.surface.tabIndex = 0;
    this.surface.setAttribute("role", "application");
    this.surface.setAttribute("aria-roledescription", "chart");
    this.surface.setAttribute("aria-label", `${spec.title}. Arrow keys move a cursor, Escape leaves it.`);
    const summary = box.querySelector("[data-summary]");
    if (summary?.id) this.surface.setAttribute("aria-describedby", summary.id);
    this.surface.addEventListener("keydown", (event) => this.key(event));
    this.surface.addEventListener("blur", () => this.clearCursor());
    this.touch();
    this.watcher = new IntersectionObserver((entries) => this.look(entries.some((entry) => entry.isIntersecting)), {
      rootMargin: "200px",
    });
    this.watcher.observe(box);

    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.surface);
  }

  destroy(): void {
    this.gone = true;
    this.watcher.disconnect();
    this.sizes.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  /** Draw a snapshot's tile. */
  load(tile: TileData, snapshot: Snapshot): void {
    const { start, end, step } = snapshot;
    this.span = { start, end, step };
    const count = Math.max(0, Math.round((end - start) / step) + 1);
    const times = Array.from({ length: count }, (_, index) => start + index * step);
    this.series = tile.series;
    this.columns = [times, ...tile.series.map((row) => row.values ?? [])];
    // A moving span ends with the present, which lies between two points of the grid.
    this.provisional = tile.series.some((row) => (row.values?.length ?? 0) > count);
    if (this.provisional) times.push(snapshot.time);
    this.writeLegend(tile.hidden);
    this.plot?.destroy();
    this.plot = null;
    this.surface.querySelector(".empty")?.remove();
    if (!tile.series.length && !tile.error) {
      const empty = document.createElement("p");
      empty.className = "empty";
      empty.textContent = tile.pending ? "Loading…" : "No data in this span of time.";
      this.surface.append(empty);
    }
    if (this.seen) this.draw();
    // What is out of sight is drawn as well, but after what is in sight.
    else idle(() => this.plot ?? this.draw());
  }

  /** Take the newest values: the last point moves until a whole step has passed, then a new one begins. */
  push(time: number, values: Record<string, number | null>): void {
    const [times, ...rows] = this.columns;
    if (!times.length || !this.series.length) return;
    const before = times.length - (this.provisional ? 1 : 0);
    const anchor = times[before - 1] ?? time;
    if (time <= anchor) return;
    if (this.provisional) for (const column of this.columns) column.pop();
    times.push(time);
    this.series.forEach((row, index) => {
      const value = values[row.key] ?? null;
      rows[index]!.push(value);
      if (value !== null) row.last = value;
    });
    this.provisional = time - anchor < this.span.step;
    const length = this.span.end - this.span.start;
    while (times.length > 2 && times[0]! < time - length) for (const column of this.columns) column.shift();
    this.stale = true;
    if (this.seen) this.refresh();
  }

  /** Rows of the data table: evenly spaced points, newest first. */
  rows(most: number): string[][] {
    const [times, ...columns] = this.columns;
    const stride = Math.max(1, Math.ceil(times.length / most));
    const found: string[][] = [];
    for (let index = times.length - 1; index >= 0; index -= stride) {
      found.push([this.clock(times[index]!), ...columns.map((column) => formatValue(column[index], this.spec.unit))]);
    }
    return found;
  }

  get names(): string[] {
    return this.series.map((row) => row.name);
  }

  private look(visible: boolean): void {
    this.seen = visible;
    if (!visible) return;
    if (!this.plot) this.draw();
    else if (this.stale) this.refresh();
  }

  private refresh(): void {
    this.stale = false;
    const focused = this.plot?.cursor.idx;
    this.plot?.setData(this.columns as uPlot.AlignedData);
    if (focused === null || focused === undefined) this.writeValues(null);
  }

  private resize(): void {
    const width = this.surface.clientWidth;
    if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  private draw(): void {
    if (this.gone || !this.series.length || this.surface.clientWidth === 0) return;
    this.surface.querySelector(".sketch")?.remove();
    this.plot = new uPlot(this.options(), this.columns as uPlot.AlignedData, this.surface);
    this.plot.root.setAttribute("aria-hidden", "true");
    this.box.dataset["drawn"] = "true";
  }

  private options(): uPlot.Options {
    const look = getComputedStyle(this.box);
    const colour = (name: string): string => look.getPropertyValue(name).trim();
    const { unit } = this.spec;
    const grid = { stroke: colour("--grid"), width: 1 };
    const axis: uPlot.Axis = { stroke: colour("--muted"), font: FONT, grid, ticks: { show: false } };
    const alone = this.series.length === 1;
    return {
      width: this.surface.clientWidth,
      height: HEIGHT,
      padding: [8, 18, 0, 0],
      tzDate: (time) => uPlot.tzDate(new Date(time * 1e3), "Etc/UTC"),
      legend: { show: false },
      focus: { alpha: 1 },
      cursor: {
        sync: { key: SYNC.key, setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
      },
      scales: { x: { time: true }, y: { range: (_, low, high) => this.extent(low, high) } },
      axes: [
        { ...axis, size: 26, gap: 6, space: 60, values: (_, splits, __, ___, step) => splits.map((time) => tickText(time, step)) },
        {
          ...axis,
          size: (_, labels) => 14 + 7 * Math.max(3, ...(labels ?? []).map((label) => label.length)),
          gap: 6,
          space: 36,
          values: (_, splits) => splits.map((value) => formatTick(value, unit)),
          ...(unit.startsWith("bytes") ? { incrs: BINARY_STEPS } : {}),
        },
      ],
      series: [
        {},
        ...this.series.map((row, index): uPlot.Series => {
          const stroke = colour(`--s${index % STYLES}`);
          return {
            label: row.name,
            stroke,
            width: 1.75,
            dash: DASHES[index % STYLES]!,
            points: { show: true, size: 4, fill: stroke, filter: (plot, number) => isolated(plot.data[number]!) },
            spanGaps: false,
            ...(alone ? { fill: `${stroke}1f` } : {}),
          };
        }),
      ],
      hooks: {
        setCursor: [(plot) => this.writeValues(plot.cursor.idx ?? null)],
        setSelect: [(plot) => this.selected(plot)],
        draw: [(plot) => this.drawBounds(plot, colour)],
      },
    };
  }

  private extent(low: number | null, high: number | null): [number, number] {
    const bottom = Math.min(0, low ?? 0);
    const pinned = this.spec.maximum;
    // Shares near one (accuracy, say) are unreadable on an axis from zero.
    if (pinned !== null && low !== null && high !== null && low > pinned * 0.8) return [low - (pinned - low) * 0.25, pinned];
    const top = pinned ?? (high === null || high <= bottom ? bottom + 1 : high + (high - bottom) * 0.08);
    return [bottom, Math.max(top, high ?? top)];
  }

  private drawBounds(plot: uPlot, colour: (name: string) => string): void {
    const { ctx, bbox } = plot;
    const scale = plot.scales["y"]!;
    for (const [bound, name] of [[this.spec.warn, "--warn"], [this.spec.critical, "--critical"]] as const) {
      if (bound === null || bound > (scale.max ?? 0) || bound < (scale.min ?? 0)) continue;
      const y = Math.round(plot.valToPos(bound, "y", true));
      ctx.save();
      ctx.strokeStyle = colour(name);
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.restore();
    }
  }

  private selected(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 8) return;
    const from = plot.posToVal(left, "x");
    const to = plot.posToVal(left + width, "x");
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (to - from >= 2) this.events.zoom(Math.floor(from), Math.ceil(to));
  }

  private writeLegend(hidden: number): void {
    const items = this.series.map((row, index): HTMLElement => {
      const item = document.createElement("li");
      item.dataset["key"] = row.key;
      item.append(swatch(index), text("span", "name", row.name), " ", text("span", "v", formatValue(row.last, this.spec.unit)));
      return item;
    });
    if (hidden) items.push(text("li", "rest", `${hidden} more not drawn`));
    this.legend.replaceChildren(...items);
  }

  /** Values at a point of the chart, or the newest ones. */
  private writeValues(index: number | null): void {
    const at = index === null ? null : (this.columns[0][index] ?? null);
    this.box.classList.toggle("pointed", at !== null);
    this.box.dataset["at"] = at === null ? "" : this.clock(at);
    const shown = this.legend.querySelectorAll<HTMLElement>("li[data-key] .v");
    this.series.forEach((row, number) => {
      const value = at === null ? row.last : this.columns[number + 1]![index!];
      const cell = shown[number];
      const words = formatValue(value, this.spec.unit);
      if (cell && cell.textContent !== words) cell.textContent = words;
    });
  }

  private key(event: KeyboardEvent): void {
    const moves: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    const last = this.columns[0].length - 1;
    if (last < 0 || !this.plot || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      this.clearCursor();
      return;
    }
    const current = this.plot.cursor.idx ?? last + 1;
    let index: number;
    if (event.key === "Home") index = 0;
    else if (event.key === "End") index = last;
    else if (event.key in moves) index = current + moves[event.key]!;
    else return;
    event.preventDefault();
    index = Math.min(last, Math.max(0, index));
    this.place(index);
    const time = this.clock(this.columns[0][index]!);
    const values = this.series.map((row, number) => `${row.name} ${formatValue(this.columns[number + 1]![index], this.spec.unit)}`);
    this.events.say(`${time}: ${values.join(", ")}`);
  }

  private place(index: number): void {
    const plot = this.plot!;
    const left = plot.valToPos(this.columns[0][index]!, "x");
    this.move(left, plot.over.clientHeight / 2);
  }

  private clearCursor(): void {
    this.move(-10, -10);
    this.writeValues(null);
  }

  /** Move the cursor here and, by uPlot's third argument, which its types leave out, on all other charts. */
  private move(left: number, top: number): void {
    const set = this.plot?.setCursor as ((place: object, fire: boolean, publish: boolean) => void) | undefined;
    set?.({ left, top }, true, true);
  }

  /** A finger that moves sideways moves the cursor; up and down still scrolls the page. */
  private touch(): void {
    const follow = (event: PointerEvent): void => {
      if (event.pointerType !== "touch" || !this.plot) return;
      const area = this.plot.over.getBoundingClientRect();
      this.move(event.clientX - area.left, event.clientY - area.top);
    };
    this.surface.addEventListener("pointerdown", follow);
    this.surface.addEventListener("pointermove", follow);
  }

  private clock(time: number): string {
    return formatClock(time, this.span.end - this.span.start);
  }
}

/** Points without a neighbour: no line would show them. */
function isolated(values: ArrayLike<number | null | undefined>): number[] {
  const found: number[] = [];
  for (let index = 0; index < values.length; index++) {
    if (values[index] != null && values[index - 1] == null && values[index + 1] == null) found.push(index);
  }
  return found;
}

/** Times of the axis: as fine as the ticks are apart, the day at midnight. */
function tickText(time: number, step: number): string {
  const moment = new Date(time * 1000);
  const day = moment.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  if (step >= 86400 || time % 86400 === 0) return day;
  return moment.toISOString().slice(11, step < 60 ? 19 : 16);
}

const BINARY_STEPS = Array.from({ length: 17 }, (_, power) => [1, 2, 4, 5].map((step) => step * 2 ** (power * 3)))
  .flat()
  .sort((a, b) => a - b);

function idle(run: () => void): void {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(run, { timeout: 1_000 });
  else setTimeout(run, 50);
}

export function text(tag: string, className: string, content: string): HTMLElement {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = content;
  return element;
}

function swatch(index: number): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("class", "swatch");
  picture.setAttribute("viewBox", "0 0 24 8");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("class", `s${index % STYLES}`);
  line.setAttribute("d", "M1 4H23");
  picture.append(line);
  return picture;
}
