// Figures in few characters, for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });

export const NOTHING = "–";

/** 812, 12.3K */
export const count = (value) => (value == null ? NOTHING : value < 10_000 ? whole.format(value) : short.format(value));

/** 0 %, 3.1 %, 45 % */
export const percent = (ratio) => `${(100 * ratio).toFixed(ratio > 0 && ratio < 0.1 ? 1 : 0)} %`;

/** 0.8 ms, 12 ms, 1.24 s */
export function seconds(value) {
  if (value == null) return NOTHING;
  if (value === 0) return "0";
  if (value >= 0.9995) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return `${(1000 * value).toFixed(value < 0.00995 ? 1 : 0)} ms`;
}

/** 42 s, 3 min, 5 h 12 min, 9 d 3 h */
export function duration(value) {
  const minutes = Math.floor(value / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 1) return `${Math.floor(value)} s`;
  if (hours < 1) return `${minutes} min`;
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
