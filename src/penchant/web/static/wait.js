// Looks again by itself.
"use strict";
setTimeout(() => location.reload(), 1000 * Number(document.querySelector("[data-retry]").dataset.retry));
