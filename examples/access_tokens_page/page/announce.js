// Says what happened: seen in a corner for a while, and read out by a screen reader.

import { byId } from "./dom.js";

let timer = 0;

export function announce(message) {
  const place = byId("status-message");
  clearTimeout(timer);
  place.textContent = "";
  // A live region is read out when its text changes; the same words twice need a change in between.
  requestAnimationFrame(() => {
    place.textContent = message;
  });
  timer = setTimeout(() => {
    place.textContent = "";
  }, 8000);
}
