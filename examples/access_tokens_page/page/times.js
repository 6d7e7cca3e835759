// Times in the viewer's zone: short in the table, exact on hover, relative for who prefers it.

const SHORT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const UNITS = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

export function relative(date, now = new Date()) {
  const seconds = (date - now) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return RELATIVE.format(Math.trunc(seconds / size), unit);
  }
  return Math.abs(seconds) < 45 ? "just now" : RELATIVE.format(Math.trunc(seconds), "second");
}

export const day = (date) => DAY.format(date);
export const short = (date) => SHORT.format(date);
export const exact = (date) => EXACT.format(date);

// What a <time> shows and what it says on hover.
export function describe(iso, style) {
  const date = new Date(iso);
  return style === "relative" ? [relative(date), exact(date)] : [short(date), `${exact(date)} (${relative(date)})`];
}
