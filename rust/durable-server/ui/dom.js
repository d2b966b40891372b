// Elements out of plain values, and a page brought up to date without what has not changed being touched. All that
// is shown is text: nothing here reads markup.

/** An element: `h("a.id", {href}, children...)`. Children are texts, numbers, elements, lists of them, or nothing. */
export function h(tag, attributes, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter(isSomething).map(asNode));
  return element;
}

const isSomething = (child) => child !== null && child !== undefined && child !== false && child !== "";
const asNode = (child) => (child instanceof Node ? child : document.createTextNode(String(child)));

/** Makes what `old` holds into what these are. Focus, selections and opened details stay. */
export function update(old, children) {
  const wanted = [children].flat(Infinity).filter(isSomething).map(asNode);
  const keyed = new Map();
  for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let place = old.firstChild;
  for (const child of wanted) {
    const key = keyOf(child);
    const known = key ? keyed.get(key) : place && !keyOf(place) ? place : null;
    if (known && isAlike(known, child)) {
      if (known === place) place = place.nextSibling;
      else old.insertBefore(known, place);
      if (known.nodeType === Node.TEXT_NODE) {
        if (known.data !== child.data) known.data = child.data;
      } else {
        bring(known, child);
      }
    } else {
      old.insertBefore(child, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const keyOf = (node) => node.dataset?.key;
const isAlike = (one, other) => one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

function bring(old, wanted) {
  for (const { name } of [...old.attributes]) {
    // Whether details are open is the reader's business, and where bars lie is set below.
    if (!wanted.hasAttribute(name) && name !== "open" && name !== "style") old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (name !== "open" && name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of ["--from", "--to"]) {
    const value = wanted.style.getPropertyValue(name);
    if (old.style.getPropertyValue(name) !== value) old.style.setProperty(name, value);
  }
  if (old.dataset.text !== undefined) return; // whose text the reader writes
  update(old, [...wanted.childNodes]);
  const { chosen } = old.dataset;
  if (chosen !== undefined && old.value !== chosen && old !== document.activeElement) old.value = chosen;
}
