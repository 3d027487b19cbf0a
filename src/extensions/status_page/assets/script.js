// Keeps a page live: fetches it again and changes what differs. Without this script the page is the
// same, as it was when it was loaded.
(() => {
  "use strict";
  const EVERY = 1000;
  const PATIENCE = 5000;
  const live = document.getElementById("live");
  let busy = false;
  let answered = Date.now();

  const key = (node) => (node.nodeType === 1 ? node.getAttribute("data-key") : null);

  const isSame = (one, other) =>
    one.nodeType === other.nodeType && one.nodeName === other.nodeName && key(one) === key(other);

  // Makes `from` like `to`, and touches nothing that is so already.
  function morph(from, to) {
    if (from.nodeType !== 1) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    const isNews = from.dataset.state !== undefined && from.dataset.state !== to.dataset.state;
    attributes(from, to);
    if (isNews) flash(from);
    // What the reader or this script wrote stays.
    if (from.hasAttribute("data-keep") || from.matches("input, select")) return;
    children(from, to);
  }

  function attributes(from, to) {
    for (const { name } of [...from.attributes]) {
      const isOurs = name === "open" || (name === "class" && !to.hasAttribute("class"));
      if (!to.hasAttribute(name) && !isOurs) from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.matches("input") && name === "value") continue;
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
  }

  function children(from, to) {
    const keyed = new Map();
    for (const child of from.children) if (key(child) !== null) keyed.set(key(child), child);
    let at = from.firstChild;
    for (const next of [...to.childNodes]) {
      const known = key(next) === null ? null : keyed.get(key(next));
      if (known && known !== at && isSame(known, next)) {
        from.insertBefore(known, at);
        morph(known, next);
      } else if (at && isSame(at, next)) {
        const current = at;
        at = at.nextSibling;
        morph(current, next);
      } else {
        const added = document.importNode(next, true);
        from.insertBefore(added, at);
        if (added.nodeType === 1 && added.dataset.state !== undefined) flash(added);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function flash(node) {
    node.classList.add("changed");
    node.addEventListener("animationend", () => node.classList.remove("changed"), { once: true });
  }

  function say(text, isLost) {
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("lost", isLost);
  }

  async function refresh() {
    if (busy || document.hidden) return;
    busy = true;
    const asked = location.href;
    try {
      const answer = await fetch(asked, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok && answer.status !== 404) throw new Error(String(answer.status));
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = next.getElementById("main");
      // The reader went on to another list meanwhile.
      if (!main || asked !== location.href) return;
      morph(document.getElementById("main"), main);
      document.title = next.title;
      answered = Date.now();
      say("live", false);
    } catch {
      const seconds = Math.round((Date.now() - answered) / 1000);
      say(`The collector has not answered for ${seconds} s: this page is old.`, true);
    } finally {
      busy = false;
    }
  }

  // A list follows what is written into its form.
  let typing;
  function follow(form) {
    clearTimeout(typing);
    typing = setTimeout(() => {
      const query = new URLSearchParams(new FormData(form));
      for (const [name, value] of [...query]) if (value === "") query.delete(name);
      const text = query.toString();
      history.replaceState(null, "", text ? `?${text}` : location.pathname);
      refresh();
    }, 200);
  }

  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-live]");
    if (form) follow(form);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-live]")) {
      event.preventDefault();
      follow(event.target);
    }
  });
  document.addEventListener("keydown", (event) => {
    const find = document.getElementById("find");
    if (event.key === "/" && find && !event.target.matches("input, select, textarea")) {
      event.preventDefault();
      find.focus();
      find.select();
    } else if (event.key === "Escape" && event.target === find) {
      find.blur();
    }
  });
  document.addEventListener("visibilitychange", refresh);
  say("live", false);
  setInterval(refresh, EVERY);
})();
