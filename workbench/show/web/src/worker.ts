// The shared worker: one event stream per address for all tabs of this browser.
import { Streams, type Message } from "./streams";

export type Request = { kind: "watch" | "leave"; url: string };

const QUIET_MS = 30_000;
const streams = new Streams();

(globalThis as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
  const port = event.ports[0]!;
  let watched = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const forward = (message: Message): void => port.postMessage(message);
  const leave = (): void => {
    clearTimeout(timer);
    if (watched) streams.remove(watched, forward);
    watched = "";
  };
  port.onmessage = (received: MessageEvent<Request>) => {
    const { kind, url } = received.data;
    if (kind === "leave" || url !== watched) leave();
    if (kind === "leave") return;
    watched = url;
    streams.add(url, forward);
    // A tab that crashed says no farewell; a living one repeats its wish every ten seconds.
    clearTimeout(timer);
    timer = setTimeout(leave, QUIET_MS);
  };
  port.start();
};
