// The page's end of the event stream: a shared worker holds it for all tabs; where there is none, one visible tab leads
// and passes on what it hears. A hidden tab holds nothing.
import { Streams, type Message } from "./streams";
import type { Request } from "./worker";

type Listener = (message: Message) => void;

const REPEAT_MS = 10_000;

export interface Feed {
  watch(url: string): void;
  leave(): void;
}

export function openFeed(workerUrl: string, listener: Listener): Feed {
  if (workerUrl && "SharedWorker" in globalThis) {
    try {
      return sharedFeed(workerUrl, listener);
    } catch {
      // Some private modes have the name but refuse its use; the next way works everywhere.
    }
  }
  return "locks" in navigator && "BroadcastChannel" in globalThis ? ledFeed(listener) : ownFeed(listener);
}

function sharedFeed(workerUrl: string, listener: Listener): Feed {
  const port = new SharedWorker(workerUrl, { name: "workbench" }).port;
  let timer: ReturnType<typeof setInterval> | undefined;
  const say = (request: Request): void => port.postMessage(request);
  port.onmessage = (event: MessageEvent<Message>) => listener(event.data);
  port.start();
  return {
    watch(url) {
      clearInterval(timer);
      say({ kind: "watch", url });
      timer = setInterval(() => say({ kind: "watch", url }), REPEAT_MS);
    },
    leave() {
      clearInterval(timer);
      say({ kind: "leave", url: "" });
    },
  };
}

function ledFeed(listener: Listener): Feed {
  const streams = new Streams();
  let stop: () => void = () => undefined;
  return {
    watch(url) {
      stop();
      const channel = new BroadcastChannel(`workbench ${url}`);
      const abort = new AbortController();
      let release: () => void = () => undefined;
      const lead = (message: Message): void => {
        listener(message);
        channel.postMessage(message);
      };
      channel.onmessage = (event: MessageEvent<Message>) => listener(event.data);
      const held = navigator.locks.request(`workbench ${url}`, { signal: abort.signal }, () => {
        streams.add(url, lead);
        return new Promise<void>((resolve) => (release = resolve));
      });
      held.catch(() => undefined);
      stop = () => {
        streams.remove(url, lead);
        release();
        abort.abort();
        channel.close();
        stop = () => undefined;
      };
    },
    leave: () => stop(),
  };
}

function ownFeed(listener: Listener): Feed {
  const streams = new Streams();
  let watched = "";
  const leave = (): void => {
    if (watched) streams.remove(watched, listener);
    watched = "";
  };
  return {
    watch(url) {
      leave();
      watched = url;
      streams.add(url, listener);
    },
    leave,
  };
}
