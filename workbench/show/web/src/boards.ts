// The page around a board: holds the event stream, posts live numbers into the sandboxed frame, follows new snapshots.
// The frame's document has nobody's origin: it can be told texts and tells its height, nothing else passes.
import { openFeed, type Feed } from "./feed";
import type { Message } from "./streams";
import type { Snapshot, Tick } from "./types";
import { formatAge, formatClock, formatValue } from "./units";

interface BoardBoot {
  state: string;
  made: number;
  data: string;
  stream: string;
  worker: string;
  numbers: Record<string, { expr: string; unit: string }>;
}

const FOLLOW_MS = 30_000;
const HEIGHT_LEAST = 300;
const HEIGHT_MOST = 20_000;

const boot = JSON.parse(document.querySelector("#board")!.textContent!) as BoardBoot;
const frame = document.querySelector<HTMLIFrameElement>("iframe.board")!;
const status = document.querySelector<HTMLElement>("#board-live")!;
const age = document.querySelector<HTMLElement>("#board-age")!;
const texts: Record<string, string> = {};
let lastData = 0;

function post(): void {
  // The policy of this page lets the frame show documents of the notebook origin only; theirs is opaque: "*" reaches it.
  frame.contentWindow?.postMessage({ kind: "live", texts }, "*");
}

function show(tile: string, value: number | null | undefined): void {
  const number = boot.numbers[tile];
  if (number) texts[number.expr] = formatValue(value, number.unit);
}

function say(state: "live" | "lost" | "connecting"): void {
  status.dataset["state"] = state;
  const words = { live: "Live", connecting: "Connecting…", lost: `Connection lost, last data ${formatClock(lastData)}` };
  const shown = status.querySelector("#board-live-text")!;
  if (shown.textContent !== words[state]) shown.textContent = words[state];
}

async function refresh(): Promise<void> {
  try {
    const answer = await fetch(boot.data, { headers: { Accept: "application/json" } });
    if (answer.status === 401) location.reload();
    if (!answer.ok) return;
    const snapshot = (await answer.json()) as Snapshot;
    for (const [tile, data] of Object.entries(snapshot.tiles)) show(tile, data.series[0]?.last);
    post();
  } catch {
    say("lost");
  }
}

function hear(message: Message): void {
  if (message.kind === "gap") {
    void refresh();
  } else if (message.kind === "tick") {
    const tick = JSON.parse(message.data) as Tick;
    lastData = tick.age === null ? lastData : tick.time - tick.age / 1e6;
    for (const [tile, data] of Object.entries(tick.tiles)) show(tile, Object.values(data.values)[0]);
    post();
    say("live");
  } else {
    say(message.open ? "live" : "lost");
    if (!message.open) void refresh();
  }
}

function writeAge(): void {
  age.textContent = formatAge(Date.now() * 1e3 - boot.made * 1e6);
}

/** A newer snapshot takes the place of this one; the reader keeps his place on the page. */
async function follow(): Promise<void> {
  writeAge();
  if (document.visibilityState !== "visible") return;
  try {
    const answer = await fetch(boot.state, { headers: { Accept: "application/json" } });
    if (answer.status === 401) location.reload();
    const { made } = (await answer.json()) as { made: number | null };
    if (made && made !== boot.made) location.reload();
  } catch {
    // The next look comes soon, and the status says whether the stream lives.
  }
}

function watch(feed: Feed): void {
  if (document.visibilityState === "visible") feed.watch(new URL(boot.stream, location.href).href);
  else feed.leave();
}

addEventListener("message", (event: MessageEvent<{ kind?: string; height?: number }>) => {
  if (event.source !== frame.contentWindow || event.data?.kind !== "size") return;
  const height = Number(event.data.height);
  if (height > 0) frame.style.height = `${Math.min(Math.max(Math.ceil(height) + 2, HEIGHT_LEAST), HEIGHT_MOST)}px`;
  post();
});

frame.addEventListener("load", post);
writeAge();
setInterval(() => void follow(), FOLLOW_MS);
if (Object.keys(boot.numbers).length) {
  status.hidden = false;
  void refresh();
  const feed = openFeed(boot.worker, hear);
  watch(feed);
  document.addEventListener("visibilitychange", () => watch(feed));
  addEventListener("pagehide", () => feed.leave());
  addEventListener("pageshow", (event) => event.persisted && watch(feed));
}
