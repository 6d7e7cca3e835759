// Elements made from data. Text is only ever set as text: nothing here can turn data into markup.

export const byId = (id) => document.getElementById(id);

// element("td", { class: "id", role: "cell" }, "text", otherElement)
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function show(target, shown) {
  target.hidden = !shown;
}

// A field's message: seen beside it, read out with it.
export function setError(field, place, message) {
  place.textContent = message;
  if (message) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}
