// A few comforts; everything works without them.
"use strict";

// The browser's time zone, for the server to show times in. A zone that the
// viewer chose stands in the same cookie without the mark and is left alone.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = document.cookie.split("; ").find((cookie) => cookie.startsWith("tz="));
  const automatic = "tz=auto:" + zone;
  const free = !known || known === "tz=" || known.startsWith("tz=auto:");
  if (zone && free && known !== automatic) {
    document.cookie = automatic + "; Path=/; Secure; SameSite=Lax; Max-Age=34560000";
  }
})();

// How far backups under way are. Bars are moved in place; the page is loaded
// again when one of them changes its state.
(() => {
  const watched = document.querySelector("[data-watch]");
  const signature = watched && watched.dataset.watch;
  if (!signature) {
    return;
  }
  const move = (bar) => {
    const place = document.querySelector('[data-bar="' + CSS.escape(bar.id) + '"]');
    if (!place) {
      return;
    }
    const progress = place.querySelector("progress");
    if (bar.percent === null) {
      progress.removeAttribute("value");
    } else {
      progress.value = bar.percent;
    }
    place.querySelector("small").textContent = bar.text;
  };
  const ask = async () => {
    let wait = 1000;
    try {
      const answer = await fetch("/retention/progress", { redirect: "error" });
      if (!answer.ok) {
        throw new Error(answer.status);
      }
      const news = await answer.json();
      news.bars.forEach(move);
      if (news.signature !== signature) {
        location.reload();
        return;
      }
    } catch {
      wait = 5000;
    }
    setTimeout(ask, document.hidden ? 10000 : wait);
  };
  setTimeout(ask, 1000);
})();

// A menu that is open closes with a click elsewhere or with Escape.
(() => {
  const who = document.querySelector("details.who");
  if (!who) {
    return;
  }
  document.addEventListener("click", (event) => {
    if (!who.contains(event.target)) {
      who.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && who.open) {
      who.open = false;
      who.querySelector("summary").focus();
    }
  });
})();

// Which rules a new Archive Key meets, while it is typed.
(() => {
  const input = document.querySelector("input[data-rules]");
  if (!input) {
    return;
  }
  const met = {
    length: (key) => [...key].length >= 8,
    upper: (key) => /\p{Lu}/u.test(key),
    lower: (key) => /\p{Ll}/u.test(key),
    digit: (key) => /\p{N}/u.test(key),
    symbol: (key) => /[^\p{L}\p{N}\s\p{Cc}]/u.test(key),
  };
  const rules = document.querySelectorAll("#" + CSS.escape(input.dataset.rules) + " [data-rule]");
  const show = () => {
    for (const rule of rules) {
      rule.classList.toggle("met", met[rule.dataset.rule](input.value));
    }
  };
  input.addEventListener("input", show);
  show();
})();
