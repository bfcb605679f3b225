// Boots a page from what its HTML carries, keeps it moving, and goes to other filters without a reload.
import { Board } from "./board";
import { openFeed, type Feed } from "./feed";
import type { Message } from "./streams";
import type { Boot, Snapshot, Tick } from "./types";
import { formatClock } from "./units";

const REFRESH_LEAST_MS = 5_000;
const NEW_SERIES_MS = 10_000;
const SAY_AFTER_MS = 150;

let boot: Boot;
let board: Board;
let feed: Feed;
let connected = false;
let tried = false;
let paused = false;
let lastData = 0;
let refreshedAt = 0;
let refreshTimer: ReturnType<typeof setTimeout> | undefined;
let sayTimer: ReturnType<typeof setTimeout> | undefined;

/** Tell those who listen; a burst (keys held down) is spoken as its last word. */
function say(words: string): void {
  clearTimeout(sayTimer);
  sayTimer = setTimeout(() => {
    document.querySelector("#announcer")!.textContent = words;
  }, SAY_AFTER_MS);
}

function start(): void {
  boot = JSON.parse(document.querySelector("#boot")!.textContent!) as Boot;
  refreshedAt = performance.now();
  board = new Board(document.querySelector<HTMLElement>("#main")!, boot, { zoom, say });
  lastData = boot.snapshot.time - (boot.snapshot.age ?? 0) / 1e6;
  document.querySelector<HTMLElement>("#live")!.hidden = !boot.snapshot.moving;
  const form = document.querySelector<HTMLFormElement>("form.filters")!;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void go(addressOf(form));
  });
  for (const select of form.querySelectorAll("select")) {
    select.addEventListener("change", () => {
      // A new range leaves a fixed span behind.
      if (select.name === "range") for (const input of form.querySelectorAll("input")) input.value = "";
      if (!select.multiple) void go(addressOf(form));
    });
  }
  for (const link of form.querySelectorAll<HTMLAnchorElement>("a[data-go]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      void go(link.pathname + link.search);
    });
  }
  if (Object.values(boot.snapshot.tiles).some((tile) => tile.pending)) void refresh();
  else planRefresh();
  follow();
}

/** Hold the event stream while the page is seen, moves and is not paused. */
function follow(): void {
  if (boot.snapshot.moving && !paused && document.visibilityState === "visible") {
    feed.watch(new URL(`${boot.stream}${location.search}`, location.href).href);
  } else {
    feed.leave();
    connected = tried = false;
  }
  status();
}

function hear(message: Message): void {
  if (message.kind === "gap") {
    void refresh();
  } else if (message.kind === "tick") {
    const tick = JSON.parse(message.data) as Tick;
    lastData = tick.age === null ? lastData : tick.time - tick.age / 1e6;
    connected = true;
    if (board.tick(tick) && performance.now() - refreshedAt > NEW_SERIES_MS) void refresh();
  } else {
    if (connected && !message.open) say(`Connection lost, last data ${formatClock(lastData)}`);
    connected = message.open;
    tried = true;
    // A stream tells no reason for its end; this learns whether it was the sign-in.
    if (!message.open) void refresh();
  }
  status();
}

function status(): void {
  const box = document.querySelector<HTMLElement>("#live")!;
  const state = paused ? "paused" : connected ? "live" : tried ? "lost" : "connecting";
  const words = {
    paused: `Paused, last data ${formatClock(lastData)}`,
    live: "Live",
    connecting: "Connecting…",
    lost: `Connection lost, last data ${formatClock(lastData)}`,
  }[state];
  box.dataset["state"] = state;
  const shown = document.querySelector("#live-text")!;
  if (shown.textContent !== words) shown.textContent = words;
}

/** Charts that do not take each sample, and those that missed some, are fetched anew. */
async function refresh(): Promise<void> {
  clearTimeout(refreshTimer);
  refreshedAt = performance.now();
  const search = location.search;
  try {
    const answer = await fetch(`${boot.data}${search}`, { headers: { Accept: "application/json" } });
    if (answer.status === 401) location.reload();
    if (answer.ok && search === location.search) board.load((await answer.json()) as Snapshot);
  } catch {
    // The status line says that the connection is lost; the next refresh is planned below.
  }
  planRefresh();
}

function planRefresh(): void {
  clearTimeout(refreshTimer);
  const { live, moving, step } = boot.snapshot;
  if (!moving || paused || document.visibilityState !== "visible") return;
  // Live charts only need the server's own sums now and then; the others one fetch for each new point.
  const seconds = live ? 600 : Math.min(step, 300);
  refreshTimer = setTimeout(() => void refresh(), Math.max(REFRESH_LEAST_MS, seconds * 1e3));
}

function addressOf(form: HTMLFormElement): string {
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) fields.append(name, String(value));
  if (!fields.get("from") || !fields.get("to")) {
    fields.delete("from");
    fields.delete("to");
  }
  return `${location.pathname}?${fields}`;
}

function zoom(from: number, to: number): void {
  const fields = new URLSearchParams(location.search);
  fields.set("from", new Date(from * 1e3).toISOString().slice(0, 19));
  fields.set("to", new Date(to * 1e3).toISOString().slice(0, 19));
  void go(`${location.pathname}?${fields}`);
}

/** Show another address in place: the server renders it, and what differs is everything inside main. */
async function go(address: string, push = true): Promise<void> {
  const main = document.querySelector<HTMLElement>("#main")!;
  main.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.querySelector<HTMLElement>("#main");
    if (!answer.ok || !next?.querySelector("#boot")) {
      location.assign(address);
      return;
    }
    if (push) history.pushState(null, "", address);
    const focused = document.activeElement?.id;
    clearTimeout(refreshTimer);
    board.destroy();
    main.replaceChildren(...next.childNodes);
    start();
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    say(document.querySelector(".asof")?.textContent ?? "");
  } catch {
    status();
  } finally {
    main.removeAttribute("aria-busy");
  }
}

if (document.querySelector("#boot")) {
  document.documentElement.classList.add("scripted");
  const first = JSON.parse(document.querySelector("#boot")!.textContent!) as Boot;
  feed = openFeed(first.worker, hear);
  start();
  const pause = document.querySelector<HTMLButtonElement>("#pause")!;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    follow();
    if (!paused) void refresh();
  });
  document.addEventListener("visibilitychange", () => {
    follow();
    if (document.visibilityState === "visible" && !paused) void refresh();
  });
  addEventListener("pagehide", () => feed.leave());
  addEventListener("pageshow", (event) => event.persisted && follow());
  addEventListener("popstate", () => void go(location.pathname + location.search, false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => void refresh());
  setInterval(() => board.writeAges(), 1_000);
}
