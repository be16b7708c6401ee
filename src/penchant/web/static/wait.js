// Looks again by itself, and leaves the page alone until there is something else: a reload every few seconds would send
// whoever listens to the page back to its top.
"use strict";
(() => {
  const here = document.querySelector("[data-retry]"), status = here.querySelector("[role=status]");
  async function look() {
    try {
      const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-retry]");
      if (answer.ok && found?.id !== here.id) { location.reload(); return; }
      const said = found?.querySelector("[role=status]").textContent;
      if (answer.ok && said !== status.textContent) status.textContent = said;
    } catch (error) { /* the server cannot be reached: later */ }
    again();
  }
  const again = () => setTimeout(look, 1000 * Number(here.dataset.retry));
  again();
})();
