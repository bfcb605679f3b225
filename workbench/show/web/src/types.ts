// What the server sends; see workbench/show/snapshot.py. Times are seconds since 1970 UTC, ages microseconds.

export interface SeriesData {
  key: string;
  name: string;
  last: number | null;
  values?: (number | null)[];
}

export interface TileData {
  series: SeriesData[];
  hidden: number;
  summary: string;
  age: number | null;
  simulated: boolean;
  error: string;
  pending: boolean;
}

export interface Alert {
  name: string;
  severity: string;
  state: string;
  since: number | null;
  summary: string;
  labels: string;
  simulated: boolean;
}

export interface Snapshot {
  time: number;
  start: number;
  end: number;
  step: number;
  live: boolean;
  moving: boolean;
  lake_version: string;
  age: number | null;
  tiles: Record<string, TileData>;
  alerts: Alert[] | null;
}

export interface Tick {
  time: number;
  lake_version: string;
  age: number | null;
  tiles: Record<string, { values: Record<string, number | null>; age: number | null }>;
  alerts: Alert[];
}

export interface TileSpec {
  kind: string;
  title: string;
  unit: string;
  maximum: number | null;
  warn: number | null;
  critical: number | null;
  above: boolean;
}

export interface Boot {
  snapshot: Snapshot;
  dashboard: { name: string; tiles: Record<string, TileSpec> };
  data: string;
  stream: string;
  worker: string;
}
