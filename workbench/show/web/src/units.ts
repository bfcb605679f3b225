// Numbers and ages as people read them: the twin of workbench/show/units.py, held equal by a test.

const DECIMAL: [number, string][] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const BINARY: [number, string][] = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];

export function formatValue(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  switch (unit) {
    case "ratio":
      return `${digits(value * 100)} %`;
    case "bytes":
    case "bytes/s": {
      const suffix = unit === "bytes/s" ? "/s" : "";
      for (const [size, name] of BINARY) if (Math.abs(value) >= size) return `${digits(value / size)} ${name}${suffix}`;
      return `${digits(value)} B${suffix}`;
    }
    case "seconds":
      return seconds(value);
    case "per_second":
      return `${scaled(value)}/s`;
    case "usd/h":
      return `$${Math.abs(value) >= 1e4 ? scaled(value) : value.toFixed(2)}/h`;
    case "count":
      if (Math.abs(value) < 1e4) return Number.isInteger(value) ? value.toFixed(0) : digits(value);
      return scaled(value);
    default:
      return scaled(value);
  }
}

/** A value on an axis, where neighbours are round: without zeros at its end. */
export function formatTick(value: number, unit: string): string {
  return formatValue(value, unit).replace(/(\.\d*?)0+(?!\d)/, "$1").replace(/\.(?!\d)/, "");
}

export function formatAge(ageUs: number | null): string {
  if (ageUs === null) return "no data";
  const age = Math.max(ageUs, 0) / 1e6;
  if (age < 2) return "just now";
  for (const [size, name] of [[86400, "d"], [3600, "h"], [60, "min"]] as [number, string][]) {
    if (age >= 2 * size) return `${Math.floor(age / size)} ${name} ago`;
  }
  return `${Math.floor(age)} s ago`;
}

/** `hh:mm:ss`, UTC; with the day in front where the span is longer than one. */
export function formatClock(time: number, spanSeconds = 0): string {
  const text = new Date(time * 1000).toISOString();
  return spanSeconds > 86400 ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(11, 19);
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size < 1e-9) return "0";
  const decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.0995 ? 2 : 1 - Math.floor(Math.log10(size));
  return value.toFixed(decimals);
}

function scaled(value: number): string {
  for (const [size, name] of DECIMAL) if (Math.abs(value) >= size) return `${digits(value / size)} ${name}`;
  return digits(value);
}

function seconds(value: number): string {
  const size = Math.abs(value);
  if (size >= 7200) return `${digits(value / 3600)} h`;
  if (size >= 120) return `${digits(value / 60)} min`;
  if (size >= 1 || size === 0) return `${digits(value)} s`;
  if (size >= 1e-3) return `${digits(value * 1e3)} ms`;
  return `${digits(value * 1e6)} µs`;
}
