/* A batch's page while the batch goes on: the numbers are brought up to date; when it has ended, paused or stopped, the
   whole page is loaded again. Without this script the page says that it is to be loaded again. */
"use strict";
{
    const EVERY = 2000;

    async function refresh() {
        const numbers = document.getElementById("batch-numbers");
        if (!document.hidden) {
            let found;
            try {
                const response = await fetch(window.location.href, {credentials: "same-origin", cache: "no-store"});
                found = new DOMParser().parseFromString(await response.text(), "text/html");
            } catch {
                setTimeout(refresh, EVERY * 5); // the server is away: later
                return;
            }
            const fresh = found.getElementById("batch-numbers");
            if (!fresh) {
                return; // logged out, or it is gone
            }
            const typing = document.getElementById("batch-reason")?.value;
            if (fresh.dataset.live !== numbers.dataset.live && !typing) {
                window.location.reload();
                return;
            }
            show(numbers, fresh, found);
        }
        setTimeout(refresh, EVERY);
    }

    function show(numbers, fresh, found) {
        const status = document.getElementById("batch-status");
        const text = found.getElementById("batch-status").textContent;
        if (status.textContent !== text) {
            status.textContent = text; // read out by screen readers, so only when it has changed
        }
        const focused = numbers.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
        numbers.replaceChildren(...fresh.childNodes);
        if (focused) {
            numbers.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
        }
    }

    document.addEventListener("DOMContentLoaded", () => setTimeout(refresh, EVERY));
}
