(() => {
  const spots = [...document.querySelectorAll("[data-live]")];
  if (parent === window) return;
  document.documentElement.classList.add("framed");
  addEventListener("message", (event) => {
    // Only the page around this one speaks to it, and all it can say is what a number is now.
    if (event.source !== parent || event.data?.kind !== "live") return;
    for (const spot of spots) {
      const text = event.data.texts[spot.dataset.live];
      if (typeof text === "string") spot.textContent = text;
    }
  });
  const tell = () => parent.postMessage({ kind: "size", height: document.body.scrollHeight }, "*");
  new ResizeObserver(tell).observe(document.body);
  tell();
})();
