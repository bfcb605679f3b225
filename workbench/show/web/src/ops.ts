// The drill-down's page: fits fragments into it, sends what the operator does, and keeps address and view the same.
import { morph } from "./morph";

interface Shown {
  fragments?: Record<string, string>;
  places?: number;
  query?: string;
  moving?: boolean;
  simulated?: boolean;
  failed?: string;
  notebook?: string;
}

interface BokehDocument {
  on_message(type: string, run: (data: Shown) => void): void;
  on_change(run: (event: unknown) => void): void;
  on_event(type: string, run: () => void): void;
  _trigger_on_change(event: unknown): void;
  get_model_by_name(name: string): { toolbar: { active_drag: unknown } } | null;
}

interface Bokeh {
  documents: BokehDocument[];
  index: Iterable<{ invalidate_layout?(): void; request_paint?(): void; repaint?(): void }> & object;
  require(name: string): { MessageSentEvent: new (document: BokehDocument, type: string, data: unknown) => unknown };
  embed: { embed_items(docs: unknown, items: unknown[]): Promise<unknown> };
}

const bokeh = (window as unknown as { Bokeh: Bokeh }).Bokeh;
const boot = JSON.parse(document.querySelector("#boot")!.textContent!) as { item: unknown };
const wide = matchMedia("(min-width: 901px)");
const coarse = matchMedia("(pointer: coarse)");
const PROBE_MS = 3_000;

let server: BokehDocument | undefined;
let query = location.search.slice(1);
let paused = false;
let moving = true;
let gone = false;

function one<E extends Element = HTMLElement>(selector: string): E {
  return document.querySelector<E>(selector)!;
}

function say(words: string): void {
  one("#announcer").textContent = words;
}

function send(deed: Record<string, unknown>): void {
  if (!server) return;
  const { MessageSentEvent } = bokeh.require("document/events");
  server._trigger_on_change(new MessageSentEvent(server, "deed", deed));
}

/** What the operator did to the choice; the page shows that it is on its way. */
function act(deed: Record<string, unknown>): void {
  one("#charts").setAttribute("aria-busy", "true");
  send(deed);
}

function show(shown: Shown): void {
  if (shown.failed) {
    one("#live-text").textContent = shown.failed;
    return;
  }
  if (shown.notebook !== undefined) {
    openNotebook(shown.notebook);
    return;
  }
  for (const [id, html] of Object.entries(shown.fragments ?? {})) {
    const place = document.getElementById(id);
    if (place) morph(place, html);
  }
  const notices = one("#notices");
  notices.hidden = !notices.childElementCount;
  document.querySelectorAll<HTMLElement>("[data-place].tile").forEach((tile, number) => {
    tile.hidden = number >= (shown.places ?? 0);
  });
  one("#charts").classList.toggle("alone", shown.places === 1);
  one("#simulated").hidden = !shown.simulated;
  moving = shown.moving ?? true;
  if (shown.query !== undefined && shown.query !== query) {
    query = shown.query;
    // The first answer only spells out what the address left open.
    if (document.body.dataset.drawn) history.pushState(null, "", `?${query}`);
    else history.replaceState(null, "", `?${query}`);
    say(`${one("#section-title").textContent}: ${one("#asof").textContent}`);
  }
  one("#charts").removeAttribute("aria-busy");
  document.body.dataset.drawn = "true";
  tellLive();
}

function tellLive(): void {
  const live = one("#live");
  if (gone) return;
  live.dataset.state = paused || !moving ? "still" : "live";
  one("#live-text").textContent = paused ? "Paused" : moving ? "Live" : "Fixed window";
  one("#live button").hidden = !moving;
  one("#live button").setAttribute("aria-pressed", String(paused));
}

/** A tab is opened with the click itself, as browsers let no answer open one; the answer says where it leads. */
let tab: Window | null = null;

function openNotebook(address: string): void {
  if (!address) {
    tab?.close();
    say("The notebook cannot be kept; download it under Data and query.");
  } else if (tab && !tab.closed) tab.location.href = address;
  else location.href = address;
}

function deedOf(source: HTMLElement): Record<string, unknown> | undefined {
  const { deed, label, value, spans, factor } = source.dataset;
  switch (deed) {
    // Nothing undefined may be in a deed: Bokeh cannot send that.
    case "toggle":
      return { deed, label, value };
    case "clear":
      return { deed, label };
    case "move":
      return { deed, spans: Number(spans) };
    case "zoom":
      return { deed, factor: Number(factor) };
    case "now":
      return { deed };
    case "window": {
      const [from, to] = ["#from", "#to"].map((id) => Date.parse(`${one<HTMLInputElement>(id).value}Z`) * 1000);
      if (!Number.isFinite(from) || !Number.isFinite(to)) {
        say("Fill in both times.");
        return undefined;
      }
      return { deed: "brush", from_us: from, to_us: to };
    }
  }
  return undefined;
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    say("The browser does not let this page copy; the query stands under Data and query.");
  }
}

function onClick(event: MouseEvent): void {
  const source = (event.target as Element).closest<HTMLElement>("[data-deed], [data-copy], a[data-go]");
  if (!source) return;
  if (source.matches("a[data-go]")) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    act({ deed: "go", query: (source as HTMLAnchorElement).search });
  } else if (source.dataset.copy !== undefined) {
    void copy(source.dataset.copy);
  } else if (source.dataset.deed === "pause") {
    paused = !paused;
    send({ deed: "pause", on: paused });
    tellLive();
  } else if (source.dataset.deed === "notebook") {
    tab = window.open("about:blank");
    send({ deed: "notebook", place: Number(source.dataset.place) });
  } else {
    const deed = deedOf(source);
    if (deed) act(deed);
  }
}

function onChange(event: Event): void {
  const select = (event.target as Element).closest<HTMLSelectElement>("select[data-set]");
  if (select?.value) act({ deed: "set", name: select.dataset.set, value: select.value });
}

/** Axes and grid take their colours from the page's variables when they are painted. */
function repaint(): void {
  window.dispatchEvent(new Event("resize"));
  for (const view of bokeh.index) view.repaint?.();
}

function lost(): void {
  if (gone) return;
  gone = true;
  one("#live").dataset.state = "lost";
  one("#live-text").textContent = "Connection lost";
  const style = one<HTMLLinkElement>("link[rel=stylesheet]").href;
  const timer = setInterval(async () => {
    const answer = await fetch(style, { method: "HEAD", cache: "no-store" }).catch(() => undefined);
    // The address is the whole state, so a new session shows the same.
    if (answer?.ok) {
      clearInterval(timer);
      location.reload();
    }
  }, PROBE_MS);
}

async function start(): Promise<void> {
  document.addEventListener("click", onClick);
  document.addEventListener("change", onChange);
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    if ((event.target as Element).id === "explore") act({ deed: "explore", expr: one<HTMLInputElement>("#expr").value });
  });
  document.addEventListener(
    "toggle",
    (event) => {
      const details = event.target as HTMLDetailsElement;
      if (details.matches(".more")) send({ deed: "table", place: Number(details.dataset.place), on: details.open });
    },
    true,
  );
  document.addEventListener("visibilitychange", () => send({ deed: "hidden", on: document.hidden }));
  addEventListener("popstate", () => {
    query = location.search.slice(1);
    act({ deed: "go", query });
  });
  const drawer = one<HTMLDetailsElement>("#drawer");
  drawer.open = wide.matches;
  wide.addEventListener("change", () => (drawer.open = wide.matches));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  await bokeh.embed.embed_items({}, [boot.item]);
  server = bokeh.documents[0]!;
  server.on_message("shown", show);
  server.on_event("connection_lost", lost);
  // A finger that drags over a chart scrolls the page; it has the buttons for the window.
  if (coarse.matches) {
    for (let number = 0; ; number++) {
      const figure = server.get_model_by_name(`chart-${number}`);
      if (!figure) break;
      figure.toolbar.active_drag = null;
    }
  }
  send({ deed: "hello" });
}

void start();
