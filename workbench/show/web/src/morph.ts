// Makes an element's content the same as some HTML by the fewest changes, so that focus, scrolling and what is open stay.

/** Attributes that say what a person did rather than what the server sent. */
const OWN: Record<string, string[]> = { DETAILS: ["open"] };

export function morph(target: Element, html: string): void {
  const wanted = document.createElement("template");
  wanted.innerHTML = html;
  fit(target, wanted.content);
}

function fit(target: Node, wanted: Node): void {
  const there = [...target.childNodes];
  const coming = [...wanted.childNodes];
  coming.forEach((next, place) => {
    const old = there[place];
    if (!old) target.appendChild(next);
    else if (!alike(old, next)) target.replaceChild(next, old);
    else if (next instanceof Element) {
      dress(old as Element, next);
      fit(old, next);
    } else if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
  });
  for (const old of there.slice(coming.length)) old.remove();
}

function alike(old: Node, next: Node): boolean {
  return old.nodeType === next.nodeType && old.nodeName === next.nodeName && idOf(old) === idOf(next);
}

function idOf(node: Node): string {
  return node instanceof Element ? node.id : "";
}

function dress(old: Element, next: Element): void {
  const own = OWN[old.nodeName] ?? [];
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && !own.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...next.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old instanceof HTMLInputElement && next instanceof HTMLInputElement) {
    if (old.checked !== next.defaultChecked) old.checked = next.defaultChecked;
    if (old.value !== next.defaultValue && old !== document.activeElement) old.value = next.defaultValue;
  }
  if (old instanceof HTMLOptionElement && next instanceof HTMLOptionElement) old.selected = next.defaultSelected;
}
