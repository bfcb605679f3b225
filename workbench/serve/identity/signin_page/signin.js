// The secret stands after `#`, which a browser keeps to itself; take it out of the address bar and the history first.
const secret = location.hash.slice(1);
if (secret) {
  history.replaceState(null, "", location.pathname);
  const form = document.getElementById("by-link");
  form.closest("details")?.setAttribute("open", "");
  form.elements.link.value = secret;
  document.getElementById("message").textContent = "Signing in…";
  form.submit();
}
