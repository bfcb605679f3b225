// Event streams by address, for as long as somebody wants them. Runs in the shared worker, or in the leading tab.

export type Message =
  | { kind: "tick"; data: string }
  | { kind: "gap" }
  | { kind: "state"; open: boolean };

type Listener = (message: Message) => void;

const BACKOFF_FIRST_MS = 500;
const BACKOFF_LAST_MS = 15_000;
// The server says something at least every ten seconds; silence beyond this is a dead connection.
const SILENCE_MS = 25_000;

interface Stream {
  source: EventSource | null;
  timer: ReturnType<typeof setTimeout> | undefined;
  backoffMs: number;
  lost: boolean;
  open: boolean;
  listeners: Set<Listener>;
}

export class Streams {
  private readonly known = new Map<string, Stream>();

  add(url: string, listener: Listener): void {
    let stream = this.known.get(url);
    if (!stream) {
      stream = { source: null, timer: undefined, backoffMs: BACKOFF_FIRST_MS, lost: false, open: false, listeners: new Set() };
      this.known.set(url, stream);
      this.connect(url, stream);
    }
    if (!stream.listeners.has(listener)) {
      stream.listeners.add(listener);
      if (stream.open) listener({ kind: "state", open: true });
    }
  }

  remove(url: string, listener: Listener): void {
    const stream = this.known.get(url);
    if (!stream) return;
    stream.listeners.delete(listener);
    if (stream.listeners.size) return;
    this.known.delete(url);
    clearTimeout(stream.timer);
    stream.source?.close();
  }

  private connect(url: string, stream: Stream): void {
    const source = new EventSource(url);
    stream.source = source;
    this.expect(url, stream);
    source.addEventListener("open", () => {
      stream.open = true;
      stream.backoffMs = BACKOFF_FIRST_MS;
      this.expect(url, stream);
      tell(stream, { kind: "state", open: true });
      // What was missed in between is not sent again: the page fetches a snapshot.
      if (stream.lost) tell(stream, { kind: "gap" });
      stream.lost = false;
    });
    source.addEventListener("tick", (event) => {
      this.expect(url, stream);
      tell(stream, { kind: "tick", data: (event as MessageEvent<string>).data });
    });
    source.addEventListener("gap", () => tell(stream, { kind: "gap" }));
    source.addEventListener("error", () => this.lose(url, stream));
  }

  private expect(url: string, stream: Stream): void {
    clearTimeout(stream.timer);
    stream.timer = setTimeout(() => this.lose(url, stream), SILENCE_MS);
  }

  private lose(url: string, stream: Stream): void {
    clearTimeout(stream.timer);
    stream.source?.close();
    stream.source = null;
    stream.open = false;
    stream.lost = true;
    if (this.known.get(url) !== stream) return;
    tell(stream, { kind: "state", open: false });
    const wait = stream.backoffMs * (0.75 + Math.random() / 2);
    stream.backoffMs = Math.min(stream.backoffMs * 2, BACKOFF_LAST_MS);
    stream.timer = setTimeout(() => this.connect(url, stream), wait);
  }
}

function tell(stream: Stream, message: Message): void {
  for (const listener of [...stream.listeners]) listener(message);
}
