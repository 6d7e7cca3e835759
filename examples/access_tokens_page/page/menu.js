// A row's menu: a button that opens a list of actions, by mouse and by keyboard (the menu button pattern
// of the ARIA Authoring Practices).

import { element } from "./dom.js";

let serial = 0;

function place(menu, button) {
  const at = button.getBoundingClientRect();
  const size = menu.getBoundingClientRect();
  const below = at.bottom + 4 + size.height <= window.innerHeight;
  menu.style.top = `${Math.max(4, below ? at.bottom + 4 : at.top - 4 - size.height)}px`;
  menu.style.left = `${Math.max(4, at.right - size.width)}px`;
}

// `actions` is asked when the menu opens: [{ label, danger, run }]. Returns the button.
export function menuButton(label, actions) {
  const id = `menu-${++serial}`;
  const button = element("button", {
    type: "button", class: "dots", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": label, title: label,
  }, "⋯");
  let menu = null;
  let listening = null;

  const items = () => [...menu.querySelectorAll("[role=menuitem]")];
  const focusItem = (index) => {
    const all = items();
    all[(index + all.length) % all.length].focus();
  };

  function close(focusButton) {
    if (!menu) return;
    const gone = menu;
    menu = null;
    listening.abort();
    button.setAttribute("aria-expanded", "false");
    button.removeAttribute("aria-controls");
    gone.remove();
    if (focusButton) button.focus();
  }

  function onKey(event) {
    const at = items().indexOf(document.activeElement);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (event.key in moves) focusItem(moves[event.key]);
    else if (event.key === "Escape") close(true);
    else if (event.key === "Tab") return close(true);
    else if (event.key.length === 1 && /\S/.test(event.key)) {
      const all = items();
      const order = [...all.slice(at + 1), ...all.slice(0, at + 1)];
      order.find((item) => item.textContent.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
      return;
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function open(first) {
    if (menu) return close(true);
    menu = element("div", { id, class: "menu", role: "menu", popover: "auto", "aria-label": label });
    for (const action of actions()) {
      const item = element("button", {
        type: "button", role: "menuitem", tabindex: "-1", class: action.danger ? "danger-text" : null,
      }, action.label);
      item.addEventListener("click", () => {
        close(true);
        action.run();
      });
      menu.append(item);
    }
    menu.addEventListener("keydown", onKey);
    const opened = menu;
    menu.addEventListener("toggle", (event) => {
      if (event.newState === "closed" && menu === opened) close(false);
    });
    button.after(menu);
    menu.showPopover();
    place(menu, button);
    button.setAttribute("aria-expanded", "true");
    button.setAttribute("aria-controls", id);
    listening = new AbortController();
    window.addEventListener("scroll", () => close(false), { capture: true, signal: listening.signal });
    focusItem(first);
  }

  // A popover closes itself when the mouse goes down outside of it, also on its own button: remember that.
  let wasOpen = false;
  button.addEventListener("pointerdown", () => {
    wasOpen = menu !== null;
  });
  button.addEventListener("click", () => {
    if (wasOpen) close(true);
    else open(0);
    wasOpen = false;
  });
  button.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    open(event.key === "ArrowDown" ? 0 : -1);
  });
  return button;
}
